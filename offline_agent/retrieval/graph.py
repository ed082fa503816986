"""Who uses whom, between files: edges from names and imports, a step along them, and how much rests on each file.

An edge goes from a file to what it uses. It is made when asked for, from the tables of links.py, so it is as current as they are.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from offline_agent.retrieval.links import Reference
from offline_agent.retrieval.modules import family, module, resolve, root_of
from offline_agent.retrieval.store import Store

_IMPORT = 0.5  # about as much as one name that only this file uses
_MOST_TIMES = 9  # that a file says a name more often than this adds nothing
_NAMES_SHOWN = 3
_USERS_SHARE = 0.5  # who uses a good file is half as likely meant as what the file uses
_DAMPING = 0.85  # Page and Brin, 1998
_ROUNDS = 60
_PRECISION = 1e-7


class Edge(NamedTuple):
    """`source` uses `target`. `why` says what of it, in words."""

    source: str
    target: str
    weight: float
    why: str = ""


class Neighbour(NamedTuple):
    score: float
    why: str


def edges(store: Store, paths: Sequence[str]) -> list[Edge]:
    """Edges from and to the given files, sorted by their ends. Who uses a name that most files use is left out."""
    files = list(store.file_ids(paths).values())
    references, imports = store.links.references_of(files), store.links.imports_of(files)
    numbers = {number for one in references for number in one[:2]} | {n for one in imports for n in (one[0], one[2])}
    known = store.file_paths(list(numbers))
    asked = set(paths)
    links = _joined(references, _resolved(imports, known, _packages(store, imports, known)), known)
    near = {pair: link for pair, link in links.items() if pair[0] in asked or pair[1] in asked}
    names = store.links.names({number for link in near.values() for number in link.telling()})
    return [Edge(*pair, link.weight, link.why(names)) for pair, link in sorted(near.items())]


def all_edges(store: Store) -> list[Edge]:
    """The whole graph, without the reasons."""
    known = {number: path for path, number in store.file_ids().items()}
    packages = {path.rpartition("/")[0] for path in known.values() if path.endswith("__init__.py")}
    imports = _resolved(store.links.imports(), known, packages)
    links = _joined(store.links.references(), imports, known)
    return [Edge(*pair, link.weight) for pair, link in sorted(links.items())]


def neighbour_scores(found: Iterable[Edge], seeds: Mapping[str, float]) -> dict[str, Neighbour]:
    """One step from the `seeds` along the edges, both ways: each passes its score on, in shares by weight, so that a file that
    everybody uses gives little to each. `why` names the seed that gave most."""
    found = list(found)
    uses, used = _weights(found, 0), _weights(found, 1)
    scores: dict[str, float] = defaultdict(float)
    best: dict[str, tuple[float, str]] = {}
    for source, target, weight, why in found:
        for seed, other, total, share, says in (
            (source, target, uses, 1.0, f"{source} {why}"),
            (target, source, used, _USERS_SHARE, f"{why} of {target}"),
        ):
            gain = seeds.get(seed, 0.0) * share * weight / (1.0 + total[seed])
            if gain > 0:
                scores[other] += gain
                best[other] = max(best.get(other, (0.0, "")), (gain, says))
    return {path: Neighbour(score, best[path][1]) for path, score in scores.items()}


def pagerank(found: Iterable[Edge], personal: Mapping[str, float]) -> dict[str, float]:
    """How much rests on each file of `personal` and of the edges; the ranks add up to 1.

    The probability of being at a file for somebody who follows edges by their weight and now and then, or where a file uses
    nothing, starts anew at a file chosen by its weight in `personal` (PageRank, by power iteration).
    """
    import numpy as np

    found = list(found)
    paths = sorted({*personal, *(edge.source for edge in found), *(edge.target for edge in found)})
    if not paths:
        return {}
    number = {path: place for place, path in enumerate(paths)}
    start = np.array([personal.get(path, 0.0) for path in paths])
    start = start / start.sum() if start.sum() > 0 else np.full(len(paths), 1.0 / len(paths))
    source = np.array([number[edge.source] for edge in found], dtype=np.intp)
    target = np.array([number[edge.target] for edge in found], dtype=np.intp)
    weight = np.array([edge.weight for edge in found], dtype=np.float64)
    leaving = np.bincount(source, weight, len(paths))
    share = weight / leaving[source]
    rank = start
    for _ in range(_ROUNDS):
        passed = np.bincount(target, rank[source] * share, len(paths)) + rank[leaving == 0].sum() * start
        last, rank = rank, _DAMPING * passed + (1 - _DAMPING) * start
        if np.abs(rank - last).sum() < _PRECISION:
            break
    return dict(zip(paths, rank.tolist(), strict=True))


def telling(definers: int, users: int) -> float:
    """How much a name says about who is meant: less the more files define it, and less the more use it."""
    return 1.0 / (definers * math.log2(1 + max(1, users)))


class _Link:
    """What joins two files."""

    def __init__(self) -> None:
        self.weight = 0.0
        self._names: dict[int, float] = {}
        self._module = ""

    def use(self, name: int, weight: float) -> None:
        self.weight += weight
        self._names[name] = weight

    def include(self, target: str) -> None:
        self.weight += _IMPORT
        self._module = target

    def telling(self) -> list[int]:
        """The names that say most."""
        return sorted(self._names, key=lambda name: (-self._names[name], name))[:_NAMES_SHOWN]

    def why(self, names: Mapping[int, str]) -> str:
        return f"uses {', '.join(names[name] for name in self.telling())}" if self._names else f"imports {self._module}"


_Imports = Mapping[tuple[int, int], str]
"""(importing file, imported file) -> what it is imported as"""


def _joined(
    references: Iterable[Reference], imports: _Imports, known: Mapping[int, str]
) -> dict[tuple[str, str], _Link]:
    links: dict[tuple[str, str], _Link] = defaultdict(_Link)
    language = {number: family(path) for number, path in known.items()}
    for source, target, name, times, definers, users in _meant(references, imports):
        if language[source] == language[target]:  # the same name in another language is a coincidence
            weight = math.sqrt(min(times, _MOST_TIMES)) * telling(definers, users)
            links[known[source], known[target]].use(name, weight)
    for (source, target), what in imports.items():
        links[known[source], known[target]].include(what)
    return links


def _meant(references: Iterable[Reference], imports: _Imports) -> list[Reference]:
    """Where several files define a name, the one that the using file imports is meant."""
    clear, doubtful = [], defaultdict(list)
    for one in references:
        if one.definers == 1:
            clear.append(one)
        else:
            doubtful[one.source, one.name].append(one)
    for some in doubtful.values():
        imported = [one for one in some if (one.source, one.target) in imports]
        clear += [one._replace(definers=len(imported)) for one in imported] or some
    return clear


def _resolved(
    imports: Iterable[tuple[int, str, int]], known: Mapping[int, str], packages: set[str]
) -> dict[tuple[int, int], str]:
    candidates: dict[tuple[int, str], list[str]] = defaultdict(list)
    for file, target, candidate in imports:
        candidates[file, target].append(known[candidate])
    numbers = {path: number for number, path in known.items()}
    resolved = {}
    for (file, target), some in candidates.items():
        for path in resolve(target, known[file], some, packages):
            resolved[file, numbers[path]] = target
    return resolved


def _packages(store: Store, imports: Iterable[tuple[int, str, int]], known: Mapping[int, str]) -> set[str]:
    """Of the directories that imports may lead from, those that are Python packages."""
    roots = {root_of(target, known[candidate]) for _, target, candidate in imports} - {None, ""}
    return {module(path) for path in store.file_ids([f"{root}/__init__.py" for root in roots])}


def _weights(found: Iterable[Edge], end: int) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for edge in found:
        totals[str(edge[end])] += edge.weight
    return totals
