"""Who uses whom, between files: edges from names and imports, a step along them, and how much rests on each file.

An edge goes from a file to what it uses. It is made when asked for, from the tables of links.py, so it is as current as they are.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from offline_agent.retrieval.links import Reference
from offline_agent.retrieval.modules import family, module, resolve, root_of
from offline_agent.retrieval.store import Store

_IMPORT = 0.5  # about as much as one name that only this file uses
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
    files = set(store.file_ids(paths).values())
    references, imports = store.links.references_of(list(files)), store.links.imports_of(list(files))
    numbers = {one[0] for one in references} | {one[1] for one in references}
    numbers |= {one[0] for one in imports} | {one[2] for one in imports}
    known = store.file_paths(list(numbers))
    links = _joined(references, _resolved(imports, known, _packages(store, imports, known)), known)
    names = store.links.names({one[2] for one in references})
    near = ((pair, link) for pair, link in links.items() if pair[0] in files or pair[1] in files)
    return sorted(Edge(known[source], known[target], link.weight, link.why(names)) for (source, target), link in near)


def all_edges(store: Store) -> list[Edge]:
    """The whole graph, without the reasons."""
    known = {number: path for path, number in store.file_ids().items()}
    packages = {path.rpartition("/")[0] for path in known.values() if path.endswith("__init__.py")}
    imports = _resolved(store.links.imports(), known, packages)
    language = {number: family(path) for number, path in known.items()}
    weights: dict[_Pair, float] = defaultdict(float, dict.fromkeys(imports, _IMPORT))
    for source, target, _, _, weight in _meant(store.links.references(), imports):
        if language[source] == language[target]:
            weights[source, target] += weight
    return [Edge(known[source], known[target], weight) for (source, target), weight in weights.items()]


def neighbour_scores(found: Iterable[Edge], seeds: Mapping[str, float]) -> dict[str, Neighbour]:
    """One step from the `seeds` along the edges, both ways: each passes its score on, in shares by weight, so that a file that
    everybody uses gives little to each. `why` names the seed that gave most."""
    found = [edge for edge in found if edge.source in seeds or edge.target in seeds]
    uses, used = _weights(found, 0), _weights(found, 1)
    scores: dict[str, float] = defaultdict(float)
    best: dict[str, tuple[float, str]] = {}

    def pass_on(other: str, gain: float, says: str) -> None:
        if gain > 0:
            scores[other] += gain
            best[other] = max(best.get(other, (0.0, "")), (gain, says))

    for source, target, weight, why in found:
        if source in seeds:
            pass_on(target, seeds[source] * weight / (1.0 + uses[source]), f"{source} {why}")
        if target in seeds:
            gain = seeds[target] * _USERS_SHARE * weight / (1.0 + used[target])
            pass_on(source, gain, f"{why} of {target}")
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


class _Link:
    """What joins two files: the weight of all that does, the names with what each says, and what is imported."""

    __slots__ = ("module", "names", "weight")

    def __init__(self) -> None:
        self.weight = 0.0
        self.names: list[tuple[float, int]] = []
        self.module = ""

    def why(self, names: Mapping[int, str]) -> str:
        if not self.names:
            return f"imports {self.module}"
        if len(self.names) == 1:
            return f"uses {names[self.names[0][1]]}"
        most = sorted(self.names, key=lambda one: (-one[0], names[one[1]]))[:_NAMES_SHOWN]
        return f"uses {', '.join(names[name] for _, name in most)}"


_Pair = tuple[int, int]
_Imports = Mapping[_Pair, str]
"""(importing file, imported file) -> what it is imported as"""


def _joined(references: Iterable[Reference], imports: _Imports, known: Mapping[int, str]) -> dict[_Pair, _Link]:
    links: dict[_Pair, _Link] = defaultdict(_Link)
    language = {number: family(path) for number, path in known.items()}
    for source, target, name, _, weight in _meant(references, imports):
        if language[source] == language[target]:  # the same name in another language is a coincidence
            link = links[source, target]
            link.weight += weight
            link.names.append((weight, name))
    for pair, what in imports.items():
        link = links[pair]
        link.weight += _IMPORT
        link.module = what
    return links


def _meant(references: Iterable[Reference], imports: _Imports) -> Iterator[Reference]:
    """Where several files define a name, the one that the using file imports is meant."""
    doubtful: dict[_Pair, list[Reference]] = defaultdict(list)
    for one in references:
        if one[3] == 1:
            yield one
        else:
            doubtful[one[0], one[2]].append(one)
    for some in doubtful.values():
        imported = [one for one in some if one[:2] in imports]
        for source, target, name, definers, weight in imported:
            yield source, target, name, definers, weight * definers / len(imported)
        if not imported:
            yield from some


def _resolved(
    imports: Iterable[tuple[int, str, int]], known: Mapping[int, str], packages: set[str]
) -> dict[_Pair, str]:
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
