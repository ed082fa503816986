"""What speaks for which chunk, before anything is weighed.

    words     BM25 of the chunk
    file      BM25 of all chunks of its file together
    static    cosine with the static embedder
    dense     cosine with the transformer, for chunks that have its vector
    symbol    definitions that the question names
    path      files that the question names
    frame     functions in the question's traceback

Each signal is from 0 to 1, where 1 is the best that this question found in this repository: scores of different rankings cannot be
compared, their shares of the best can.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from offline_agent.retrieval.graph import Edge, edges
from offline_agent.retrieval.kinds import is_aside
from offline_agent.retrieval.loaded import Dense, Loaded
from offline_agent.retrieval.mentions import frames, paths, symbols
from offline_agent.retrieval.query import Query
from offline_agent.retrieval.store import Store

RANKINGS = ("words", "file", "static", "dense", "symbol", "path", "frame")

FETCHED = 300  # chunks of each ranking, of which the best that are no tests or documentation are kept
_DEPTH = 100  # what is deeper adds less than it costs
_ASIDE = 0.5
_NOISE = 0.5  # of the best cosine: what is less near says nothing
# The transformer takes about as long as everything else together, and mostly without Python's lock. A thread of its own that stays:
# torch sets up its own threads anew for each thread that comes.
_BESIDE = ThreadPoolExecutor(1, "meaning")


@dataclass
class Candidate:
    """A chunk and what speaks for it. `why` has words for those signals that are not told by a number."""

    id: int
    path: str
    symbol: str
    kind: str
    start_line: int
    signals: dict[str, float] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)


def no_edges(paths: Sequence[str]) -> Sequence[Edge]:
    """The graph of files that have nothing to do with each other."""
    return ()


@dataclass(frozen=True)
class Evidence:
    """`edges_of` gives the edges from and to some files: only the ranking knows which are worth the milliseconds."""

    query: Query
    candidates: Mapping[int, Candidate]
    edges_of: Callable[[Sequence[str]], Sequence[Edge]] = no_edges


Signal = Mapping[int, float]


def gather(store: Store, loaded: Loaded, query: Query, dense: Dense | None = None) -> Evidence:
    """Everything that any ranking found for the question."""
    meant = _BESIDE.submit(_near, query.gist, dense) if dense is not None else None
    candidates: dict[int, Candidate] = {}
    ids: dict[str, list[int]] = {}
    add = partial(_add, store, candidates)
    matches = loaded.words.search(query.terms, FETCHED)
    add("words", _sifted(store, loaded, query, dict(matches.chunks)))
    if loaded.static is not None:
        add("static", _sifted(store, loaded, query, _of_chunks(store, ids, _near(query.gist, loaded.static))))
    named = {"symbol": symbols(store, query), "path": paths(store, query), "frame": frames(store, query)}
    for name, mentions in named.items():
        add(name, {number: one.share for number, one in mentions.items()})
        for number in candidates.keys() & mentions.keys():
            candidates[number].why[name] = mentions[number].why
    if meant is not None:
        add("dense", _sifted(store, loaded, query, _of_chunks(store, ids, meant.result())))
    _add_files(candidates.values(), matches.files)
    return Evidence(query, candidates, partial(edges, store))


def nearest(store: Store, text: str, dense: Dense) -> Signal:
    """Cosines of the nearest chunks, above what even the farther ones of them have."""
    return _of_chunks(store, {}, _near(text, dense))


def _near(text: str, dense: Dense) -> dict[str, float]:
    """Cosines of the nearest keys."""
    [vector] = dense.embedder.encode([text])
    return dict(dense.index.search(vector, FETCHED))


def _of_chunks(store: Store, ids: dict[str, list[int]], found: Mapping[str, float]) -> Signal:
    """The chunks behind keys; `ids` has those that were looked up before, and gets the others."""
    ids |= store.ids_by_key([key for key in found if key not in ids])
    # In a small repository even the last of them may be near.
    least = min(min(found.values(), default=0.0), _NOISE * max(found.values(), default=0.0))
    return {number: cosine - least for key, cosine in found.items() for number in ids.get(key, ())}


def _sifted(store: Store, loaded: Loaded, query: Query, signal: Signal) -> Signal:
    return sifted(_paths(store, loaded, list(signal)), query, signal)


def _paths(store: Store, loaded: Loaded, numbers: Sequence[int]) -> dict[int, str]:
    """The file of each chunk. In memory may be what the store had before somebody else wrote there."""
    known = loaded.words.paths_of(numbers)
    others = store.places([number for number in numbers if number not in known])
    return known | {number: place[0] for number, place in others.items()}


def sifted(known: Mapping[int, str], query: Query, signal: Signal) -> Signal:
    """The best of a ranking, as shares of the first; `known` has the files of the chunks. Tests and documentation repeat the words
    of the code that they are about: unless they are asked for they must not take all the places, nor be what others are a share
    of."""
    aside = {path: _ASIDE if is_aside(path, query) else 1.0 for path in {known[one] for one in signal if one in known}}
    valued = {number: value * aside[known[number]] for number, value in signal.items() if number in known}
    kept = sorted(valued, key=lambda number: (-valued[number], number))[:_DEPTH]
    best = max((valued[number] for number in kept), default=0.0)
    return {number: min(signal[number] / best, 1.0) for number in kept} if best > 0 else {}


def _add(store: Store, candidates: dict[int, Candidate], name: str, signal: Signal) -> None:
    """A ranking's signal to its candidates, of which some are known from others."""
    new = store.places(sorted(signal.keys() - candidates.keys()))
    candidates |= {number: Candidate(number, *place) for number, place in new.items()}
    for number in candidates.keys() & signal.keys():
        candidates[number].signals[name] = signal[number]


def _add_files(candidates: Iterable[Candidate], files: Mapping[str, float]) -> None:
    best = max(files.values(), default=1.0)
    for one in candidates:
        if one.path in files:
            one.signals["file"] = files[one.path] / best
