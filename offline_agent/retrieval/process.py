"""An index whose worker is another process: started when nobody serves this repository yet, and again when it is gone."""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from offline_agent.errors import IndexUnavailable
from offline_agent.retrieval.client import RemoteIndex, start_worker, try_connect
from offline_agent.types import IndexStatus, RepositoryMap, SearchResult

log = logging.getLogger(__name__)

T = TypeVar("T")
_GOODBYE_SECONDS = 0.2
_PAUSES = (0.0, 0.1, 0.5)


class IndexProcess:
    """A Retriever and a Mapper over the worker of `directory`. A worker that another session started is shared; ours ends with us.

    `greeting` is what a worker that we start reads first (see start_worker).
    """

    def __init__(self, command: Sequence[str], directory: Path, greeting: bytes = b"") -> None:
        self._command = command
        self._directory = directory
        self._greeting = greeting
        self._connecting = threading.Lock()
        self._remote: RemoteIndex | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def search(self, query: str, limit: int) -> SearchResult:
        return self._ask(lambda remote: remote.search(query, limit))

    def repository_map(self, tokens: int, focus: Sequence[str] = (), query: str = "") -> RepositoryMap:
        return self._ask(lambda remote: remote.repository_map(tokens, focus, query))

    def status(self) -> IndexStatus:
        return self._ask(lambda remote: remote.status())

    def wait_current(self, seconds: float) -> bool:
        return self._ask(lambda remote: remote.wait_current(seconds))

    def close(self) -> None:
        """Lets go of the worker, for good. One that we started ends by itself, after its batch: nobody should wait for that."""
        with self._connecting:  # whoever asks from now on, such as a thread that polls, must not start another
            self._closed = True
            remote, self._remote = self._remote, None
        if remote is not None:
            remote.close()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()  # its end of input is its end
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_GOODBYE_SECONDS)

    def _ask(self, question: Callable[[RemoteIndex], T]) -> T:
        """Asks again when the worker was killed or its session ended: a new one takes over. A dying one still accepts
        connections for a moment, so the second try may meet it once more."""
        for pause in _PAUSES:
            try:
                return self._ask_once(question)
            except IndexUnavailable as error:
                if self._closed:
                    raise
                log.warning("asking again in %.1f s: %s", pause, error)
                time.sleep(pause)
        return self._ask_once(question)

    def _ask_once(self, question: Callable[[RemoteIndex], T]) -> T:
        remote = self._connected()
        try:
            return question(remote)
        except BaseException:
            # Also after Ctrl-C: the answer that is still to come would be taken for the next question's.
            self._forget(remote)
            raise

    def _connected(self) -> RemoteIndex:
        with self._connecting:
            if self._closed:
                raise IndexUnavailable("The index is closed. Run the command again.")
            if self._remote is None:
                self._remote = try_connect(self._directory)
            if self._remote is None:
                self._process, self._remote = start_worker(self._command, self._directory, self._greeting)
            return self._remote

    def _forget(self, remote: RemoteIndex) -> None:
        remote.close()
        with self._connecting:
            if self._remote is remote:
                self._remote = None
