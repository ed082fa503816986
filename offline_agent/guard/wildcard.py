"""Patterns of rules, as OpenCode has them, and what in them is plain text.

    *    any characters, none too; a slash and a line feed are characters      ?    exactly one character
    a trailing " *" makes arguments optional: `ls *` is `ls` and `ls -l`       everything else is itself

A pattern stands for the whole value. It may come from a stranger's repository, so no pattern can make the match slow: what stands
between two stars is looked for once, from the left, and never again (atomic groups).
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_REMEMBERED = 4096  # patterns: those of a few policies
_STARS = re.compile(r"\*+")
_WILD = re.compile(r"[*?]+")
_ARGUMENTS = " *"


def matches(pattern: str, value: str, folded: bool = False) -> bool:
    """Whether `pattern` stands for the whole of `value`. `folded` takes no account of case, nor of other ways to write the same
    letters: what a file system may take for the same name."""
    if folded:
        return bool(_compiled(fold(pattern)).match(fold(value)))
    return bool(_compiled(pattern).match(value))


@lru_cache(_REMEMBERED)
def expression(pattern: str) -> str:
    """The regular expression of a pattern, to be compiled with DOTALL."""
    base, tail = (pattern[: -len(_ARGUMENTS)], "(?: .*)?") if pattern.endswith(_ARGUMENTS) else (pattern, "")
    first, *rest = (_literal(part) for part in _STARS.split(base))
    if not rest:
        return rf"{first}{tail}\Z"
    *middle, last = rest
    found = "".join(f"(?>.*?{part})" for part in middle)
    return rf"{first}{found}.*{last}{tail}\Z"


def any_of(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """What matches where any of the patterns does, `fold`ed; None without patterns."""
    all_ = sorted({expression(fold(pattern)) for pattern in patterns})
    return re.compile("|".join(f"(?:{one})" for one in all_), re.DOTALL) if all_ else None


def fold(text: str) -> str:
    """The text without what some file systems take no account of: case, the way a letter is composed, and characters that are not
    seen (HFS+ and a case-insensitive ext4 drop them: git's CVE-2014-9390)."""
    if text.isascii():
        return text.lower()
    seen = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())


@lru_cache(_REMEMBERED)
def core(pattern: str) -> str:
    """The longest plain text in a pattern, folded, without a slash before it: `.env` of `*/.env`."""
    return max(_WILD.split(fold(pattern)), key=len).removeprefix("/")


@lru_cache(_REMEMBERED)
def names_a_file(pattern: str) -> bool:
    """Whether the last component of a path pattern has a letter or digit: `*`, `src/*` and `*.*` name none."""
    return any(character.isalnum() for character in pattern.rpartition("/")[2])


def is_wild(text: str) -> bool:
    """Whether a text would, as a pattern, stand for more than itself."""
    return _WILD.search(text) is not None


@lru_cache(_REMEMBERED)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(expression(pattern), re.DOTALL)


def _literal(part: str) -> str:
    return ".".join(re.escape(piece) for piece in part.split("?"))
