"""What came out: a table for people, an object for scripts, and each question for who wants to know why."""

from collections.abc import Sequence
from typing import Any

from scripts.evaluate.cases import DEPTH, Outcome, measures
from scripts.evaluate.rankings import FULL, WITHOUT


def table(outcomes: Sequence[Outcome]) -> str:
    """A line for each ranking, in the order in which the outcomes have them, what was left out last."""
    rows = {name: measures([one.places[name] for one in outcomes]) for name in _names(outcomes)}
    columns = list(next(iter(rows.values())))
    width = max(map(len, rows)) + 2
    lines = ["".join([" " * width, *(f"{column:>8}" for column in columns)])]
    for name, row in rows.items():
        values = "".join(f"{row[column]:>8.{3 if column.startswith('MRR') else 1}f}" for column in columns)
        lines.append(f"{'  ' + name if name.startswith(WITHOUT) else name:<{width}}{values}")
    return "\n".join([*lines, "", *_remarks(outcomes)])


def listing(outcomes: Sequence[Outcome]) -> str:
    """A line for each question: the place where its answer was complete with everything, and what came first."""
    return "\n".join(_line(one) for one in outcomes)


def as_json(mode: str, outcomes: Sequence[Outcome], complete: bool) -> dict[str, Any]:
    return {
        "mode": mode,
        "complete": complete,
        "questions": len(outcomes),
        "rankings": {name: measures([one.places[name] for one in outcomes]) for name in _names(outcomes)},
        "cases": [
            {
                "name": one.case.name,
                "subject": one.subject,
                "wanted": [f"{each.path}:{each.line}" if each.line else each.path for each in one.case.wanted],
                "first": one.first,
                "missing": list(one.missing),
                "places": dict(one.places),
            }
            for one in outcomes
        ],
    }


def _names(outcomes: Sequence[Outcome]) -> list[str]:
    return sorted(outcomes[0].places, key=lambda name: name.startswith(WITHOUT)) if outcomes else []


def _remarks(outcomes: Sequence[Outcome]) -> list[str]:
    count, subjects = len(outcomes), sorted({one.subject for one in outcomes})
    said = f"{count} question{'s' * (count != 1)} about {', '.join(subjects)}; one is {100 / count:.1f} points."
    absent = sum(bool(one.missing) for one in outcomes)
    return [said, f"Of {absent}, the index does not hold all of the answer."] if absent else [said]


def _line(one: Outcome) -> str:
    reached = one.places[FULL]
    line = f"{reached or '-':>4}  {one.case.name}  {one.first}"
    if reached == 1 and not one.missing:
        return line
    wanted = ", ".join(target.path + " (not in the index)" * (target.path in one.missing) for target in one.case.wanted)
    hint = f"  only by {', '.join(better)}" if (better := _better(one)) else ""
    return f"{line}\n      wanted {wanted}{hint}"


def _better(one: Outcome) -> list[str]:
    """Rankings that found within the first ten what everything together did not."""
    if (one.places[FULL] or DEPTH + 1) <= DEPTH:
        return []
    return [name for name, reached in one.places.items() if reached is not None and reached <= DEPTH]
