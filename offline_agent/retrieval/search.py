"""A question to hits: gather the evidence, weigh it, fetch what came out best."""

from collections.abc import Mapping, Sequence

from offline_agent.protocols import Reranker
from offline_agent.retrieval.evidence import RANKINGS, gather
from offline_agent.retrieval.loaded import Dense, Loaded
from offline_agent.retrieval.query import Query, Shape
from offline_agent.retrieval.rank import Ranked, Weights, rank
from offline_agent.retrieval.rerank import DEPTH, rerank
from offline_agent.retrieval.store import Store
from offline_agent.types import Chunk, Hit, Reason, SearchResult

LONGEST_QUERY = 20_000
"""Characters of a question that are looked at."""


def search(
    store: Store,
    loaded: Loaded,
    text: str,
    limit: int,
    weights: Mapping[Shape, Weights],
    dense: Dense | None = None,
    reranker: Reranker | None = None,
) -> SearchResult:
    """The best `limit` chunks for any `text`. Raises an EmbedderError or StorageError where `dense` or `reranker` fails."""
    took_part = SearchResult(static=loaded.static is not None, dense=dense is not None, reranked=reranker is not None)
    if not text.strip() or limit <= 0:
        return took_part
    query = Query(text=_readable(text[:LONGEST_QUERY]))
    ranked = rank(gather(store, loaded, query, dense), weights[query.shape])
    best = ranked[: limit if reranker is None else max(limit, DEPTH)]
    chunks = store.chunks([one.candidate.id for one in best])
    hits = [_hit(one, chunks[one.candidate.id]) for one in best if one.candidate.id in chunks]
    if reranker is not None:
        hits = _reranked(hits, query, reranker, weights[query.shape].reranker)
    return took_part.model_copy(update={"hits": tuple(hits[:limit])})


def _readable(text: str) -> str:
    """With a mark for each half of a surrogate pair: databases and tokenizers refuse those."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _reranked(hits: Sequence[Hit], query: Query, reranker: Reranker, weight: float) -> list[Hit]:
    best, rest = hits[:DEPTH], hits[DEPTH:]
    scores = rerank(query.gist, [hit.chunk for hit in best], [hit.score for hit in best], reranker, weight)
    changed = [_moved(hit, score) for hit, score in zip(best, scores, strict=True)]
    return [*sorted(changed, key=lambda hit: -hit.score), *rest]


def _moved(hit: Hit, score: float) -> Hit:
    reason = Reason(rule="reranker", amount=score - hit.score, detail="read together with the question")
    return hit.model_copy(update={"score": score, "reasons": (*hit.reasons, reason)})


def _hit(one: Ranked, chunk: Chunk) -> Hit:
    found_by = tuple(name for name in RANKINGS if name in one.candidate.signals)
    return Hit(chunk=chunk, score=one.score, found_by=found_by, reasons=one.reasons)
