"""What the front and the model worker say to each other: one JSON object a frame, over a socketpair.

    front -> worker   Load  CountTokens  Measure  Generate  Cancel  AskPrefix  SaveState  RestoreState
    worker -> front   Loaded  Counted  Fragment  Progress  Working  Done  Prefix  State  Restored  Failed

Every request has an id that grows by one, and every reply names the request it answers. A front that has lost interest in a
request just ignores what still comes for it, so nothing has to be drained. JSON and never pickle: the worker parses
untrusted files, and what it sends must not be able to run code in the front. The one thing that is no JSON is a computed state:
behind a State or RestoreState come its `size` bytes, in frames of FRAME bytes.

A model is unloaded by closing the link: the process ends, and all of its memory with it.
"""

from multiprocessing.connection import Connection
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from offline_agent.llm.dialect import Dialect
from offline_agent.llm.hardware import Memory
from offline_agent.models import ModelInfo
from offline_agent.types import Message, Sampling, ToolSpec, Usage, Value

Choice = Literal["auto", "required"]


class Wishes(Value):
    """What the person and the catalogue want of a model's layout in memory; None leaves it to fit.py. `card_context` is what
    the catalogue says of it, in tokens."""

    context: int | None = None
    card_context: int = 8192
    threads: int | None = None
    gpu_layers: int = -1
    batch: int | None = None
    cache_type: Literal["auto", "f16", "q8_0"] = "auto"


class Load(Value):
    """Always the first. An empty `sha256` and size 0 pin nothing. `dialects` are all that are declared, `dialect` the name of the
    one to take whatever the template says, and empty where the template shall tell. `memory` is what is free, as far as the
    front can tell."""

    type: Literal["load"] = "load"
    id: int
    path: str
    name: str
    sha256: str = ""
    size: int = 0
    wishes: Wishes = Wishes()
    memory: Memory = Memory(free=0)
    dialects: tuple[Dialect, ...] = ()
    dialect: str = ""
    thinking: bool | None = None
    draft: Literal["bodies", "always", "never"] = "bodies"


class CountTokens(Value):
    type: Literal["count_tokens"] = "count_tokens"
    id: int
    texts: tuple[str, ...]


class Measure(Value):
    """How long is this prompt? Answered with Counted."""

    type: Literal["measure"] = "measure"
    id: int
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()


class Generate(Value):
    """`constrained` false leaves tool calls without a grammar: for a grammar that llama.cpp crashes on."""

    type: Literal["generate"] = "generate"
    id: int
    messages: tuple[Message, ...]
    sampling: Sampling
    tools: tuple[ToolSpec, ...] = ()
    choice: Choice = "auto"
    constrained: bool = True


class Cancel(Value):
    """Stops the requests up to this id."""

    type: Literal["cancel"] = "cancel"
    id: int


class AskPrefix(Value):
    """Which tokens begin the prompt of these messages whatever the person asks?"""

    type: Literal["ask_prefix"] = "ask_prefix"
    id: int
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()


class SaveState(Value):
    """Asks for the state of the prefix that was asked for last, or of all that is computed."""

    type: Literal["save_state"] = "save_state"
    id: int
    part: Literal["prefix", "all"]


class RestoreState(Value):
    """Brings back a state of these tokens, whose `size` bytes follow."""

    type: Literal["restore_state"] = "restore_state"
    id: int
    tokens: tuple[int, ...]
    size: int
    data: bytes = Field(default=b"", exclude=True, repr=False)


class Confinement(Value):
    """What the kernel refuses the worker: opening sockets, and opening any file but the model."""

    sockets_denied: bool = False
    files_denied: bool = False


class Loaded(Value):
    """`settings` names everything that a computed state depends on beside the model and the tokens."""

    type: Literal["loaded"] = "loaded"
    id: int
    info: ModelInfo
    settings: str
    confinement: Confinement


class Counted(Value):
    type: Literal["counted"] = "counted"
    id: int
    counts: tuple[int, ...]


class Fragment(Value):
    """Some text of the answer. A call comes whole, from its opening marker to its end."""

    type: Literal["fragment"] = "fragment"
    id: int
    kind: Literal["said", "thought", "call"]
    text: str


class Progress(Value):
    """`done` of `total` tokens of the prompt are computed."""

    type: Literal["progress"] = "progress"
    id: int
    done: int
    total: int


class Working(Value):
    """Sent now and then by a model that computes and has nothing to tell yet: a slow one may take longer than the front's patience
    for a batch of a prompt, or for the file that a call holds."""

    type: Literal["working"] = "working"
    id: int


class Done(Value):
    """`tokens` are what the model wrote, and what the program wrote for it inside calls."""

    type: Literal["done"] = "done"
    id: int
    usage: Usage
    tokens: tuple[int, ...] = ()


class Prefix(Value):
    """`computed` says that its state can be asked for: it was computed here and not restored."""

    type: Literal["prefix"] = "prefix"
    id: int
    tokens: tuple[int, ...]


class State(Value):
    """A computed state of these tokens, whose `size` bytes follow; nothing where there is none."""

    type: Literal["state"] = "state"
    id: int
    tokens: tuple[int, ...] = ()
    size: int = 0
    data: bytes = Field(default=b"", exclude=True, repr=False)


class Restored(Value):
    """How many tokens need not be computed any more; 0 where the state was refused."""

    type: Literal["restored"] = "restored"
    id: int
    tokens: int


class Failed(Value):
    """`error` is the name of a ModelError in errors.py, `message` its sentence."""

    type: Literal["failed"] = "failed"
    id: int
    error: str
    message: str


Request = Annotated[
    Load | CountTokens | Measure | Generate | Cancel | AskPrefix | SaveState | RestoreState, Field(discriminator="type")
]
Reply = Annotated[
    Loaded | Counted | Fragment | Progress | Working | Done | Prefix | State | Restored | Failed,
    Field(discriminator="type"),
]

LARGEST_REPLY = 1 << 24
"""Bytes of one frame that the front will take from a worker which a file may have taken over."""
LARGEST_STATE = 1 << 36
FRAME = 1 << 20

Link = Connection
"""A pipe of byte frames; its pickling send() and recv() are never used."""

_REQUEST: TypeAdapter[Request] = TypeAdapter(Request)
_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)


def open_link(descriptor: int) -> Link:
    """One end of the socketpair."""
    return Connection(descriptor)


def send(link: Link, message: Request | Reply) -> None:
    link.send_bytes(message.model_dump_json().encode())
    if isinstance(message, State | RestoreState):
        data = memoryview(message.data)
        for start in range(0, message.size, FRAME):
            link.send_bytes(data[start : start + FRAME])


def receive_request(link: Link) -> Request:
    request = _REQUEST.validate_json(link.recv_bytes())
    if isinstance(request, RestoreState):
        return request.model_copy(update={"data": _receive_data(link, request.size)})
    return request


def receive_reply(link: Link) -> Reply:
    """Raises ValueError for what is no reply, or too large for one."""
    reply = _REPLY.validate_json(_receive_frame(link, LARGEST_REPLY))
    if isinstance(reply, State):
        if reply.size > LARGEST_STATE:
            raise ValueError("a state larger than any model has")
        return reply.model_copy(update={"data": _receive_data(link, reply.size)})
    return reply


def _receive_data(link: Link, size: int) -> bytes:
    data = bytearray()  # grows with what arrives: the size is only a claim
    while len(data) < size:
        data += _receive_frame(link, FRAME)
    return bytes(data)


def _receive_frame(link: Link, most: int) -> bytes:
    try:
        return link.recv_bytes(most)
    except OSError as error:
        if error.errno is None:  # not the system's: the connection's own, for a frame of more bytes
            raise ValueError("a frame larger than any reply") from None
        raise
