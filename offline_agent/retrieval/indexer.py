"""Brings the store in step with the repository: scan, read, chunk, store; then vectors, batch by batch.

It needs no embedder until `embed_pending`, so a one-shot command can use it without loading torch.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from pathlib import Path

from offline_agent.errors import RepositoryError
from offline_agent.protocols import Embedder, TokenCounter, VectorIndex
from offline_agent.retrieval.chunk import Chunker
from offline_agent.retrieval.ignore import Entering, Found, IgnoreRules, identity, shipped_patterns
from offline_agent.retrieval.loaded import Loaded, embed_static
from offline_agent.retrieval.read import Document, Unread, read
from offline_agent.retrieval.store import Store
from offline_agent.retrieval.syntax import Languages
from offline_agent.settings import IndexSettings
from offline_agent.types import ChangeKind, FileChange, FileState, Skipped

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are."""

_FILES_AT_ONCE = 32  # in one transaction: what a search can see grows by this much
_WINDOW = 256  # texts that are sorted by length together, so that little is padded
_FIRST_BATCH = 2000  # characters
_LONGEST_BATCH = 0.15  # seconds


class Indexer:
    """The only writer of a store. Used by one thread; hold the owner's lock (see lock.py) while it lives."""

    def __init__(
        self,
        root: Path,
        store: Store,
        counter: TokenCounter,
        declarations: Path,
        settings: IndexSettings,
        loaded: Loaded | None = None,
    ) -> None:
        """`loaded` is what is held in memory of the store, and kept in step with it."""
        self._root = root
        self._loaded = loaded
        self._static = loaded.static if loaded is not None else None
        self._store = store
        self._settings = settings
        self._chunker = Chunker(counter, Languages(declarations))
        self.rules = IgnoreRules(root, shipped_patterns(declarations))
        self.files_total = 0
        """Files that the last scan found, skipped ones apart."""

    def refresh(self, progress: Progress | None = None) -> None:
        """Scans and applies: afterwards everything saved before the call can be found lexically."""
        self.apply(self.scan(), progress)
        self.tidy()

    def scan(self, under: Sequence[str] = (), entering: Entering = lambda _: None) -> list[FileChange]:
        """Files whose size or time is not what the store remembers, new ones and gone ones; newest first. `under` names directories
        to look at, with all below them, else it is the whole repository; `entering` is called with each before it is listed.

        A file with another time but the same content is among them: `apply` compares hashes when it reads the file anyway.
        Raises RepositoryError when the repository is not there: nothing is gone then, for all that is known.
        """
        started = time.monotonic()
        root = identity(self._root)
        if root is None:
            raise self._gone()
        if not under:
            self.rules.forget()
        known = {path: state for directory in under or ("",) for path, state in self._store.known(directory).items()}
        written: list[Found] = []
        left_out: list[Skipped] = []
        seen: set[str] = set()
        for one in chain.from_iterable(self.rules.walk(directory, entering) for directory in under or ("",)):
            if isinstance(one, Skipped):
                left_out.append(one)
                continue
            seen.add(one.path)
            state = known.get(one.path)
            if state is None or (state.size, state.mtime_ns) != (one.size, one.mtime_ns):
                written.append(one)
        if identity(self._root) != root:
            raise self._gone()
        self._remember(left_out, known)
        before = sum(state.size >= 0 for state in known.values())
        self.files_total = len(seen) + (self.files_total - before if under else 0)
        seen.update(one.path for one in left_out)
        written.sort(key=lambda found: -found.mtime_ns)
        gone = [FileChange(path=path, kind=ChangeKind.DELETED) for path in known if path not in seen]
        log.log(
            logging.INFO if written or gone else logging.DEBUG,  # there is one a minute
            "scan: %d files, %d left out, %d written, %d gone, %.2f s",
            self.files_total,
            len(left_out),
            len(written),
            len(gone),
            time.monotonic() - started,
        )
        return gone + [FileChange(path=found.path, kind=ChangeKind.WRITTEN) for found in written]

    def _gone(self) -> RepositoryError:
        return RepositoryError(
            f"{self._root} is not there any more: it was moved or deleted. Searches answer from what was indexed; "
            "everything goes on once it is back."
        )

    def apply(self, changes: Sequence[FileChange], progress: Progress | None = None) -> None:
        """Stores the changes, some files at a time; what is stored can be found at once."""
        done = 0
        waiting = iter(changes)
        while some := list(islice(waiting, _FILES_AT_ONCE)):
            with self._store.transaction():
                before = self._keys(some)
                for change in some:
                    self._apply_one(change)
                self._embed_new(before, self._keys(some))
            if self._loaded is not None:
                self._loaded.changed(self._store, [change.path for change in some])
            done += len(some)
            if progress is not None:
                progress(done, len(changes))

    def tidy(self) -> None:
        """Now and then: it looks at every vector."""
        if self._static is not None:
            embed_static(self._store, self._static)
        self._store.purge_vectors()

    def _apply_one(self, change: FileChange) -> None:
        found = (
            read(self._root, change.path, self._settings.max_file_bytes) if change.kind is ChangeKind.WRITTEN else None
        )
        if found is None:
            self._store.delete_file(change.path)
            log.debug("removed %s", change.path)
        elif isinstance(found, Unread):
            self._store.skip_file(found)
            log.debug("skipped %s: %s", change.path, found.skipped.reason)
        else:
            self._store_document(found)

    def _keys(self, changes: Sequence[FileChange]) -> set[str]:
        if self._static is None:
            return set()
        return {key for change in changes for key in self._store.keys_of(change.path)}

    def _embed_new(self, before: set[str], after: set[str]) -> None:
        """Vectors for what is new; what no chunk uses any more leaves the index."""
        if self._static is None:
            return
        embedder, index = self._static.embedder, self._static.index
        new, old = sorted(after - before), sorted(before - after)
        if missing := self._store.texts_without(embedder.fingerprint, new):
            vectors = embedder.encode([text for _, text in missing])
            self._store.add_vectors(embedder.fingerprint, [key for key, _ in missing], vectors)
        for keys, known in self._store.vectors(embedder.fingerprint, new):
            index.add(keys, known)
        used = self._store.ids_by_key(old)
        index.remove([key for key in old if key not in used])

    def _store_document(self, document: Document) -> None:
        known = self._store.state(document.state.path)
        if known is not None and known.sha256 == document.state.sha256:
            self._store.touch(document.state)
            log.debug("unchanged %s", document.state.path)
        else:
            content = self._chunker.chunk(document.state.path, document.text)
            self._store.replace_file(document.state, content)
            log.debug("indexed %s: %d chunks", document.state.path, len(content.chunks))

    def _remember(self, left_out: Iterable[Skipped], known: dict[str, FileState]) -> None:
        """What the walk could not enter has no size or time of its own; it is written down once."""
        with self._store.transaction():
            for skipped in left_out:
                if skipped.path not in known:
                    state = FileState(path=skipped.path, size=-1, mtime_ns=0, sha256="")
                    self._store.skip_file(Unread(state=state, skipped=skipped))


def embed_pending(
    store: Store,
    embedder: Embedder,
    index: VectorIndex,
    largest: int,
    should_stop: Callable[[], bool],
    hot: Callable[[], Sequence[str]] = tuple,
    give_way: Callable[[], None] = lambda: None,
) -> bool:
    """Embeds what has no vector yet; True when nothing is left, False when it was told to stop. The files at the paths `hot` come
    first; `give_way` is called before each batch, and may wait.

    Each batch is committed before the next begins: a kill costs one batch. Batches are at most `largest` texts and take about
    as long as a query may be kept waiting, so they are small on a slow CPU and full on a GPU.
    """
    characters = _FIRST_BATCH
    while window := store.pending(embedder.fingerprint, _WINDOW, hot()):
        window.sort(key=lambda pending: -len(pending[1]))
        while window:
            if should_stop():
                return False
            give_way()
            # Each text costs as much as the longest of its batch, to which it is padded.
            size = min(largest, max(1, characters // len(window[0][1])))
            batch, window = window[:size], window[size:]
            started = time.monotonic()
            vectors = embedder.encode([text for _, text in batch])
            characters = _paced(characters, len(batch) * len(batch[0][1]), time.monotonic() - started)
            keys = [key for key, _ in batch]
            store.add_vectors(embedder.fingerprint, keys, vectors)
            index.add(keys, vectors)
            log.debug("embedded %d texts in %.3f s", len(batch), time.monotonic() - started)
    return True


def _paced(characters: int, spent: int, seconds: float) -> int:
    """How much to embed at once, after `spent` characters took `seconds`."""
    if seconds > _LONGEST_BATCH:
        return max(1, min(characters, spent) // 2)
    return max(characters, 2 * spent) if seconds < _LONGEST_BATCH / 3 else characters


def reconcile(store: Store, fingerprint: str, index: VectorIndex) -> None:
    """Makes the index hold exactly the vectors that chunks use now. The store is the record."""
    started = time.monotonic()
    wanted, held = store.vector_keys(fingerprint), index.keys()
    if extra := sorted(held - wanted):
        index.remove(extra)
    missing = sorted(wanted - held)
    for keys, vectors in store.vectors(fingerprint, missing):
        index.add(keys, vectors)
    if extra or missing:
        log.info("vectors: %d added, %d removed, %.2f s", len(missing), len(extra), time.monotonic() - started)
