"""The worker's door: a socket in the private directory, one thread and one database connection a client."""

import contextlib
import functools
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import ParamSpec

from offline_agent.errors import AgentError
from offline_agent.retrieval.messages import (
    SOCKET_FILE,
    Failed,
    Reply,
    Request,
    receive_request,
    send,
    socket_address,
)
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.store import Store

log = logging.getLogger(__name__)

P = ParamSpec("P")
Answer = Callable[[Store, Request], Reply]


@contextlib.contextmanager
def listening(place: Place, answer: Answer, stopping: threading.Event) -> Iterator[None]:
    """Answers clients while the context lasts. Only for who holds the lock: a socket that is there is taken for a dead owner's."""
    path = place.directory / SOCKET_FILE
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with socket_address(place.directory) as address:
            listener.bind(address)
        listener.listen()
        threading.Thread(
            target=reported(_accept), args=(listener, place, answer, stopping), name="accept", daemon=True
        ).start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept()
            path.unlink(missing_ok=True)


def reported(run: Callable[P, None]) -> Callable[P, None]:
    """`run` for a thread of its own: what ends it unexpectedly is logged with its traceback, and raised all the same."""

    @functools.wraps(run)
    def running(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            run(*args, **kwargs)
        except AgentError as error:
            log.error("the thread %s ended: %s", threading.current_thread().name, error)
            raise
        except Exception:
            log.exception("the thread %s ended unexpectedly", threading.current_thread().name)
            raise

    return running


def _accept(listener: socket.socket, place: Place, answer: Answer, stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            channel, _ = listener.accept()
        except OSError:
            return
        arguments = (Connection(channel.detach()), place, answer, stopping)
        threading.Thread(target=reported(_serve), args=arguments, name="client", daemon=True).start()


def _serve(connection: "Connection[bytes, bytes]", place: Place, answer: Answer, stopping: threading.Event) -> None:
    """Answers one client until it leaves. What it sends is checked; what fails is told to it, never raised here."""
    with connection, contextlib.suppress(EOFError, OSError):
        try:
            store = place.store()
        except AgentError as error:
            log.warning("a client is not served: %s", error)
            send(connection, Failed(message=str(error)))
            return
        with contextlib.closing(store):
            while not stopping.is_set():
                try:
                    request = receive_request(connection)
                except ValueError:
                    log.warning("a client sent what is no request")
                    reply: Reply = Failed(message="The index worker does not understand this request. Restart it.")
                else:
                    reply = answer(store, request)
                send(connection, reply)
