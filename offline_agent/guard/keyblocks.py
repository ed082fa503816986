"""Private keys over several lines. The lines stay, and what frames them: only what is written on them goes.

    -----BEGIN RSA PRIVATE KEY-----      -----BEGIN RSA PRIVATE KEY-----
    MIIEpAIBAAKCAQEA7bq...               [redacted:private-key#1]
    q83Xk2s...                    ->
    -----END RSA PRIVATE KEY-----        -----END RSA PRIVATE KEY-----

Also where each line has something in front (numbers, quotes, `+`), where the line breaks are written as \\\\n, and where the end is
missing because only a range was read.
"""

import re
from collections.abc import Iterator

from offline_agent.guard.entropy import is_words
from offline_agent.guard.formats import Span

_BEGIN = re.compile(
    r"-----?\s?BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?\s?-----?|^PuTTY-User-Key-File-\d: .*|^Private-Lines: \d+",
    re.MULTILINE,
)
_END = re.compile(r"-----?\s?END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?\s?-----?|^Private-MAC: ", re.MULTILINE)
_RUN = re.compile(
    r"(?:(?<=\n\+)|(?<![\\A-Za-z0-9+/])(?!(?<=\n)\+))[A-Za-z0-9+/]{16,}={0,2}|(?<=\\[nr])[A-Za-z0-9+/]{16,}={0,2}"
)
_FULL = re.compile(r"[A-Za-z0-9+/]{40}")  # a line of a key has 64 characters, 70 in OpenSSH's
_LAST = re.compile(r"(?!(?<=\n)\+)[A-Za-z0-9+/]{1,80}={0,2}(?=(?:\\[nr]|[\s\"'+,;)\\])*\Z)")
_SHORT = re.compile(r"[A-Za-z0-9+/]{4,63}={0,2}$", re.MULTILINE)
_LINE = re.compile(r"[^\n]*\n?")
_LONGEST = 20_000  # characters of a block: an RSA key of 16,384 bits has 12,700
_KIND = "private-key"


def find_key_blocks(text: str) -> Iterator[list[Span]]:
    """The pieces of each key."""
    if "PRIVATE KEY" not in text and "PuTTY-User-Key" not in text and "Private-Lines" not in text:
        return
    ends = [match.start() for match in _END.finditer(text)]
    begins = [match.end() for match in _BEGIN.finditer(text)]
    at = 0
    for number, start in enumerate(begins):
        while at < len(ends) and ends[at] < start:
            at += 1
        following = begins[number + 1] if number + 1 < len(begins) else len(text)
        limit = min(following, start + _LONGEST)
        ended = at < len(ends) and ends[at] <= limit
        stop = ends[at] if ended else _where_it_breaks_off(text, start, limit)
        if pieces := list(_pieces(text, start, stop, ended)):
            yield pieces


def _pieces(text: str, start: int, stop: int, ended: bool) -> Iterator[Span]:
    reached = start
    for match in _RUN.finditer(text, start, stop):
        if not is_words(match[0]):
            yield Span(match.start(), match.end(), _KIND)
            reached = match.end()
    if ended and reached > start and (last := _LAST.search(text[max(reached, stop - 200) : stop])):
        offset = max(reached, stop - 200)
        if last[0] not in {"n", "r"}:
            yield Span(offset + last.start(), offset + last.end(), _KIND)


def _where_it_breaks_off(text: str, start: int, limit: int) -> int:
    """The end of the last line in a row, from the first, that has a piece of a key on it."""
    reached, position = start, text.find("\n", start, limit) + 1 or limit
    if _FULL.search(text, start, position):
        reached = position
    while position < limit:
        line = _LINE.match(text, position, limit)
        if not line or not line[0] or not (_FULL.search(line[0]) or ": " in line[0][:40] or not line[0].strip()):
            break
        position = line.end()
        if _FULL.search(line[0]):
            reached = position
    short = _SHORT.match(text, reached, limit)
    return short.end() if short and reached > start and not is_words(short[0].strip()) else reached
