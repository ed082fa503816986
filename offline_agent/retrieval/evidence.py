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
from dataclasses import dataclass, field
from functools import partial

from offline_agent.retrieval.graph import Edge, edges
from offline_agent.retrieval.kinds import is_aside
from offline_agent.retrieval.loaded import Dense, Loaded
from offline_agent.retrieval.mentions import Mention, frames, paths, symbols
from offline_agent.retrieval.query import Query
from offline_agent.retrieval.store import Store

RANKINGS = ("words", "file", "static", "dense", "symbol", "path", "frame")

_FETCHED = 400  # chunks of each ranking, of which the best that are no tests or documentation are kept
_DEPTH = 150  # what is deeper adds less than it costs
_ASIDE = 0.5
_NOISE = 0.5  # of the best cosine: what is less near says nothing


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
    matches = loaded.words.search(query.terms, _FETCHED)
    found: dict[str, Signal] = {"words": dict(matches.chunks)}
    for name, one in (("static", loaded.static), ("dense", dense)):
        if one is not None:
            found[name] = nearest(store, query.gist, one)
    known = _paths(store, loaded, {number for signal in found.values() for number in signal})
    found = {name: sifted(known, query, signal) for name, signal in found.items()}
    named = {"symbol": symbols(store, query), "path": paths(store, query), "frame": frames(store, query)}
    candidates = _candidates(store, found, named)
    _add_files(candidates.values(), matches.files)
    return Evidence(query, candidates, partial(edges, store))


def nearest(store: Store, text: str, dense: Dense) -> Signal:
    """Cosines of the nearest, above what even the farther ones of them have."""
    [vector] = dense.embedder.encode([text])
    found = dense.index.search(vector, _FETCHED)
    ids = store.ids_by_key([key for key, _ in found])
    cosines = [cosine for _, cosine in found]
    # In a small repository even the last of them may be near.
    least = min(min(cosines, default=0.0), _NOISE * max(cosines, default=0.0))
    return {number: cosine - least for key, cosine in found for number in ids.get(key, ())}


def _paths(store: Store, loaded: Loaded, numbers: Iterable[int]) -> dict[int, str]:
    """The file of each chunk. In memory may be what the store had before somebody else wrote there."""
    numbers = list(numbers)
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


def _candidates(
    store: Store, found: Mapping[str, Signal], named: Mapping[str, Mapping[int, Mention]]
) -> dict[int, Candidate]:
    signals = {**found, **{name: {number: one.share for number, one in some.items()} for name, some in named.items()}}
    places = store.places(sorted({number for signal in signals.values() for number in signal}))
    candidates = {number: Candidate(number, *place) for number, place in places.items()}
    for name, signal in signals.items():
        for number in candidates.keys() & signal.keys():
            candidates[number].signals[name] = signal[number]
    for name, some in named.items():
        for number in candidates.keys() & some.keys():
            candidates[number].why[name] = some[number].why
    return candidates


def _add_files(candidates: Iterable[Candidate], files: Mapping[str, float]) -> None:
    best = max(files.values(), default=1.0)
    for one in candidates:
        if one.path in files:
            one.signals["file"] = files[one.path] / best
