"""The lines of a text that come nearest to what a model thought was there, so that it can copy them."""

import re
from collections import Counter
from difflib import SequenceMatcher, get_close_matches
from heapq import nsmallest

_MOST_LINES = 16  # that are quoted
_AROUND = 2  # lines more on either side
_LOOKED_AT = 20_000  # lines of a file
_LIKENESS = 0.5  # of single lines; less than that helps nobody
_REFINED = 5  # windows that are compared letter by letter
_COMPARED = 50  # single lines that are
_WIDEST = 200  # characters of a line
_WORD = re.compile(r"\w{2,}")


def nearest_lines(text: str, old: str) -> str:
    """`12: line` for each line of the nearest place; empty where nothing is near."""
    lines = text.removesuffix("\n").split("\n")[:_LOOKED_AT]
    wanted = [line.strip() for line in old.strip("\n").split("\n")]
    start = _nearest(lines, wanted)
    if start is None:
        return ""
    first = max(0, start - _AROUND)
    shown = lines[first : min(start + len(wanted) + _AROUND, first + _MOST_LINES)]
    return "\n".join(f"{number}: {line[:_WIDEST]}" for number, line in enumerate(shown, first + 1))


def _nearest(lines: list[str], wanted: list[str]) -> int | None:
    """Where the most like run of lines begins: of those with the most lines in common the most alike; else where one line is like
    the longest that is wanted."""
    bare = [line.strip() for line in lines]
    if starts := _in_common(bare, wanted):
        text = "\n".join(wanted)
        return max(starts, key=lambda at: (_likeness(text, "\n".join(bare[at : at + len(wanted)])), -at))
    longest = max(range(len(wanted)), key=lambda number: len(wanted[number]))
    like = get_close_matches(wanted[longest], _sharing_words(bare, wanted[longest]), 1, _LIKENESS)
    return max(0, bare.index(like[0]) - longest) if like else None


def _sharing_words(bare: list[str], wanted: str) -> list[str]:
    """The lines that share the most words with `wanted`: letters are compared in these alone, or a large file took seconds."""
    words = set(_WORD.findall(wanted))
    votes = {line: len(words.intersection(_WORD.findall(line))) for line in set(bare)}
    return [line for line, shared in nsmallest(_COMPARED, votes.items(), key=lambda vote: (-vote[1], vote[0])) if line]


def _in_common(bare: list[str], wanted: list[str]) -> list[int]:
    """Where runs begin that share lines with `wanted`: a line for each that stands where it should."""
    places = {line: number for number, line in reversed(list(enumerate(wanted))) if line}
    votes = Counter(max(0, at - places[line]) for at, line in enumerate(bare) if line in places)
    return [start for start, _ in nsmallest(_REFINED, votes.items(), key=lambda vote: (-vote[1], vote[0]))]


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one[:2000], other[:2000], autojunk=False).quick_ratio()
