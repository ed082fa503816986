"""Where in a text a model's `old` stands, and the text with `new` in its place.

It must stand there once. Where it does not stand there at all, four slips are repaired, and only where what comes of it stands
there once: white space at the ends of lines, indentation that is off by the same for every line, line numbers or a header copied
from what a tool showed, and `\\n` written for a line feed. Nothing further is guessed: elsewhere a cascade of looser and looser
matches never fired in 134 edits.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NUMBERED = re.compile(r" *(\d+)(?::|\||\t|→| {2})[ \t]?")
_HEADER = re.compile(r"\S+ lines \d+-\d+ of \d+.*\n")
_ESCAPE = re.compile(r'\\([nt"\\])')
_ESCAPED = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_MOST_LINES = 8  # line numbers that are listed
_COUNTED = 1000  # places; a letter may stand in a million


class Refused(Exception):
    """Why a replacement cannot be made: a sentence for the model. `missing` says that `old` is nowhere."""

    def __init__(self, reason: str, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing


@dataclass(frozen=True)
class Replaced:
    """The new text, and what had to be repaired, empty for nothing."""

    text: str
    repaired: str = ""


@dataclass(frozen=True)
class _Place:
    """`text[start:end]` is to become `new`."""

    start: int
    end: int
    new: str


def replace(text: str, old: str, new: str) -> Replaced:
    """`text`, whose lines end in line feeds, with `new` in place of `old`. Raises Refused."""
    if not old:
        raise Refused("its old is empty; to replace a whole file use write, to insert give the line before as old")
    if old == new:
        raise Refused("its old and new are the same")
    for repaired, one_old, one_new in _readings(old, new):
        for also, places in (("", _exact(text, one_old, one_new)), *_loose(text, one_old, one_new)):
            if len(places) > 1:
                raise Refused(_many(text, places))
            if places:
                return _done(text, places[0], " and ".join(filter(None, (repaired, also))))
    raise Refused("its old is not in the file", missing=True)


def _readings(old: str, new: str) -> Iterator[tuple[str, str, str]]:
    """Both texts as they are, and then without each slip of copying that is in `old`."""
    yield "", old, new
    bare = _HEADER.sub("", old, count=1) if _HEADER.match(old) else old
    if (plain := _unnumbered(bare)) != old:
        yield "line numbers were left out", plain, _unnumbered(_HEADER.sub("", new, count=1))
    if "\n" not in old and "\\n" in old:
        yield r"\n was read as a line feed", _unescaped(old), _unescaped(new)


def _exact(text: str, old: str, new: str) -> list[_Place]:
    """Where `old` stands, twice at the same letters too. Nowhere for what is empty."""
    places: list[_Place] = []
    start = text.find(old) if old else -1
    while start >= 0 and len(places) < _COUNTED:
        places.append(_Place(start, start + len(old), new))
        start = text.find(old, start + 1)
    return places


def _loose(text: str, old: str, new: str) -> Iterator[tuple[str, list[_Place]]]:
    """Whole lines that are `old` but for white space at their ends; then those whose indentation is off as well."""
    lines, starts = _lines(text)
    wanted = [line.rstrip() for line in old.removesuffix("\n").split("\n")]
    if not any(wanted):
        return
    near = _candidates(lines, wanted)
    yield (
        "white space at the ends of lines was passed over",
        [_place(text, starts, at, len(wanted), old, new) for at in near if _shift(lines, at, wanted) == ("", "")],
    )
    shifted = []
    for at in near:
        moved = _indented(new, *shift) if (shift := _shift(lines, at, wanted)) else None
        if moved is not None:
            shifted.append(_place(text, starts, at, len(wanted), old, moved))
    yield "the indentation was adjusted", shifted


def _lines(text: str) -> tuple[list[str], list[int]]:
    """Lines without white space at their ends, and where each begins; one position more, the end."""
    whole = text.split("\n")
    starts = [0]
    for line in whole:
        starts.append(starts[-1] + len(line) + 1)
    return [line.rstrip() for line in whole], starts


def _candidates(lines: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where in `lines` those of `wanted` stand, whatever the indentation."""
    bare, sought = [line.lstrip() for line in lines], [line.lstrip() for line in wanted]
    last = len(lines) - len(wanted)
    return [at for at in range(last + 1) if bare[at] == sought[0] and bare[at : at + len(wanted)] == sought]


def _shift(lines: Sequence[str], at: int, wanted: Sequence[str]) -> tuple[str, str] | None:
    """What to put before each line of `wanted` to have those from `at` on, and what to take away first; None where it is not the
    same for all."""
    shifts = {_difference(line, lines[at + number]) for number, line in enumerate(wanted) if line}
    return shifts.pop() if len(shifts) == 1 else None


def _difference(line: str, other: str) -> tuple[str, str] | None:
    if other.endswith(line):
        return other[: len(other) - len(line)], ""
    return ("", line[: len(line) - len(other)]) if line.endswith(other) else None


def _indented(text: str, added: str, removed: str) -> str | None:
    """`text` with every line moved; None where a line has not what is to be taken away."""
    moved = []
    for line in text.split("\n"):
        if line.strip() and not line.startswith(removed):
            return None
        moved.append(f"{added}{line[len(removed) :]}" if line.strip() else line)
    return "\n".join(moved)


def _place(text: str, starts: Sequence[int], at: int, count: int, old: str, new: str) -> _Place:
    """Whole lines; with their last line feed where `old` has one."""
    end = starts[at + count] - 1
    if not old.endswith("\n"):
        return _Place(starts[at], end, new)
    if end < len(text):
        return _Place(starts[at], end + 1, new)
    return _Place(starts[at], end, new.removesuffix("\n"))  # the file does not end in a line feed, and stays so


def _done(text: str, place: _Place, repaired: str) -> Replaced:
    result = text[: place.start] + place.new + text[place.end :]
    if result == text:
        raise Refused("it changes nothing: the file is like that already")
    return Replaced(result, repaired)


def _many(text: str, places: Sequence[_Place]) -> str:
    numbers = [str(text.count("\n", 0, place.start) + 1) for place in places[:_MOST_LINES]]
    more = ", ..." if len(places) > _MOST_LINES else ""
    where = f"{'line' if len(set(numbers)) == 1 else 'lines'} {', '.join(dict.fromkeys(numbers))}{more}"
    times = f"{len(places)} times{' or more' if len(places) == _COUNTED else ''}"
    return f"its old stands there {times} ({where}); give more of the lines round the one that is meant"


def _unnumbered(text: str) -> str:
    """Without the numbers that stand before every line and count up; the text itself where they do not."""
    lines = text.removesuffix("\n").split("\n")
    found = [_NUMBERED.match(line) for line in lines]
    numbers = [int(one[1]) for one in found if one]
    if len(numbers) < len(lines) or numbers != list(range(numbers[0], numbers[0] + len(lines))):
        return text
    bare = "\n".join(line[one.end() :] for line, one in zip(lines, found, strict=True) if one)
    return bare + "\n" * text.endswith("\n")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPED[found[1]], text)
