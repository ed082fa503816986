"""Vectors from the indexes of other worktrees and clones on this machine: equal text has an equal key, and is embedded once.

They are copied, not shared: each index is whole by itself, and one that is cleared takes nothing from another.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from offline_agent.errors import StorageError, VaultError
from offline_agent.protocols import Database, VectorIndex
from offline_agent.retrieval.store import SCHEMA, Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

Found = tuple[list[str], "NDArray[np.float32]"]
Borrow = Callable[[str, Sequence[str]], Iterable[Found]]
"""Given an embedder's fingerprint and the keys that are wanted, the keys that were found, some at a time, with their vectors."""

_WORTH_ASKING = 64  # keys; fewer are embedded in about the time that it takes to open some databases


def nobody(fingerprint: str, keys: Sequence[str]) -> Iterable[Found]:
    """The Borrow of who has no neighbours."""
    return ()


def borrow_from(neighbours: Iterable[Callable[[], Database]], fingerprint: str, keys: Sequence[str]) -> Iterator[Found]:
    """Asks one after another for what is still wanted. One that cannot be read, or is of another version, has nothing to lend."""
    wanted = set(keys)
    for open_database in neighbours:
        if not wanted:
            return
        try:
            with contextlib.closing(open_database()) as database:
                for found, vectors in _lent(database, fingerprint, sorted(wanted)):
                    wanted.difference_update(found)
                    yield found, vectors
        except (StorageError, VaultError) as error:
            log.debug("a neighbour lends nothing: %s", error)


def _lent(database: Database, fingerprint: str, keys: Sequence[str]) -> Iterator[Found]:
    [(version,)] = database.execute("PRAGMA user_version")
    if version == SCHEMA:  # an older one would be migrated by us, behind the back of its owner
        yield from Store(database).vectors(fingerprint, keys)


class Borrower:
    """Fills a store from its neighbours: asks for each key once, and never for a handful."""

    def __init__(self, borrow: Borrow) -> None:
        self._borrow = borrow
        self._asked: set[str] | None = None

    def fill(self, store: Store, fingerprint: str, index: VectorIndex, dimensions: int | None = None) -> int:
        """How many vectors were borrowed, of `dimensions` alone where that is given: a server may hand out anything. Raises a
        StorageError when they cannot be stored."""
        pending = set(store.pending_keys(fingerprint))
        first, asked = self._asked is None, pending & (self._asked or set())
        new = pending - asked
        self._asked = asked
        if not first and len(new) <= _WORTH_ASKING:
            return 0
        self._asked = pending
        count = 0
        for keys, vectors in self._borrow(fingerprint, sorted(new)):
            if dimensions not in (None, vectors.shape[1]):
                log.warning("vectors of %d dimensions are not taken", vectors.shape[1])
                continue
            store.add_vectors(fingerprint, keys, vectors)
            index.add(keys, vectors)
            count += len(keys)
        if count:
            log.info("%d vectors were borrowed from other indexes", count)
        return count
