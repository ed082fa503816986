"""The index of one repository: in a worker that follows the files, or read here where one answer is all that is wanted."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from offline_agent.app.embedders import Embedders
from offline_agent.app.stored import Stored
from offline_agent.app.vault import ENDING_SECONDS
from offline_agent.errors import EmbedderError, IndexUnavailable, VaultError
from offline_agent.protocols import Index
from offline_agent.retrieval.client import try_connect
from offline_agent.retrieval.lock import owned
from offline_agent.retrieval.process import IndexProcess
from offline_agent.settings import Settings
from offline_agent.types import IndexPhase, IndexStatus, RepositoryMap

if TYPE_CHECKING:
    from offline_agent.retrieval.borrow import Found
    from offline_agent.retrieval.place import Place

Progress = Callable[[int, int], None]
"""Called with how many files are done and how many there are."""
StatusProgress = Callable[[IndexStatus], None]

log = logging.getLogger(__name__)

SETTLED = (IndexPhase.CURRENT, IndexPhase.LEXICAL_ONLY)
"""Phases in which nothing more comes by itself."""


class RepositoryIndex:
    """Of the files below `root`. `serving` is what the worker's process runs (see serve.py), `relay` the socket through which alone
    that process reaches a team's server."""

    def __init__(
        self, root: Path, settings: Settings, stored: Stored, embedders: Embedders, serving: str, relay: Path | None
    ) -> None:
        self._root = root
        self._settings = settings
        self._stored = stored
        self._embedders = embedders
        self._serving = serving
        self._relay = relay
        self._worker: IndexProcess | None = None
        self._closing = ExitStack()

    def one_shot(self, progress: Progress | None = None, changing: bool = False) -> Index:
        """What answers soonest: a worker that runs already, vectors included, else words and symbols brought up to date here; where
        files are `changing` meanwhile, before each search."""
        running = self._running_worker()
        if running is not None:
            return running[0]
        from offline_agent.retrieval.local import LocalIndex

        local = self._closing.enter_context(closing(LocalIndex(self._place, changing)))
        local.refresh(progress)
        return local

    def complete(self, progress: StatusProgress | None = None) -> Index:
        """The worker, once it has embedded everything there is. Raises an EmbedderError where that cannot be."""
        self._embedders.check()
        index = self.following()
        while (status := index.status()).phase not in SETTLED:
            if progress is not None:
                progress(status)
            time.sleep(0.2)
        if status.phase is IndexPhase.LEXICAL_ONLY:
            raise EmbedderError(status.problem)
        return index

    def following(self) -> IndexProcess:
        """The index that follows the files, in a worker that is started when first asked. It answers once it has read them."""
        if self._worker is None:
            # Our settings, wherever they came from; no secret is in them.
            worker = (self._serving, self._settings.model_dump_json(), str(self._root))
            command = [sys.executable, "-P", "-c", *worker]
            self._worker = IndexProcess(command, self._stored.directory, greeting=self._stored.data_key)
        return self._worker

    def serve(self) -> None:
        """Is the index worker, until standard input ends. Raises IndexUnavailable when there is one already."""
        from offline_agent.retrieval.worker import Worker, prepare_process

        prepare_process(self._stored.directory)
        self._keep_house()
        Worker(self._place).run(lifeline=sys.stdin.fileno())

    def _keep_house(self) -> None:
        """What is kept no longer goes when a worker starts: nobody waits for that."""
        try:
            pruned = self._stored.archive.prune()
        except VaultError as error:
            log.warning("nothing was pruned: %s", error)
        else:
            log.debug("pruned: %s", pruned)

    def status(self) -> IndexStatus:
        """Of the worker where one runs, else what is stored."""
        running = self._running_worker()
        if running is not None:
            return running[1]
        from offline_agent.retrieval.local import LocalIndex

        with closing(LocalIndex(self._place)) as local:
            return local.status()

    def _running_worker(self) -> tuple[Index, IndexStatus] | None:
        """With how it is; None also for one that takes the connection but is about to end, and answers no more."""
        remote = try_connect(self._stored.directory)
        if remote is None:
            return None
        try:
            return remote, remote.status()
        except IndexUnavailable:
            remote.close()
            return None

    def clear(self) -> None:
        """Removes it. Raises IndexUnavailable while a session is using it."""
        remote = try_connect(self._stored.directory)
        if remote is not None:
            remote.close()
            raise IndexUnavailable("A session is using this index. End it first (Ctrl-D there), then clear.")
        with owned(self._stored.directory, ENDING_SECONDS):  # a worker whose session has ended may still be writing
            self._stored.vault.destroy(self._stored.key)

    def borrow(self, fingerprint: str, keys: Sequence[str]) -> "Iterable[Found]":
        """Vectors that others have already: see Vectors.borrow."""
        return self._place.borrow(fingerprint, keys)

    @cached_property
    def _place(self) -> "Place":
        from offline_agent.app.place import place_of

        return place_of(self._root, self._settings, self._stored, self._embedders, self._relay)

    def close(self) -> None:
        """Ends the worker, if it is ours."""
        with self._closing:
            if self._worker is not None:
                self._worker.close()


def render_map(outline: RepositoryMap) -> str:
    """A repository map as text; empty where it is."""
    from offline_agent.retrieval.map import render

    return render(outline)
