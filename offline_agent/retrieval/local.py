"""The index used in this process, without a worker, torch or Chroma: for one-shot commands."""

import logging
import time
from collections import Counter
from collections.abc import Sequence

from offline_agent.retrieval.indexer import Progress
from offline_agent.retrieval.lock import AlreadyOwned, owned
from offline_agent.retrieval.map import MAP_HITS, repository_map
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.search import search
from offline_agent.types import IndexPhase, IndexStatus, RepositoryMap, SearchResult

log = logging.getLogger(__name__)

SKIPPED_SHOWN = 200
"""A status lists so many skipped files at most."""


class LocalIndex:
    """A Retriever and a Mapper over what is stored, by words, symbols and the static embedder; `refresh` first brings that up to
    date. For one thread."""

    def __init__(self, place: Place, changing: bool = False) -> None:
        self._place = place
        self._changing = changing
        self._store = place.store()
        self._loaded = place.load(self._store)
        self._weights = place.weights()
        self._files_total = 0
        self._problem = ""

    def refresh(self, progress: Progress | None = None) -> bool:
        """Afterwards what was saved before the call can be found. False when somebody else is indexing: then searches answer
        from what that process has stored so far, and `status().problem` names it."""
        try:
            with owned(self._place.directory):
                indexer = self._place.indexer(self._store, self._loaded)
                indexer.refresh(progress)
                self._files_total = indexer.files_total
        except AlreadyOwned as error:
            self._problem = str(error)
            log.warning("%s", error)
            return False
        self._problem = ""
        return True

    def search(self, query: str, limit: int) -> SearchResult:
        started = time.monotonic()
        if self._changing:
            self.refresh()
        result = search(self._store, self._loaded, query, limit, self._weights)
        log_search(query, result, started)
        return result

    def repository_map(self, tokens: int, focus: Sequence[str] = (), query: str = "") -> RepositoryMap:
        hits = self.search(query, MAP_HITS).hits if query else ()
        return repository_map(self._store, tokens, self._place.load_counter().count, focus, hits)

    def status(self) -> IndexStatus:
        counts = self._store.counts(self._place.fingerprint)
        complete = counts.vectors == counts.chunks
        return IndexStatus(
            phase=IndexPhase.CURRENT if complete else IndexPhase.LEXICAL_ONLY,
            files=counts.files,
            files_total=max(self._files_total, counts.files),
            chunks=counts.chunks,
            vectors=counts.vectors,
            skipped=tuple(self._store.skipped(SKIPPED_SHOWN)),
            embedder=self._place.fingerprint,
            problem=" ".join(problem for problem in (self._problem, self._loaded.problem) if problem),
        )

    def close(self) -> None:
        self._store.close()


def log_search(query: str, result: SearchResult, started: float) -> None:
    """For who debugs a ranking: the question, how many hits each ranking had a part in, and where they are."""
    if log.isEnabledFor(logging.DEBUG):
        rankings = dict(Counter(name for hit in result.hits for name in hit.found_by))
        places = [hit.chunk.location for hit in result.hits]
        log.debug("search %r: %s %s, %.1f ms", query, rankings, places, 1000 * (time.monotonic() - started))
