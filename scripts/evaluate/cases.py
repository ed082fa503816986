"""Questions with known answers, and what it means to have found one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DEPTH = 10
"""Nobody reads further: what comes later is not found."""
TOPS = (1, 3, 5, 10)

Spot = tuple[str, str]
"""A path and, where definitions are looked for, the symbol there; else an empty one."""
Found = Mapping[str, Sequence[Spot]]
"""By ranking: what it found, best first, each once."""


@dataclass(frozen=True)
class Target:
    """A file, or with a line (from 1) the definition there."""

    path: str
    line: int = 0


@dataclass(frozen=True)
class Case:
    """A question, and where its answer is: in every one of `wanted`, or in any."""

    name: str
    question: str
    wanted: tuple[Target, ...]
    every: bool = True


@dataclass(frozen=True)
class Round:
    """A state of a directory tree and what is asked of it.

    Rounds of one `subject` follow each other in one directory with one index. `fill` brings the scratch directory to this state;
    without it `root` is looked at where it is, and nothing there is changed.
    """

    subject: str
    cases: tuple[Case, ...]
    fill: Callable[[Path], None] | None = None
    root: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """By ranking the place, from 1, where the answer was complete, None where it never was; and what came first with all rankings
    together. `missing` is what the index does not hold: no ranking could have found it."""

    case: Case
    subject: str
    places: Mapping[str, int | None]
    first: str
    missing: tuple[str, ...] = ()


def place(order: Sequence[Spot], wanted: Iterable[Spot], every: bool) -> int | None:
    """The place, from 1, of the last of `wanted`, or without `every` of the first. None where that is not in `order`."""
    known = {spot: number for number, spot in enumerate(order, 1)}
    found = [known.get(spot) for spot in wanted]
    here = [number for number in found if number is not None]
    if not here or (every and len(here) < len(found)):
        return None
    return max(here) if every else min(here)


def accuracy(places: Sequence[int | None], top: int) -> float:
    """The share of questions, in percent, whose answer was among the first `top`."""
    return 100 * sum(one is not None and one <= top for one in places) / len(places)


def reciprocal_rank(places: Sequence[int | None]) -> float:
    """The mean of 1/place (MRR@10): 0 for what is not among the first ten."""
    return sum(1 / one for one in places if one is not None and one <= DEPTH) / len(places)


def measures(places: Sequence[int | None]) -> dict[str, float]:
    """What the table shows of one ranking; `places` is not empty."""
    shares = {f"Acc@{top}": accuracy(places, top) for top in TOPS}
    return {**shares, "MRR@10": reciprocal_rank(places)}
