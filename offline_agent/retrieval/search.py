"""A question to hits: gather the evidence, weigh it, fetch what came out best."""

from collections.abc import Mapping

from offline_agent.retrieval.evidence import RANKINGS, gather
from offline_agent.retrieval.loaded import Dense, Loaded
from offline_agent.retrieval.query import Query, Shape
from offline_agent.retrieval.rank import Ranked, Weights, rank
from offline_agent.retrieval.store import Store
from offline_agent.types import Chunk, Hit, SearchResult

LONGEST_QUERY = 20_000
"""Characters of a question that are looked at."""


def search(
    store: Store,
    loaded: Loaded,
    text: str,
    limit: int,
    weights: Mapping[Shape, Weights],
    dense: Dense | None = None,
) -> SearchResult:
    """The best `limit` chunks; a definition the question names comes first."""
    took_part = SearchResult(static=loaded.static is not None, dense=dense is not None)
    if not text.strip() or limit <= 0:
        return took_part
    query = Query(text=text[:LONGEST_QUERY])
    best = rank(gather(store, loaded, query, dense), weights[query.shape])[:limit]
    chunks = store.chunks([one.candidate.id for one in best])
    hits = tuple(_hit(one, chunks[one.candidate.id]) for one in best if one.candidate.id in chunks)
    return took_part.model_copy(update={"hits": hits})


def _hit(one: Ranked, chunk: Chunk) -> Hit:
    found_by = tuple(name for name in RANKINGS if name in one.candidate.signals)
    return Hit(chunk=chunk, score=one.score, found_by=found_by, reasons=one.reasons)
