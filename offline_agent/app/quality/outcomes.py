"""What came of one case, and of all."""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TypeVar

from offline_agent.benchmarks import Score
from offline_agent.models import ModelCard
from offline_agent.types import Value

_Case = TypeVar("_Case")
_Came = TypeVar("_Came")

Progress = Callable[[int, int], None]
"""Called with how many cases are done and how many there are, first with none done."""


class Outcome(Value):
    """What came of a case. `failure` is a sentence that names the case, "" where it was `right`."""

    right: bool
    failure: str = ""
    seconds: float = 0.0


Seen = Callable[[Outcome], None]
"""Called with each outcome as it comes."""


class Graded(Value):
    """`score` is None where nothing could be measured; `notes` are sentences: why not, or what the score does not tell."""

    score: Score | None = None
    notes: tuple[str, ...] = ()


def score_of(outcomes: Iterable[Outcome]) -> Score:
    """The outcomes of a measurement, or of the part of one that was done, as a score."""
    done = list(outcomes)
    return Score(
        right=sum(outcome.right for outcome in done),
        of=len(done),
        seconds=sum(outcome.seconds for outcome in done),
        failures=tuple(outcome.failure for outcome in done if not outcome.right),
    )


def judged(cases: Sequence[_Case], judge: Callable[[_Case], str], progress: Progress, seen: Seen) -> Score:
    """Judges one case after the other: `judge` says in a sentence what was wrong, or "". Raises what `judge` raises."""
    outcomes: list[Outcome] = []
    progress(0, len(cases))
    for case in cases:
        started = time.monotonic()
        failure = judge(case)
        outcomes.append(Outcome(right=not failure, failure=failure, seconds=time.monotonic() - started))
        seen(outcomes[-1])
        progress(len(outcomes), len(cases))
    return score_of(outcomes)


def drained(going: Generator[object, None, _Came]) -> _Came:
    """What a generator returns once it has said everything."""
    while True:
        try:
            next(going)
        except StopIteration as end:
            came: _Came = end.value
            return came


def why_no_tools(card: ModelCard) -> str:
    """A sentence where a model cannot work with tools, else ""."""
    if card.converses:
        return ""
    return f"{card.name} cannot go on from what a tool returned: that was not measured."


def ignore(*_: object) -> None:
    """For whoever wants to hear of neither progress nor outcomes."""
