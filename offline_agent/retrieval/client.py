"""The front's side of the index worker: connect, ask, wait."""

import contextlib
import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from offline_agent.errors import IndexUnavailable
from offline_agent.retrieval.messages import (
    Failed,
    Found,
    Now,
    Outline,
    Outlined,
    Reply,
    Search,
    Shutdown,
    Status,
    Wait,
    Waited,
    receive_reply,
    send,
    socket_address,
)
from offline_agent.types import IndexStatus, RepositoryMap, SearchResult, Value

log = logging.getLogger(__name__)

_PATIENCE = (
    30.0  # seconds for any answer; a search takes milliseconds, and a query may have to wait for one embedding pass
)
_SECOND_LOOK = 2.0
_FAREWELL_SECONDS = 1.0
_GONE = "The index worker ended. Run the command again: it goes on where it stopped."


class RemoteIndex:
    """A Retriever and a Mapper that asks a running worker. Threads take turns."""

    def __init__(self, connection: "Connection[bytes, bytes]") -> None:
        self._connection = connection
        self._turn = threading.Lock()

    def search(self, query: str, limit: int) -> SearchResult:
        reply = self._ask(Search(query=query, limit=limit))
        return reply.result if isinstance(reply, Found) else _unexpected(reply)

    def repository_map(self, tokens: int, focus: Sequence[str] = (), query: str = "") -> RepositoryMap:
        reply = self._ask(Outline(tokens=tokens, focus=tuple(focus), query=query))
        return reply.map if isinstance(reply, Outlined) else _unexpected(reply)

    def status(self) -> IndexStatus:
        reply = self._ask(Status())
        return reply.status if isinstance(reply, Now) else _unexpected(reply)

    def wait_current(self, seconds: float) -> bool:
        """True when everything saved before the call can be found lexically; False when `seconds` were not enough."""
        reply = self._ask(Wait(seconds=seconds), seconds + _PATIENCE)
        return reply.current if isinstance(reply, Waited) else _unexpected(reply)

    def shutdown(self) -> None:
        """Ends the worker. One that is gone before it could answer did what was asked."""
        with contextlib.suppress(IndexUnavailable):
            self._ask(Shutdown())

    def close(self) -> None:
        """Waits for an answer under way: another thread would go on reading from whatever gets the descriptor's number next.
        A worker that hangs is not waited for; the connection then ends with the process."""
        if self._turn.acquire(timeout=_FAREWELL_SECONDS):
            try:
                self._connection.close()
            finally:
                self._turn.release()

    def _ask(self, request: Value, patience: float = _PATIENCE) -> Reply:
        with self._turn:
            try:
                send(self._connection, request)
                if not self._connection.poll(patience):
                    # The late answer would be taken for the next question's: this connection is of no more use.
                    self._connection.close()
                    raise IndexUnavailable("The index worker does not answer. End it and run the command again.")
                reply = receive_reply(self._connection)
            except (EOFError, OSError):
                raise IndexUnavailable(_GONE) from None
        if isinstance(reply, Failed):
            raise IndexUnavailable(reply.message)
        return reply


def try_connect(directory: Path) -> RemoteIndex | None:
    """The worker that serves `directory`; None when none does."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket_address(directory) as address:
            channel.connect(address)
    except OSError:
        channel.close()
        return None
    return RemoteIndex(Connection(channel.detach()))


def start_worker(
    command: Sequence[str], directory: Path, greeting: bytes = b"", seconds: float = 30.0
) -> "tuple[subprocess.Popen[bytes], RemoteIndex]":
    """Starts a worker and connects to it. It ends when the returned process' standard input is closed, by us or by our end.

    `greeting`, some bytes at most, comes first on its standard input: what others may not see in its arguments or environment.
    """
    with _complaints() as complaints:
        process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            cwd=directory,  # `python -m` looks for modules in the current directory first: it must not be the repository
            start_new_session=True,  # Ctrl-C in the terminal stops an answer, not the index
        )
        log.info("started an index worker, pid %d", process.pid)
        _greet(process, greeting)
        give_up, ended = time.monotonic() + seconds, 0.0
        while (remote := try_connect(directory)) is None:
            if process.poll() is not None:
                # Another worker may have been quicker to the lock, and is about to listen.
                ended = ended or time.monotonic()
                give_up = min(give_up, ended + _SECOND_LOOK)
            if time.monotonic() > give_up:
                process.kill()
                process.wait()
                raise IndexUnavailable(f"The index worker did not start: {_last_line(complaints)}")
            time.sleep(0.01)
    return process, remote


@contextlib.contextmanager
def _complaints() -> Iterator[int]:
    """Where a worker's standard error goes: to memory, for a temporary file would be on a disk, and an error may quote
    what was read. Only Linux has such memory; elsewhere nothing is kept."""
    descriptor = os.memfd_create("complaints") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _greet(process: "subprocess.Popen[bytes]", greeting: bytes) -> None:
    """One that has ended already is no error here: the wait for its answer tells why."""
    if greeting and process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(greeting)


def _last_line(complaints: int) -> str:
    os.lseek(complaints, 0, os.SEEK_SET)
    with open(complaints, "rb", closefd=False) as file:
        lines = file.read().decode("utf-8", "replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return said.removeprefix("offline-agent: ") or "it said nothing. See `offline-agent doctor`."


def _unexpected(reply: Reply) -> NoReturn:
    raise IndexUnavailable(f"The index worker answered {reply.type} to another question. Restart it.")
