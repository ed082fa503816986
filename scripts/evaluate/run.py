"""Rounds of questions, one after the other: fill the directory, bring the index in step, ask, note where the answers were."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from scripts.evaluate.cases import Case, Outcome, Round, place
from scripts.evaluate.progress import Meter
from scripts.evaluate.rankings import FULL, answers
from scripts.evaluate.subject import Subject, Tools


@dataclass(frozen=True)
class How:
    """Whether definitions are looked for or files, whether parts are left out, and whether files that are no source code count."""

    definitions: bool = False
    ablation: bool = True
    source_only: bool = False


def run(rounds: Sequence[Round], work: Path, tools: Tools, meter: Meter, how: How) -> Iterator[Outcome]:
    """Outcomes as they come. What is in `work` from another run is used again: vectors are kept by content."""
    opened = ""
    with ExitStack() as held:
        for one in rounds:
            meter.begin(one.subject, len(one.cases))
            base = work / one.subject.replace("/", "__")
            root = one.root or base / "tree"
            if one.fill is not None:
                root.mkdir(parents=True, exist_ok=True)
                one.fill(root)
            if opened != one.subject:
                held.close()
                subject = held.enter_context(Subject(root, base / "data", tools, how.definitions))
                opened = one.subject
            subject.refresh(meter.work)
            for case in one.cases:
                yield outcome(subject, case, one.subject, how)
                meter.asked()


def outcome(subject: Subject, case: Case, name: str, how: How) -> Outcome:
    found = answers(subject, case.question, how.ablation)
    if how.source_only:
        found = {name: [spot for spot in order if subject.is_source(spot[0])] for name, order in found.items()}
    spots = {target: subject.resolve(target) for target in case.wanted}
    # What is not in the index keeps its place among the wanted: it cannot be found, and that counts.
    wanted = [spot or (target.path, "") for target, spot in spots.items()]
    first = next(iter(found[FULL]), ("", ""))
    return Outcome(
        case=case,
        subject=name,
        places={name: place(order, wanted, case.every) for name, order in found.items()},
        first=":".join(part for part in first if part),
        missing=tuple(target.path for target, spot in spots.items() if spot is None),
    )
