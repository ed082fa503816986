"""What the front and the model worker say to each other: one JSON object a frame, over a socketpair.

    front -> worker   Load  CountTokens  Generate  Cancel
    worker -> front   Loaded  Counted  Piece  Done  Failed

Every request has an id that grows by one, and every reply names the request it answers. A front that has lost interest in a
request just ignores what still comes for it, so nothing has to be drained. JSON and never pickle: the worker parses
untrusted files, and what it sends must not be able to run code in the front.
"""

from multiprocessing.connection import Connection
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from offline_agent.types import Message, ModelInfo, Sampling, Value


class Load(Value):
    """Always the first. `context` is in tokens; an empty `sha256` and size 0 pin nothing."""

    type: Literal["load"] = "load"
    id: int
    path: str
    name: str
    sha256: str = ""
    size: int = 0
    context: int
    threads: int
    gpu_layers: int


class CountTokens(Value):
    type: Literal["count_tokens"] = "count_tokens"
    id: int
    texts: tuple[str, ...]


class Generate(Value):
    type: Literal["generate"] = "generate"
    id: int
    messages: tuple[Message, ...]
    sampling: Sampling


class Cancel(Value):
    """Stops the requests up to this id."""

    type: Literal["cancel"] = "cancel"
    id: int


class Confinement(Value):
    """What the kernel refuses the worker: opening sockets, and opening any file but the model."""

    sockets_denied: bool = False
    files_denied: bool = False


class Loaded(Value):
    type: Literal["loaded"] = "loaded"
    id: int
    info: ModelInfo
    confinement: Confinement


class Counted(Value):
    type: Literal["counted"] = "counted"
    id: int
    counts: tuple[int, ...]


class Piece(Value):
    type: Literal["piece"] = "piece"
    id: int
    text: str


class Usage(Value):
    """What an answer cost. Of the prompt's tokens, `reused_tokens` were still in the cache from the last request."""

    stopped: Literal["end", "length", "user"]
    prompt_tokens: int = 0
    reused_tokens: int = 0
    answer_tokens: int = 0
    prompt_seconds: float = 0.0
    answer_seconds: float = 0.0


class Done(Value):
    type: Literal["done"] = "done"
    id: int
    usage: Usage


class Failed(Value):
    """`error` is the name of a ModelError in errors.py, `message` its sentence."""

    type: Literal["failed"] = "failed"
    id: int
    error: str
    message: str


Request = Annotated[Load | CountTokens | Generate | Cancel, Field(discriminator="type")]
Reply = Annotated[Loaded | Counted | Piece | Done | Failed, Field(discriminator="type")]

LARGEST_REPLY = 1 << 24
"""Bytes of one frame that the front will take from a worker which a file may have taken over."""

Link = Connection
"""A pipe of byte frames; its pickling send() and recv() are never used."""

_REQUEST: TypeAdapter[Request] = TypeAdapter(Request)
_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)


def open_link(descriptor: int) -> Link:
    """One end of the socketpair."""
    return Connection(descriptor)


def send(link: Link, message: Request | Reply) -> None:
    link.send_bytes(message.model_dump_json().encode())


def receive_request(link: Link) -> Request:
    return _REQUEST.validate_json(link.recv_bytes())


def receive_reply(link: Link) -> Reply:
    return _REPLY.validate_json(link.recv_bytes(LARGEST_REPLY))
