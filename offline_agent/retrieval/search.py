"""A question to hits, over one store and, where there is one, an embedder with its vector index."""

from dataclasses import dataclass

from offline_agent.protocols import Embedder, VectorIndex
from offline_agent.retrieval.lexical import bm25, symbols
from offline_agent.retrieval.rank import Ranking, fuse
from offline_agent.retrieval.store import Store
from offline_agent.types import Hit, SearchResult

_DEPTH = 50  # of each ranking; what is deeper adds less than the noise of fusion


@dataclass(frozen=True)
class Dense:
    """An embedder and the index of its vectors: they only ever come together."""

    embedder: Embedder
    index: VectorIndex


def search(store: Store, query: str, limit: int, dense: Dense | None = None) -> SearchResult:
    """The best `limit` chunks; a definition the question names comes first."""
    if not query.strip() or limit <= 0:
        return SearchResult(dense=dense is not None)
    depth = max(_DEPTH, 3 * limit)
    rankings = [*symbols(store, query), bm25(store, query, depth)]
    if dense is not None:
        rankings.append(nearest(store, query, depth, dense))
    paths = store.paths(list({number for ranking in rankings for number in ranking.ids}))
    best = fuse(rankings, paths, query)[:limit]
    chunks = store.chunks([one.id for one in best])
    hits = (Hit(chunk=chunks[one.id], score=one.score, found_by=one.found_by) for one in best if one.id in chunks)
    return SearchResult(hits=tuple(hits), dense=dense is not None)


def nearest(store: Store, query: str, limit: int, dense: Dense) -> Ranking:
    [vector] = dense.embedder.encode([query])
    keys = [key for key, _ in dense.index.search(vector, limit)]
    ids = store.ids_by_key(keys)
    return Ranking("dense", tuple(number for key in keys for number in ids.get(key, ())))
