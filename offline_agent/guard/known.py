"""Secrets that are known because they stand in files that may not be read: wherever they turn up, in whatever dress.

    .env, key files -> values_in -> Known.add -> each value as it is, in base64 at three offsets, in hexadecimal, percent-encoded,
                                                  escaped as in JSON, and backwards -> found in any text

A command that the model writes can transform a file in more ways than anybody can list; what keeps a secret in is that the file
cannot be read. This is for what escapes through a program that had it: a log, an error message, a test's output.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from urllib.parse import quote, quote_plus

from offline_agent.guard.entropy import is_placeholder, is_words

_LEAST = 8
"""Characters of a value; six for one that is letters and digits mixed."""
_MOST = 4000
_MOST_VALUES = 2000
_LINE = re.compile(
    r"""^\s*(?:export\s+|set\s+|ENV\s+|-\s+)?["']?[\w.-]{1,128}["']?\s*[=:]\s*(?P<value>\S.*?)\s*,?\s*$""", re.MULTILINE
)
_RUN = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
_URL_PASSWORD = re.compile(r"://[^\s:/@]*:([^\s/@]+)@")
_HARMLESS = re.compile(
    r"(?i)true|false|yes|no|on|off|none|null|debug|info|warn(?:ing)?|error|production|prod|development|dev|staging|test(?:ing)?|local(?:host)?(?::\d+)?|"
    r"[\d.,:]{1,7}|\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?|[a-z]+://[^:@]*(?::\d+)?(?:/[^@]*)?|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}(?::\d+)?|[~./][\w./-]*|[\w.+-]+@[\w.-]+|[a-z]{2}[-_][A-Z]{2}|"
    r"[a-z]{2}-[a-z]+-\d"
)
_WRAPPED = re.compile(r"(?:[A-Za-z0-9+/]{40,}\r?\n)+[A-Za-z0-9+/]*={0,2}")
"""Lines of base64 or hexadecimal, as `base64` and `xxd -p` break them."""


def values_in(text: str) -> Iterator[str]:
    """What of a denied file is to be known: values of `KEY=value` and `key: value` lines, passwords in them, lines of keys."""
    for match in _LINE.finditer(text):
        value = match["value"].strip("\"'`;, ")
        yield value
        yield from _URL_PASSWORD.findall(value)
    yield from _RUN.findall(text)
    stripped = text.strip()
    if stripped and "\n" not in stripped and " " not in stripped:  # a file that is a token and nothing else
        yield stripped


class Known:
    """Values, and where a text has one of them."""

    def __init__(self) -> None:
        self._values: dict[str, None] = {}
        self._variants: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def add(self, values: Iterable[str]) -> None:
        """Values of eight characters or more that are no common words; others are left out, and so is what is beyond 2,000."""
        for value in values:
            for line in value.splitlines():
                line = line.strip()[:_MOST]
                if len(self._values) < _MOST_VALUES and is_worth_knowing(line):
                    self._values[line] = None
                    self._variants |= {
                        variant: line for variant in variants(line) if self._variants.get(variant, line) == line
                    }
                    self._pattern = None

    def find(self, text: str) -> Iterator[tuple[list[tuple[int, int]], str]]:
        """The places, with the value. A value that is broken over lines has several."""
        if not self._variants:
            return
        if self._pattern is None:
            self._pattern = re.compile(_trie(self._variants))
        for match in self._pattern.finditer(text):
            yield [match.span()], self._variants[match[0]]
        for block in _WRAPPED.finditer(text):
            yield from self._across_lines(text, block)

    def _across_lines(self, text: str, block: re.Match[str]) -> Iterator[tuple[list[tuple[int, int]], str]]:
        assert self._pattern is not None
        places = [place for place in range(*block.span()) if not text[place].isspace()]
        joined = "".join(text[place] for place in places)
        for match in self._pattern.finditer(joined):
            span = places[match.start() : match.end()]
            if span[-1] - span[0] + 1 != len(span):
                yield _stretches(span), self._variants[match[0]]


def is_worth_knowing(value: str) -> bool:
    """Whether masking it everywhere hides a secret rather than a word."""
    if _HARMLESS.fullmatch(value) or is_placeholder(value) or len(set(value)) < 4:
        return False
    if len(value) >= _LEAST:
        return not (is_words(value) and len(value) < 12) or (
            value.isalpha() and not value.islower() and not value.istitle()
        )
    return len(value) >= 6 and any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def variants(value: str) -> set[str]:
    """The value in every dress. Of base64, what does not depend on what stands before and behind it."""
    data = value.encode("utf-8", "surrogateescape")
    found = {value, value[::-1], data.hex(), data.hex().upper(), quote(value, safe="", errors="replace")}
    found |= {
        quote_plus(value, errors="replace"),
        json.dumps(value)[1:-1],
        escape(value),
        escape(value, quote=False),
        repr(value)[1:-1],
    }
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + data).decode()
        inner = encoded[(0, 2, 3)[offset] : len(encoded) - (0, 3, 2)[(offset + len(data)) % 3]]
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {one for one in found if len(one) >= 6}


def _stretches(places: list[int]) -> list[tuple[int, int]]:
    found, start = [], places[0]
    for before, place in zip(places, [*places[1:], -1], strict=True):
        if place != before + 1:
            found.append((start, before + 1))
            start = place
    return found


def _trie(words: Iterable[str]) -> str:
    """A pattern for any of the words, longest first, that looks at no character twice for two words that begin alike."""
    groups: dict[str, list[str]] = {}
    for word in words:
        groups.setdefault(word[:2], []).append(word)
    parts = []
    for head, members in groups.items():
        rests = "|".join(re.escape(word[2:]) for word in sorted(members, key=len, reverse=True))
        parts.append(f"{re.escape(head)}(?:{rests})")
    return "|".join(parts)
