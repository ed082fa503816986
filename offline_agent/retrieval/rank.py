"""One order from several: reciprocal rank fusion. Pure functions over chunk numbers and paths."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_TEST = re.compile(r"(^|/)(tests?|testing|spec)/|(^|/)(test_[^/]*|conftest\.py|[^/]*_test\.[^/.]+)$", re.IGNORECASE)
_DOCS = re.compile(
    r"(^|/)(docs?|documentation|examples?)/|\.(md|rst|txt)$|(^|/)(changes|changelog|history|news)[^/]*$", re.IGNORECASE
)
_ABOUT_TESTS = re.compile(r"\b(un)?test(s|ed|ing)?\b|\bfixtures?\b|conftest", re.IGNORECASE)
_ABOUT_DOCS = re.compile(
    r"\b(docs?|documentation|documented|readme|changelog|examples?|tutorials?|release)\b", re.IGNORECASE
)
_DEMOTED = 0.75  # about twenty ranks


class Ranking(NamedTuple):
    """Chunk ids, best first. Each gives weight / (steepness + rank): a small steepness makes the order all but final."""

    name: str
    ids: tuple[int, ...]
    weight: float = 1.0
    steepness: float = 60.0


class Fused(NamedTuple):
    id: int
    score: float
    found_by: tuple[str, ...]


def fuse(rankings: Iterable[Ranking], paths: Mapping[int, str], query: str) -> list[Fused]:
    """All that any ranking found and whose path is known, best first; ties by number, so the order never varies."""
    scores: dict[int, float] = {}
    finders: dict[int, list[str]] = {}
    for ranking in rankings:
        for rank, number in enumerate(ranking.ids, 1):
            scores[number] = scores.get(number, 0.0) + ranking.weight / (ranking.steepness + rank)
            names = finders.setdefault(number, [])
            if ranking.name not in names:
                names.append(ranking.name)
    fused = [
        Fused(number, score * _standing(paths[number], query), tuple(finders[number]))
        for number, score in scores.items()
        if number in paths
    ]
    return sorted(fused, key=lambda one: (-one.score, one.id))


def is_test(path: str) -> bool:
    return _TEST.search(path) is not None


def mentions_tests(query: str) -> bool:
    return _ABOUT_TESTS.search(query) is not None


def _standing(path: str, query: str) -> float:
    """Tests and documentation repeat the words of the code they are about: the code comes first unless they are asked for."""
    if is_test(path):
        return 1.0 if mentions_tests(query) else _DEMOTED
    if _DOCS.search(path):
        return 1.0 if _ABOUT_DOCS.search(query) else _DEMOTED
    return 1.0
