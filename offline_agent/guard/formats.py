"""Secrets that are known by their form: the declarations of `index/secrets.toml`, and where a text has them.

A text is searched for how a token begins, which costs next to nothing, and a pattern looks at those places only. Every pattern is
bounded, and begins where no letter stands before, so that a text of nothing but beginnings costs no more than any other.

detect-secrets, the library that is known best for this, was measured beside it: README. It gives back the prefix alone of tokens
of GitHub, GitLab and npm, and its patterns for JSON Web Tokens and assignments take quadratic time on hostile lines.
"""

import base64
import binascii
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError, field_validator

from offline_agent.errors import UsageError
from offline_agent.guard.entropy import is_placeholder, is_words, looks_random
from offline_agent.types import Value

_LONGEST = 4500
"""Characters that any pattern may take."""


class Span(NamedTuple):
    """Where a secret stands in a text, `end` excluded."""

    start: int
    end: int
    kind: str


class Format(Value):
    """`begins`: texts of which one is in every such secret, at most `back` characters behind where `pattern` begins. `pattern` has
    the secret as its group of that name, or is all of it. `check` is what the secret must be besides."""

    kind: str
    begins: tuple[str, ...]
    pattern: re.Pattern[str]
    back: int = 0
    check: Literal["", "jwt", "pair", "random", "password"] = ""

    @field_validator("pattern")
    @classmethod
    def _names_one_secret(cls, pattern: re.Pattern[str]) -> re.Pattern[str]:
        if set(pattern.groupindex) - {"secret"}:
            raise ValueError("the only group with a name is `secret`")
        return pattern

    def find(self, text: str) -> Iterator[Span]:
        """Where the text has such secrets."""
        whole = "secret" if "secret" in self.pattern.groupindex else 0
        valid = _CHECKS[self.check]
        for start in self._places(text):
            match = self.pattern.match(text, start, start + _LONGEST)
            if match and not is_example(match[whole]) and valid(match[whole]):
                yield Span(*match.span(whole), self.kind)

    def _places(self, text: str) -> Iterator[int]:
        """Where a match may begin."""
        for begin in self.begins:
            place = text.find(begin)
            while place >= 0:
                yield from range(max(0, place - self.back), place + 1) if self.back else (place,)
                place = text.find(begin, place + len(begin))


_FORMATS = TypeAdapter(tuple[Format, ...])


def load_formats(directory: Path) -> tuple[Format, ...]:
    """The formats of an `index/` directory. Raises UsageError when they are missing or not understood."""
    path = directory / "secrets.toml"
    try:
        return _FORMATS.validate_python(tomllib.loads(path.read_text(encoding="utf-8")).get("format", ()))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise UsageError(
            f"The formats of secrets in {path} are not right at {place}: {first['msg']}. Restore them or install again."
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The formats of secrets in {path} cannot be read ({error}): restore them or install again."
        ) from None


def is_example(text: str) -> bool:
    """Documentation's tokens say so themselves (`AKIAIOSFODNN7EXAMPLE`), or are one character all through."""
    return "EXAMPLE" in text.upper() or "XXXX" in text.upper() or len(set(text[-16:])) <= 2


def _is_token(text: str) -> bool:
    """A JSON Web Token's header is JSON (RFC 7519)."""
    head = text.partition(".")[0]
    try:
        return isinstance(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))), dict)
    except (ValueError, binascii.Error, RecursionError):
        return False


def _is_pair(text: str) -> bool:
    """What HTTP's basic authentication carries: `user:password` (RFC 7617)."""
    try:
        user, colon, password = base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-8").partition(":")
    except (ValueError, binascii.Error):
        return False
    return bool(colon) and (user + password).isprintable() and not is_placeholder(password)


def is_password(text: str) -> bool:
    """What is no placeholder and no label: a word alone may be a password, words that are joined are names of things."""
    return not is_placeholder(text) and not text.isspace() and not (is_words(text) and len(text) > 16)


_CHECKS: dict[str, Callable[[str], bool]] = {
    "": lambda text: True,
    "jwt": _is_token,
    "pair": _is_pair,
    "random": looks_random,
    "password": is_password,
}
