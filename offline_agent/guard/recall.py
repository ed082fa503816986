"""The index, held to the same rules as the files: what may not be read is not found either.

The index leaves out what the shipped patterns name, but a person's rules, or a repository's, may deny more than they do.
"""

from collections.abc import Callable, Sequence

from offline_agent.protocols import Index
from offline_agent.types import IndexStatus, RepositoryMap, SearchResult


class PermittedIndex:
    """An Index without what `denied` says may not be read, of a path relative to the root."""

    def __init__(self, index: Index, denied: Callable[[str], bool]) -> None:
        self._index = index
        self._denied = denied

    def search(self, query: str, limit: int) -> SearchResult:
        """Fewer than `limit` where some of the best may not be read. Raises as the index does."""
        result = self._index.search(query, limit)
        hits = tuple(hit for hit in result.hits if not self._denied(hit.chunk.path))
        return result if len(hits) == len(result.hits) else result.model_copy(update={"hits": hits})

    def repository_map(self, tokens: int, focus: Sequence[str] = (), query: str = "") -> RepositoryMap:
        outline = self._index.repository_map(tokens, focus, query)
        entries = tuple(entry for entry in outline.entries if not self._denied(entry.path))
        return outline.model_copy(update={"entries": entries})

    def status(self) -> IndexStatus:
        return self._index.status()
