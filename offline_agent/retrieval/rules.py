"""The rules of the ranking: each looks at what is known and says what every chunk gains or loses, and why.

A rule is a pure function of the evidence, the scores so far and its weight in `index/ranking.toml`. A weight of 0 turns it off.
They run in the order of RULES, each on the scores that those before it left.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from offline_agent.retrieval.evidence import Candidate, Evidence
from offline_agent.retrieval.graph import neighbour_scores
from offline_agent.retrieval.kinds import is_configuration, is_docs, is_test, is_vendored
from offline_agent.retrieval.terms import split_identifier, stem, words

_IMPORTS = 60  # lines at the top of a file
_SIBLINGS = 6  # chunks of one file that count for each other
_FADING = 0.5
_SEEDS = 5  # files whose neighbours gain
_REMEMBERED = 20_000  # names: every search looks at some hundred again


class Gain(NamedTuple):
    amount: float
    why: str = ""


Scores = Mapping[int, float]
Rule = Callable[[Evidence, Scores, float], dict[int, Gain]]


def definition(evidence: Evidence, scores: Scores, weight: float) -> dict[int, Gain]:
    """A definition all of whose name is in the question is more likely meant than one that only mentions the same words."""
    asked = {stem(term) for term in evidence.query.title_terms}
    gains = {}
    for number, one in evidence.candidates.items():
        name = one.symbol.rpartition(".")[2]
        if one.kind in ("function", "class") and _is_said(name, asked):
            gains[number] = Gain(weight * _telling(name), f"its name is in the question: {one.symbol}")
    return gains


def function(evidence: Evidence, scores: Scores, weight: float) -> dict[int, Gain]:
    """What is described in words is what something does, and that is done by functions."""
    return {number: Gain(weight, "a function") for number, one in evidence.candidates.items() if one.kind == "function"}


def verb(evidence: Evidence, scores: Scores, weight: float) -> dict[int, Gain]:
    """A description begins with what is done, and so does the name of what does it: "Draw the graph", draw_networkx."""
    first = {stem(word.lower()) for word in words(evidence.query.title)[:1]}
    return {
        number: Gain(weight, f"the question begins with a word of its name: {one.symbol}")
        for number, one in evidence.candidates.items()
        if one.kind == "function" and first & _stems(one.symbol.rpartition(".")[2])
    }


def file_name(evidence: Evidence, scores: Scores, weight: float) -> dict[int, Gain]:
    """A file whose own name is in the question: "Raise error when blueprint name contains a dot", blueprints.py."""
    asked = {stem(term) for term in evidence.query.title_terms}
    gains = {}
    for number, one in evidence.candidates.items():
        if _is_said(_own_name(one.path), asked):
            gains[number] = Gain(weight, f"its file's name is in the question: {one.path.rpartition('/')[2]}")
    return gains


def coherence(evidence: Evidence, scores: Scores, weight: float) -> dict[int, Gain]:
    """A file with several good chunks is more likely the right one than a file with a single lucky one."""
    gains = {}
    for path, numbers in by_file(evidence, scores).items():
        best = sorted([scores[number] for number in numbers], reverse=True)
        mass = sum(score * _FADING**rank for rank, score in enumerate(best[1:_SIBLINGS], 1))
        if mass > 0:
            why = f"{len(numbers)} chunks of {path}"
            for number in numbers:
                share = scores[number] / best[0] if best[0] > 0 else 0.0
                gains[number] = Gain(weight * mass * share, why)
    return gains


def graph(evidence: Evidence, scores: Scores, weight: float) -> dict[int, Gain]:
    """What good files use, and who uses them, is near what is asked about."""
    files = by_file(evidence, scores)
    best = {path: max(scores[number] for number in numbers) for path, numbers in files.items()}
    seeds = dict(sorted(best.items(), key=lambda item: -item[1])[:_SEEDS])
    near = neighbour_scores(evidence.edges_of(list(seeds)), seeds)
    return {
        number: Gain(weight * near[path].score * _relative(scores[number], best[path]), near[path].why)
        for path, numbers in files.items()
        if path in near
        for number in numbers
    }


def tests(evidence: Evidence, scores: Scores, weight: float) -> dict[int, Gain]:
    """Tests repeat the words of the code that they are about: the code comes first unless tests are asked for."""
    if evidence.query.wants_tests:
        return {}
    return _demoted(evidence, scores, weight, is_test, "a test, and tests were not asked for")


def docs(evidence: Evidence, scores: Scores, weight: float) -> dict[int, Gain]:
    if evidence.query.wants_docs:
        return {}
    return _demoted(evidence, scores, weight, is_docs, "documentation, which was not asked for")


def vendored(evidence: Evidence, scores: Scores, weight: float) -> dict[int, Gain]:
    if evidence.query.wants_vendored:
        return {}
    return _demoted(evidence, scores, weight, is_vendored, "code of others that is carried along")


def configuration(evidence: Evidence, scores: Scores, weight: float) -> dict[int, Gain]:
    """Data and build scripts: seldom where behaviour is."""
    return _demoted(evidence, scores, weight, is_configuration, "data or a build script")


def imports(evidence: Evidence, scores: Scores, weight: float) -> dict[int, Gain]:
    """Code outside any definition, mostly imports, names everything and explains nothing."""
    return {
        number: Gain(-weight * scores[number], "no definition")
        for number, one in evidence.candidates.items()
        if one.kind == "module" and one.start_line < _IMPORTS
    }


RULES: dict[str, Rule] = {
    "definition": definition,
    "function": function,
    "verb": verb,
    "file_name": file_name,
    "imports": imports,
    "coherence": coherence,
    "graph": graph,
    "tests": tests,
    "docs": docs,
    "vendored": vendored,
    "configuration": configuration,
}


def by_file(evidence: Evidence, scores: Iterable[int]) -> dict[str, list[int]]:
    files: dict[str, list[int]] = defaultdict(list)
    for number in scores:
        files[evidence.candidates[number].path].append(number)
    return files


def _relative(score: float, best: float) -> float:
    """What a file gains goes to its best chunks."""
    return max(score, 0.0) / best if best > 0 else 0.0


def _demoted(
    evidence: Evidence, scores: Scores, weight: float, holds: Callable[[str], bool], why: str
) -> dict[int, Gain]:
    """`weight` is the share that is taken away. What the question names outright keeps its place."""
    return {
        number: Gain(-weight * scores[number], why)
        for number, one in evidence.candidates.items()
        if scores[number] > 0 and holds(one.path) and not _named(one)
    }


def _named(one: Candidate) -> bool:
    return one.signals.get("path", 0.0) == 1.0


def _is_said(name: str, asked: set[str]) -> bool:
    stems = _stems(name)
    return bool(stems) and stems <= asked


@lru_cache(_REMEMBERED)
def _stems(name: str) -> frozenset[str]:
    return frozenset(map(stem, split_identifier(name)))


@lru_cache(_REMEMBERED)
def _own_name(path: str) -> str:
    """What a file is called: of an `__init__.py` or `index.ts` its directory's name."""
    directory, _, file = path.rpartition("/")
    stem = file.partition(".")[0].strip("_")
    return directory.rpartition("/")[2] if stem in ("init", "index", "mod", "main", "lib") else stem


def _telling(name: str) -> float:
    """How much a name says that is in the question: two words of a compound are seldom there by chance."""
    return min(1.0, 0.5 * len(set(split_identifier(name))))
