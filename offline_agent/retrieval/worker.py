"""The index worker: one process (in tests, a thread) that owns an index, keeps it current and answers for it.

    the caller's thread   scan, watch, read, chunk, store           the only writer of files and chunks
    embedding             load embedder, then vectors, then Chroma  low priority, the only writer of vectors
    accept, clients       one short thread a client                 readers
    lifeline              ends the worker when whoever started it is gone

Each thread has a database connection of its own. A search is answered lexically from the first moment, from what is stored so far.
"""

import contextlib
import logging
import os
import queue
import threading
import time
from pathlib import Path

from offline_agent.errors import AgentError, EmbedderError, RepositoryError, StorageError
from offline_agent.protocols import Reranker
from offline_agent.retrieval.borrow import Borrower
from offline_agent.retrieval.client import try_connect
from offline_agent.retrieval.embed import go_offline
from offline_agent.retrieval.hot import HotFiles
from offline_agent.retrieval.hydrate import RisingIndex
from offline_agent.retrieval.indexer import Indexer, embed_pending, reconcile
from offline_agent.retrieval.loaded import Dense
from offline_agent.retrieval.local import SKIPPED_SHOWN, log_search
from offline_agent.retrieval.lock import owned
from offline_agent.retrieval.map import MAP_HITS, repository_map
from offline_agent.retrieval.memory import share_arena
from offline_agent.retrieval.messages import (
    Failed,
    Found,
    Now,
    Outline,
    Outlined,
    Reply,
    Request,
    Search,
    Shutdown,
    Status,
    Waited,
)
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.search import search
from offline_agent.retrieval.serve import listening, reported
from offline_agent.retrieval.store import Store
from offline_agent.retrieval.watch import RESCAN, Batch, Watcher
from offline_agent.types import FileChange, IndexPhase, IndexStatus, RepositoryMap, SearchResult

log = logging.getLogger(__name__)

_NICENESS = 10
_RETRY_SECONDS = 10.0  # after an error that may pass, such as a full disk
_ROOT_SECONDS = 2.0  # a repository that was moved away may be back at any moment, and one look costs nothing
_PREDECESSOR_SECONDS = 10.0
_FAREWELL_SECONDS = 5.0  # for the embedding thread to finish its batch


def prepare_process(directory: Path) -> None:
    """For a process that is nothing but a worker: offline, and away from any `.env` a repository may hold. It comes before
    numpy is imported."""
    go_offline()
    share_arena()
    # A second thread of OpenBLAS gains 3 ms in a search among 100,000 chunks, but waits by spinning: with anything else running,
    # what torch does next takes twice as long.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    os.chdir(directory)


class Worker:
    """Serves one place. `run()` returns after `stop()`, a client's shutdown, or the end of the lifeline."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._stopping = threading.Event()
        self._scanned = threading.Event()
        self._changed = threading.Event()
        self._phase = IndexPhase.SCANNING
        self._problems = dict.fromkeys(("watch", "index", "static", "embedder", "reranker", "search"), "")
        self._waiting: queue.SimpleQueue[threading.Event] = queue.SimpleQueue()
        self._vectors = RisingIndex(lambda: place.open_vectors(place.fingerprint), on_loss=self._changed.set)
        self._dense: Dense | None = None
        self._reranker: Reranker | None = None
        self._weights = place.weights()
        self._indexer: Indexer | None = None
        self._watcher: Watcher | None = None
        self._tidy_at = 0.0
        self._hot = HotFiles()

    def run(self, lifeline: int | None = None) -> None:
        """Raises IndexUnavailable when another process owns the index. `lifeline` is a descriptor, standard input as a rule."""
        with contextlib.ExitStack() as held:
            held.enter_context(owned(self._place.directory, self._patience()))
            # Before anybody can connect: two connections that both make a new database get in each other's way.
            store = held.enter_context(contextlib.closing(self._place.store()))
            self._loaded = self._place.load(store)
            self._say("static", self._loaded.problem)
            door = held.enter_context(contextlib.ExitStack())
            door.enter_context(listening(self._place, self._answer, self._stopping))
            embedding = threading.Thread(target=reported(self._embed), name="embedding", daemon=True)
            if lifeline is not None:
                watch_over = reported(self._hold_on_to)
                threading.Thread(target=watch_over, args=(lifeline,), name="lifeline", daemon=True).start()
            log.info("index worker of %s started", self._place.root)
            embedding.start()
            try:
                reported(self._keep_current)(store)
            finally:
                self.stop()
                door.close()  # who comes now must not meet a worker that answers nothing any more
                embedding.join(_FAREWELL_SECONDS)
                log.info("index worker of %s ended", self._place.root)

    def _patience(self) -> float:
        """An owner that serves will go on; one that does not is about to end, or refreshes the index for a single command."""
        remote = try_connect(self._place.directory)
        if remote is None:
            return _PREDECESSOR_SECONDS
        remote.close()
        return 0.0

    def stop(self) -> None:
        self._stopping.set()
        self._scanned.set()
        self._changed.set()
        if self._watcher is not None:
            self._watcher.ask_rescan()

    # --- indexing ---

    def _keep_current(self, store: Store) -> None:
        indexer = self._indexer = self._place.indexer(store, self._loaded)
        with contextlib.closing(Watcher(self._place.root, indexer.rules, self._place.index)) as watcher:
            self._watcher = watcher
            batch: Batch | None = None
            while not self._stopping.is_set():
                retry = self._bring_up(indexer, watcher, batch)
                self._scanned.set()
                self._say("watch", watcher.problem)
                batch = watcher.next(retry or self._place.index.rescan_seconds)
                if retry:
                    log.warning("indexing is tried again")
                    batch = RESCAN  # what failed must be looked at again

    def _bring_up(self, indexer: Indexer, watcher: Watcher, batch: Batch | None) -> float:
        """Applies a batch, or a scan where there is none; 0, or when something failed the seconds until it should be tried again.
        `status` then tells of it."""
        waiting = _drained(self._waiting)
        try:
            changes = _changes(indexer, watcher, RESCAN if batch is None or waiting else batch)
            indexer.apply(changes)
            if batch is None:
                self._tidy(indexer)
        except AgentError as error:
            self._say("index", str(error))
            for ticket in waiting:
                self._waiting.put(ticket)
            return _ROOT_SECONDS if isinstance(error, RepositoryError) else _RETRY_SECONDS
        self._say("index", "")
        if changes:
            if batch is not None and not batch.rescan:
                self._hot.touch(change.path for change in changes)
            self._changed.set()
        for ticket in waiting:
            ticket.set()
        return 0.0

    def _tidy(self, indexer: Indexer) -> None:
        """Where nothing can be watched there is a scan every few seconds, which this would make dear."""
        if time.monotonic() >= self._tidy_at:
            indexer.tidy()
            self._tidy_at = time.monotonic() + self._place.index.rescan_seconds

    # --- embedding ---

    def _embed(self) -> None:
        # On Linux niceness belongs to a thread, and the threads torch starts from this one inherit it.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        self._scanned.wait()
        try:
            if not self._stopping.is_set():
                self._load_and_embed()
        finally:
            self._dense = None
            if not self._stopping.is_set():
                self._say("embedder", self._problems["embedder"] or "Embedding ended unexpectedly. Start again.")
                self._enter(IndexPhase.LEXICAL_ONLY)

    def _load_and_embed(self) -> None:
        self._enter(IndexPhase.LOADING)
        try:
            store = self._place.store()
            embedder = self._place.load_embedder()
        except AgentError as error:
            self._say("embedder", str(error))
            return
        self._load_reranker()
        with contextlib.closing(store), contextlib.closing(self._vectors):
            self._embed_until_stopped(store, Dense(embedder, self._vectors))

    def _load_reranker(self) -> None:
        if self._place.load_reranker is not None:
            try:
                self._reranker = self._place.load_reranker()
            except EmbedderError as error:
                self._say("reranker", str(error))

    def _embed_until_stopped(self, store: Store, dense: Dense) -> None:
        borrower = Borrower(self._place.borrow)
        while True:
            self._changed.clear()
            if self._stopping.is_set():  # looked at after clearing: `stop` sets both, this one first
                break
            try:
                reconcile(store, dense.embedder.fingerprint, dense.index)
                self._dense = dense
                self._enter(IndexPhase.EMBEDDING)
                borrower.fill(store, dense.embedder.fingerprint, dense.index, dense.embedder.dimensions)
                complete = embed_pending(
                    store,
                    dense.embedder,
                    dense.index,
                    self._place.batch,
                    should_stop=self._changed.is_set,
                    hot=self._hot.paths,
                    give_way=self._vectors.give_way,
                )
                self._say("embedder", "")
            except AgentError as error:
                self._say("embedder", str(error))
                self._stopping.wait(_RETRY_SECONDS)
                continue
            if complete:
                self._enter(IndexPhase.CURRENT)
                self._vectors.hydrate(should_stop=self._changed.is_set)
                self._changed.wait(self._vectors.retry_in)

    # --- serving ---

    def _answer(self, store: Store, request: Request) -> Reply:
        try:
            match request:
                case Search():
                    return Found(result=self._search(store, request))
                case Outline():
                    return Outlined(map=self._outline(store, request))
                case Status():
                    return Now(status=self._status(store))
                case Shutdown():
                    self.stop()
                    return Waited(current=True)
                case _:
                    return Waited(current=self._wait(request.seconds))
        except AgentError as error:
            log.warning("%s is not answered: %s", request.type, error)
            return Failed(message=str(error))

    def _search(self, store: Store, request: Search) -> SearchResult:
        started = time.monotonic()
        if self._watcher is not None and self._scanned.is_set():
            self._watcher.catch_up(request.patience)
        with self._vectors.preferred():
            result = self._found(store, request, self._dense)
        self._hot.touch(hit.chunk.path for hit in result.hits)
        log_search(request.query, result, started)
        return result

    def _outline(self, store: Store, request: Outline) -> RepositoryMap:
        hits = search(store, self._loaded, request.query, MAP_HITS, self._weights).hits if request.query else ()
        return repository_map(store, request.tokens, self._place.load_counter().count, request.focus, hits)

    def _found(self, store: Store, request: Search, dense: Dense | None) -> SearchResult:
        """With everything there is; what fails is told in the status, and the search goes on without it."""
        reranker = self._reranker
        while True:
            try:
                result = search(store, self._loaded, request.query, request.limit, self._weights, dense, reranker)
            except (EmbedderError, StorageError) as error:
                if dense is None and reranker is None:
                    raise
                self._say("search", str(error))
                dense, reranker = (dense, None) if reranker is not None else (None, None)
            else:
                if dense is self._dense and reranker is self._reranker:
                    self._say("search", "")
                return result

    def _wait(self, seconds: float) -> bool:
        ticket = threading.Event()
        self._waiting.put(ticket)
        deadline = time.monotonic() + seconds
        while self._watcher is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if self._watcher is not None:
            self._watcher.ask_rescan()
        return ticket.wait(max(0.0, deadline - time.monotonic()))

    def _status(self, store: Store) -> IndexStatus:
        counts = store.counts(self._place.fingerprint)
        return IndexStatus(
            phase=self._phase,
            files=counts.files,
            files_total=self._indexer.files_total if self._indexer else 0,
            chunks=counts.chunks,
            vectors=counts.vectors,
            skipped=tuple(store.skipped(SKIPPED_SHOWN)),
            embedder=self._place.fingerprint,
            problem=" ".join(problem for problem in (*self._problems.values(), self._vectors.problem) if problem),
        )

    def _hold_on_to(self, lifeline: int) -> None:
        with contextlib.suppress(OSError):
            while os.read(lifeline, 1024):
                pass
        log.info("whoever started this worker is gone")
        self.stop()

    # --- what others are told ---

    def _enter(self, phase: IndexPhase) -> None:
        if phase is not self._phase:
            log.info("phase: %s", phase)
            self._phase = phase

    def _say(self, part: str, problem: str) -> None:
        """Sets or, with an empty `problem`, clears what `status` says of a part."""
        if problem != self._problems[part]:
            log.log(logging.WARNING if problem else logging.INFO, "%s: %s", part, problem or "no problem any more")
            self._problems[part] = problem


def _changes(indexer: Indexer, watcher: Watcher, batch: Batch) -> list[FileChange]:
    """What a batch is about, its directories scanned. Raises an AgentError."""
    if batch.rescan:
        with watcher.covering() as entering:
            return indexer.scan(entering=entering)
    changes = list(batch.changes)
    if batch.directories:
        with watcher.covering(*batch.directories) as entering:
            changes += indexer.scan(batch.directories, entering)
    return changes


def _drained(waiting: "queue.SimpleQueue[threading.Event]") -> list[threading.Event]:
    tickets = []
    with contextlib.suppress(queue.Empty):
        while True:
            tickets.append(waiting.get_nowait())
    return tickets
