"""The worker's door: a socket in the private directory, one thread and one database connection a client."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

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
        threading.Thread(target=_accept, args=(listener, place, answer, stopping), name="accept", daemon=True).start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept()
            path.unlink(missing_ok=True)


def _accept(listener: socket.socket, place: Place, answer: Answer, stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            channel, _ = listener.accept()
        except OSError:
            return
        arguments = (Connection(channel.detach()), place, answer, stopping)
        threading.Thread(target=_serve, args=arguments, name="client", daemon=True).start()


def _serve(connection: "Connection[bytes, bytes]", place: Place, answer: Answer, stopping: threading.Event) -> None:
    """Answers one client until it leaves. What it sends is checked; what fails is told to it, never raised here."""
    with connection, contextlib.suppress(EOFError, OSError):
        try:
            store = place.store()
        except AgentError as error:
            send(connection, Failed(message=str(error)))
            return
        with contextlib.closing(store):
            while not stopping.is_set():
                try:
                    request = receive_request(connection)
                except ValueError:
                    reply: Reply = Failed(message="The index worker does not understand this request. Restart it.")
                else:
                    reply = answer(store, request)
                send(connection, reply)
