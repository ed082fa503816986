"""A regular expression that a model wrote -> the lines it matches, within a time. A hostile one ends with the time, never later."""

import time

import regex  # type: ignore[import-untyped]  # nobody publishes its types with it

from offline_agent.tools.cut import brief

Lines = list[tuple[int, str, int]]
"""Line numbers from 1, the lines, and the character where each first matches."""

_LEAST = 0.001  # seconds: none at all would mean no limit

# What matches in a line matches in the whole text too, where line feeds are: unless it looks round itself, gives nothing back, or
# means the ends of the text. Measured on a million lines: 12 ms for the whole text, 2.8 s line by line with a time limit.
_NEEDS_LINES = regex.compile(r"\\[AZzGK]|\(\?(?!:|i\)|P?<\w)|\(\*|[*+?}]\+")


class OutOfTime(Exception):
    """The time that the search was given is over."""


class NoPattern(Exception):
    """It is no regular expression; the message says why, for a model."""


class Matcher:
    """Matches for `seconds` at most, all texts together, from its making on. Raises NoPattern."""

    def __init__(self, pattern: str, ignore_case: bool, seconds: float) -> None:
        flags = regex.MULTILINE | (regex.IGNORECASE if ignore_case else 0)
        try:
            self._pattern = regex.compile(pattern, flags)
        except regex.error as error:
            raise NoPattern(_why(pattern, f"{error.msg} at character {(error.pos or 0) + 1}")) from None
        except (RecursionError, OverflowError):
            raise NoPattern(_why(pattern, "it is too deeply nested")) from None
        self._whole = not _NEEDS_LINES.search(pattern)
        self._deadline = time.monotonic() + seconds

    def lines(self, text: str) -> Lines:
        """The lines of `text` that match. Raises OutOfTime."""
        if self._whole and self._found(text) is None:
            return []
        lines = text.removesuffix("\n").split("\n")
        found = ((number, line, self._found(line)) for number, line in enumerate(lines, 1))
        return [(number, line, start) for number, line, start in found if start is not None]

    def _found(self, text: str) -> int | None:
        left = max(self._deadline - time.monotonic(), _LEAST)
        try:
            match = self._pattern.search(text, timeout=left)
        except (TimeoutError, MemoryError):  # one that calls itself, `(?R)`, takes memory without end
            raise OutOfTime from None
        if left == _LEAST:
            raise OutOfTime
        return match.start() if match else None


def _why(pattern: str, reason: str) -> str:
    literal = regex.escape(pattern, special_only=True)
    return (
        f"{brief(pattern)!r} is no regular expression: {reason}. "
        f"To find it letter by letter, search for {brief(literal, 200)!r}."
    )
