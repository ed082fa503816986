"""One order from all evidence: weighed signals, then the rules, then no more than is useful of one file."""

import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, FiniteFloat, ValidationError

from offline_agent.errors import IndexUnavailable
from offline_agent.retrieval.evidence import RANKINGS, Candidate, Evidence
from offline_agent.retrieval.query import Shape
from offline_agent.retrieval.rules import RULES
from offline_agent.types import Reason, Value


class Weights(Value):
    """How much each ranking and each rule counts for one shape of question. What is not named counts nothing."""

    rankings: dict[str, FiniteFloat] = Field(default_factory=dict)
    rules: dict[str, FiniteFloat] = Field(default_factory=dict)
    repeated: float = 1.0
    """Each further chunk of a file keeps this share of its score."""
    reranker: float = 0.0
    """How much of the order of the best is the reranker's, where there is one."""

    def without(self, name: str) -> "Weights":
        """As if the ranking, the rule, `repeated` or the `reranker` of this name were not there: for the ablation."""
        return Weights(
            rankings={key: value for key, value in self.rankings.items() if key != name},
            rules={key: value for key, value in self.rules.items() if key != name},
            repeated=1.0 if name == "repeated" else self.repeated,
            reranker=0.0 if name == "reranker" else self.reranker,
        )


Note = tuple[str, float, str]
"""A ranking or a rule, the amount it adds, and why: a Reason in the making. There are thousands, of which a few are ever read."""


class Ranked(NamedTuple):
    candidate: Candidate
    score: float
    notes: tuple[Note, ...]

    @property
    def reasons(self) -> tuple[Reason, ...]:
        return tuple(Reason(rule=rule, amount=amount, detail=why) for rule, amount, why in self.notes)


def load_weights(declarations: Path) -> dict[Shape, Weights]:
    """The weights for each shape of question, from `ranking.toml`. Raises IndexUnavailable when it is not understood."""
    path = declarations / "ranking.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        _know("shape of question", values, list(Shape))
        return {shape: _weights(shape, values) for shape in Shape}
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, no TOML, or not these values
        raise IndexUnavailable(f"The ranking weights {path} are not right: {error}. Install again.") from None


def _weights(shape: Shape, values: Mapping[str, object]) -> Weights:
    """Raises ValueError, in which no name is missing that a person needs to find the mistake."""
    if shape not in values:
        raise ValueError(f"there is no [{shape}]")
    try:
        weights = Weights.model_validate(values[shape])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in (shape, *first["loc"]))
        raise ValueError(f"{where}: {first['msg']}") from None
    _know("ranking", weights.rankings, RANKINGS)
    _know("rule", weights.rules, RULES)
    return weights


def _know(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raises ValueError for a name that means nothing: a weight that is misspelt would count nothing, and nobody would know."""
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r} is no {what} ({', '.join(known)})")


def rank(evidence: Evidence, weights: Weights) -> list[Ranked]:
    """Every candidate with its reasons, best first; ties by number, so the order never varies."""
    counted = {name: weight for name, weight in weights.rankings.items() if weight}
    notes = {number: _signals(one, counted) for number, one in evidence.candidates.items()}
    scores = {number: sum([amount for _, amount, _ in some], 0.0) for number, some in notes.items()}
    for name, rule in RULES.items():
        if weight := weights.rules.get(name, 0.0):
            for number, (amount, why) in rule(evidence, scores, weight).items():
                notes[number].append((name, amount, why))
                scores[number] += amount
    ordered = sorted(scores, key=lambda number: (-scores[number], number))
    return _diversified([Ranked(evidence.candidates[n], scores[n], tuple(notes[n])) for n in ordered], weights)


def _signals(one: Candidate, counted: Mapping[str, float]) -> list[Note]:
    signals = one.signals
    return [
        (name, weight * signals[name], one.why.get(name, "")) for name, weight in counted.items() if name in signals
    ]


def _diversified(ranked: list[Ranked], weights: Weights) -> list[Ranked]:
    """Further chunks of a file come later: one person's question is seldom answered by a single file's neighbours."""
    if weights.repeated == 1.0:
        return ranked
    seen: dict[str, int] = defaultdict(int)
    damped = []
    for one in ranked:
        candidate, score, notes = one
        before = seen[candidate.path]
        seen[candidate.path] += 1
        if before:
            loss = score * (1.0 - weights.repeated**before)
            one = Ranked(candidate, score - loss, (*notes, ("repeated", -loss, f"{before} better of this file")))
        damped.append(one)
    return sorted(damped, key=lambda one: -one.score)
