"""Definitions by what their lines look like, for files that a parser does not understand: half-written ones, as a rule.

A block ends where the indentation is back at its first line's, which holds for the code that people write in every language here.
"""

import re
import time
from collections.abc import Container, Iterator, Sequence
from typing import Literal, NamedTuple

_LONGEST_LINE = 200  # characters that are looked at: the patterns take quadratic time on a line that is none
_MOST_SECONDS = 0.4
_ROWS = 256  # between two looks at the clock
_LONGEST_NAME = 120


class Found(NamedTuple):
    """Rows from `start` up to but not including `end`, from 0."""

    name: str
    kind: Literal["function", "class"]
    start: int
    end: int
    signature: str


def by_lines(pattern: re.Pattern[str], lines: Sequence[str], taken: Container[int]) -> list[Found]:
    """What `pattern` names (in a group `function`, with an `owner` perhaps, or `class`) on the rows that are not taken."""
    ends = _ends(lines)
    limit = time.thread_time() + _MOST_SECONDS
    found = []
    for row, line in enumerate(lines):
        if row % _ROWS == 0 and time.thread_time() > limit:
            break
        if row in taken or (match := pattern.match(line, 0, _LONGEST_LINE)) is None:
            continue
        groups = match.groupdict()
        kind: Literal["function", "class"] = "function" if groups.get("function") else "class"
        name = ".".join(part for part in (groups.get("owner"), groups[kind]) if part).replace("::", ".")
        if name and len(name) <= _LONGEST_NAME:
            found.append(Found(name, kind, row, ends[row], " ".join(line[:_LONGEST_LINE].split()).rstrip(" {")))
    return found


def _ends(lines: Sequence[str]) -> dict[int, int]:
    """For every row that is not blank the row after its block, in one pass."""
    ends: dict[int, int] = {}
    open_rows: list[tuple[int, int]] = []
    last = 0
    for row, indent, words in _indented(lines):
        continued = words.startswith((")", "]", "{"))
        closing = words.startswith(("}", "end ")) or words == "end"
        while open_rows and indent <= open_rows[-1][1] and not (continued and indent == open_rows[-1][1]):
            begin, own = open_rows.pop()
            ends[begin] = row + 1 if closing and indent == own else last + 1
        if not continued and not closing:
            open_rows.append((row, indent))
        last = row
    ends.update((begin, last + 1) for begin, _ in open_rows)
    return {row: ends.get(row, row + 1) for row in range(len(lines))}


def _indented(lines: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    for row, line in enumerate(lines):
        words = line.strip()
        if words:
            yield row, len(line) - len(line.lstrip()), words
