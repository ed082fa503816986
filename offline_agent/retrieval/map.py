"""The repository map: an outline of the files that the rest rests on most, within a budget of tokens.

    src/flask/app.py
      class Flask(App)                                        109
        def run(self, host=None, port=None, debug=None)       612

A file's rank is its PageRank in the graph of who uses whom; a definition has a share of its file's, by how much its name is used.
Tests, documentation and vendored code rank low. The order of what is equal is that of the paths, so the same repository always has
the same map.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import NamedTuple

from offline_agent.retrieval.graph import Edge, all_edges, pagerank
from offline_agent.retrieval.kinds import is_docs, is_test, is_vendored
from offline_agent.retrieval.links import Standing
from offline_agent.retrieval.store import Store
from offline_agent.types import Definition, Hit, MapEntry, RepositoryMap

CountTokens = Callable[[Sequence[str]], list[int]]

MAP_HITS = 20
"""Search results that say which part of a repository is meant."""

_ASIDE = 0.1  # of its rank is left to a test, to documentation, to what others wrote
_INTERNAL = 0.5  # to a module whose name begins with an underscore
_VOICE = 0.5  # of a file's voice a test or an example has: what it uses is what is meant for use
_BASE = 0.1  # with a focus, of what everything else starts with
_USERS_SHARE = 0.5  # with a focus, who uses it is shown too
_TOKENS_A_FILE = 8  # no file of a map takes less
_MISSES = 50  # definitions that are too long for what is left, before the map is taken to be full
_SIGNATURE = 90  # characters
_NUMBER_COLUMN = 60
_UNUSED = 0.02  # of a name that one file uses is what a name that nobody uses counts: it is shown where there is room
_PRIVATE = 0.2
_CONSTANT = 0.3
_LITTLE = 3.0  # what nine files use; a file whose names are used less does not hand out its whole rank
_FADING = 0.85  # of its worth each further definition of a file keeps: ten exceptions say little more than five


def repository_map(
    store: Store, budget_tokens: int, count_tokens: CountTokens, focus: Sequence[str] = (), hits: Sequence[Hit] = ()
) -> RepositoryMap:
    """The map, of at most `budget_tokens` by `count_tokens`, a token for each end of line included.

    `focus` are files and directories, `hits` what a search found: they, what they use and who uses them come first.
    """
    paths = sorted(store.file_ids())
    meant = _focused(paths, focus, hits)
    ranks = _ranks(store, paths, meant)
    best = sorted(paths, key=lambda path: (-ranks[path], path))[: max(1, budget_tokens // _TOKENS_A_FILE)]
    chosen, tokens = _chosen(_lines(store, best, ranks, meant), budget_tokens, count_tokens)
    entries = [
        MapEntry(path=path, rank=ranks[path], definitions=tuple(sorted(some, key=lambda one: one.start_line)))
        for path, some in sorted(chosen.items())
    ]
    return RepositoryMap(entries=tuple(entries), files=len(paths), tokens=tokens)


def render(outline: RepositoryMap) -> str:
    """The map as text; empty where it is."""
    lines: list[str] = []
    for entry in outline.entries:
        shown = {one.symbol for one in entry.definitions}
        lines += [entry.path, *(_line(one, shown) for one in entry.definitions)]
    return "\n".join(lines)


def _line(one: Definition, shown: Iterable[str]) -> str:
    """A definition, further in than what encloses it; `shown` are the symbols of its file's map."""
    steps = one.symbol.split(".")
    depth = sum(1 for end in range(1, len(steps)) if ".".join(steps[:end]) in shown)
    text = one.signature.partition(" = ")[0] if one.kind == "constant" else one.signature
    text = text.replace("( ", "(").strip().rstrip("{:").rstrip() or one.name
    if len(text) > _SIGNATURE:
        text = f"{text[: _SIGNATURE - 4]} ..."
    return f"{'  ' * (depth + 1) + text:<{_NUMBER_COLUMN}} {one.start_line}"


# --- which files ---


def _ranks(store: Store, paths: Sequence[str], focus: Mapping[str, float]) -> dict[str, float]:
    """What rests on each file, and with a focus how near it is; rounded, so that no order hangs on the last bit of a sum."""
    standing = {path: _standing(path) for path in paths}
    found = all_edges(store)
    sizes = store.links.sizes()
    personal = {path: max(_VOICE, one) * math.log2(2 + sizes.get(path, 0)) for path, one in standing.items()}
    if focus:
        found += [Edge(edge.target, edge.source, edge.weight * _USERS_SHARE) for edge in found]
        share = _BASE / sum(personal.values())
        personal = {path: personal[path] * share + focus.get(path, 0.0) for path in paths}
    ranks = pagerank(found, personal)
    return {path: round(ranks[path] * (1.0 if path in focus else standing[path]), 9) for path in paths}


def _standing(path: str) -> float:
    if is_test(path) or is_docs(path) or is_vendored(path):
        return _ASIDE
    name = path.rpartition("/")[2]
    return _INTERNAL if name.startswith("_") and not name.startswith("__") else 1.0


def _focused(paths: Sequence[str], focus: Sequence[str], hits: Sequence[Hit]) -> dict[str, float]:
    """The files that are meant, with shares that add up to 1: half for what is named and half for what was found."""
    named = {path: 1.0 for path in paths if any(path == one or path.startswith(f"{one}/") for one in focus)}
    found: dict[str, float] = defaultdict(float)
    for hit in hits:
        found[hit.chunk.path] += max(0.0, hit.score)
    parts = [part for part in (named, found) if sum(part.values()) > 0]
    return {
        path: sum(part.get(path, 0.0) / sum(part.values()) for part in parts) / len(parts)
        for path in paths
        if any(path in part for part in parts)
    }


# --- which of their lines ---


class _Candidate(NamedTuple):
    """A definition that may be shown, in its class; without one, the path alone."""

    worth: float
    path: str
    definition: Definition | None = None
    enclosing: tuple[Definition, ...] = ()


def _lines(store: Store, paths: Sequence[str], ranks: Mapping[str, float], meant: Container[str]) -> list[_Candidate]:
    """Best first; paths alone, which say little, after all definitions. In files that are meant, unused names count too."""
    numbers = store.file_ids(paths)
    uses = _uses(store.links.standings(list(numbers.values())), {number: path for path, number in numbers.items()})
    by_file: dict[str, dict[str, Definition]] = {path: {} for path in paths}
    for one in store.definitions_of(paths):
        by_file[one.path].setdefault(one.symbol, one)  # of an overloaded one the first
    found = []
    for path, symbols in by_file.items():
        found.append(_Candidate(ranks[path], path))
        open_to_others = {symbol: around for symbol in symbols if (around := _enclosing(symbol, symbols)) is not None}
        use = {
            symbol: uses.get((path, symbols[symbol].name), 0.0) * _kept(symbols[symbol]) for symbol in open_to_others
        }
        whole = sum(use.values()) + (0.0 if path in meant else _LITTLE) or 1.0
        used = sorted(use, key=lambda symbol: (-use[symbol], symbols[symbol].start_line))
        found += [
            _Candidate(ranks[path] * use[one] / whole * _FADING**place, path, symbols[one], open_to_others[one])
            for place, one in enumerate(used)
        ]
    return sorted(found, key=_order)


def _order(one: _Candidate) -> tuple[bool, float, str, int]:
    return (one.definition is None, -one.worth, one.path, one.definition.start_line if one.definition else 0)


def _uses(standings: Iterable[Standing], paths: Mapping[int, str]) -> dict[tuple[str, str], float]:
    """How much each name of a file is used by others; one of many files' names is shared with them."""
    return {
        (paths[one.file], one.name): one.distinct
        * (math.sqrt(one.users) if one.users else _UNUSED)
        / max(1, one.definers)
        for one in standings
    }


def _kept(one: Definition) -> float:
    if one.name.startswith("__"):
        return 0.0
    return (_PRIVATE if one.name.startswith("_") else 1.0) * (_CONSTANT if one.kind == "constant" else 1.0)


def _enclosing(symbol: str, symbols: Mapping[str, Definition]) -> tuple[Definition, ...] | None:
    """The classes around a definition, outer first; None for what a function keeps to itself."""
    steps = symbol.split(".")
    around = [symbols[name] for end in range(1, len(steps)) if (name := ".".join(steps[:end])) in symbols]
    return None if any(one.kind != "class" for one in around) else tuple(around)


def _chosen(
    candidates: Sequence[_Candidate], budget: int, count: CountTokens
) -> tuple[dict[str, list[Definition]], int]:
    """As many of the best as fit, each with its file's and its classes' lines, and their tokens."""
    candidates = candidates[:budget]  # more cannot fit
    costs = _Costs(candidates, count)
    chosen: dict[str, list[Definition]] = {}
    spent = misses = 0
    for one in candidates:
        if misses == _MISSES or (misses and one.definition is None):
            break
        some = chosen.get(one.path, [])
        wanted = [*one.enclosing, *([one.definition] if one.definition else [])]
        new = [definition for definition in wanted if definition not in some]
        cost = costs.of(new) + (0 if one.path in chosen else costs.of_path(one.path))
        if spent + cost > budget:
            misses += 1
            continue
        chosen[one.path] = [*some, *new]
        spent += cost
    return chosen, spent


class _Costs:
    """Tokens of the lines, counted together: a tokenizer is quicker with many."""

    def __init__(self, candidates: Sequence[_Candidate], count: CountTokens) -> None:
        texts = {one.path: one.path for one in candidates}
        for one in candidates:
            symbols = [enclosing.symbol for enclosing in one.enclosing]
            for definition in (*one.enclosing, *([one.definition] if one.definition else [])):
                texts[_place(definition)] = _line(definition, symbols)
        self._tokens = dict(zip(texts, [tokens + 1 for tokens in count(list(texts.values()))], strict=True))

    def of(self, definitions: Iterable[Definition]) -> int:
        return sum(self._tokens[_place(one)] for one in definitions)

    def of_path(self, path: str) -> int:
        return self._tokens[path]


def _place(one: Definition) -> str:
    return f"{one.path}:{one.start_line} {one.symbol}"
