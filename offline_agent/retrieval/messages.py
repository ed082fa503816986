"""What a client and the index worker say to each other: one JSON message a frame, checked on both sides, never a pickle.

    client -> worker                      worker -> client
    search(query, limit)                  found(result)
    outline(tokens, focus, query)         outlined(map)
    status                                now(status)
    wait(seconds)                         waited(current)
    shutdown                              waited(true), then the worker ends
                                          failed(message), for any of them

The socket lies in a private directory, so only its owner can connect.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from offline_agent.errors import IndexUnavailable
from offline_agent.types import IndexStatus, RepositoryMap, SearchResult, Value

SOCKET_FILE = "worker.sock"
_LONGEST_REQUEST = 1_000_000


class Search(Value):
    """What was just saved is found too, unless it takes longer than `patience` seconds to index."""

    type: Literal["search"] = "search"
    query: str
    limit: int
    patience: float = 1.0


class Outline(Value):
    """Asks for the repository map, of at most `tokens`. `focus` are files and directories, `query` any words."""

    type: Literal["outline"] = "outline"
    tokens: int
    focus: tuple[str, ...] = ()
    query: str = ""


class Status(Value):
    type: Literal["status"] = "status"


class Wait(Value):
    """Asks to answer when everything saved before now can be found lexically, or after `seconds`."""

    type: Literal["wait"] = "wait"
    seconds: float


class Shutdown(Value):
    type: Literal["shutdown"] = "shutdown"


class Found(Value):
    type: Literal["found"] = "found"
    result: SearchResult


class Outlined(Value):
    type: Literal["outlined"] = "outlined"
    map: RepositoryMap


class Now(Value):
    type: Literal["now"] = "now"
    status: IndexStatus


class Waited(Value):
    type: Literal["waited"] = "waited"
    current: bool


class Failed(Value):
    type: Literal["failed"] = "failed"
    message: str


Request = Annotated[Search | Outline | Status | Wait | Shutdown, Field(discriminator="type")]
Reply = Annotated[Found | Outlined | Now | Waited | Failed, Field(discriminator="type")]

_REQUESTS: TypeAdapter[Request] = TypeAdapter(Request)
_REPLIES: TypeAdapter[Reply] = TypeAdapter(Reply)


def send(connection: "Connection[bytes, bytes]", message: Value) -> None:
    connection.send_bytes(message.model_dump_json().encode("utf-8"))


def receive_request(connection: "Connection[bytes, bytes]") -> Request:
    """Raises EOFError or OSError when the client is gone, ValueError when it does not speak this protocol."""
    return _REQUESTS.validate_json(connection.recv_bytes(_LONGEST_REQUEST))


def receive_reply(connection: "Connection[bytes, bytes]") -> Reply:
    data = connection.recv_bytes()
    try:
        return _REPLIES.validate_json(data)
    except ValidationError as error:
        raise IndexUnavailable(
            f"The index worker answered what this version does not understand: {error.title}."
        ) from None


@contextmanager
def socket_address(directory: Path) -> Iterator[str]:
    """A name for the socket in `directory` that fits the 108 bytes a Unix socket address has, however deep it lies."""
    address = str(directory / SOCKET_FILE)
    if len(os.fsencode(address)) < 100:
        yield address
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_FILE}"
    finally:
        os.close(descriptor)
