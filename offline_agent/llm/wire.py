"""What goes over the wire to a server with an OpenAI-compatible interface, and what comes back.

    Message, ToolSpec -> request body          chunks of JSON -> Said, Thought, Called, Misfired, Finished

What a server sends is a stranger's: it is checked here, and becomes pieces or a ValueError.
"""

import json
import secrets
import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from offline_agent.events import Called, Finished, Misfired, Piece, Reading, Said, Thought
from offline_agent.llm.tokens import broken
from offline_agent.types import Message, ToolCall, ToolSpec, Usage

_OPENING, _CLOSING = "<think>", "</think>"
_LONGEST_INDENT = 1000  # characters of white space in front of <think>

Stop = Literal["end", "length", "user"]


# --- requests ----------------------------------------------------------------------------------------------------


def wire_messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The conversation as OpenAI's interface has it. Ids of calls are ours: to a server an id is any text.

    How a server tokenises is not known, and llama-server takes a control token's text in a file for the token. So such texts get
    a space, in all but the model's own words: visible to it, and an edit that quotes one fails rather than goes wrong."""
    return [_wire_message(message) for message in messages]


def _wire_message(message: Message) -> dict[str, Any]:
    content = message.content if message.role == "assistant" else broken(message.content)
    wire: dict[str, Any] = {"role": message.role, "content": content}
    if message.calls:
        wire["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _dumped(call.arguments)}}
            for call in message.calls
        ]
    if message.role == "tool":
        wire["tool_call_id"] = message.call_id
    return wire


def wire_tools(tools: Iterable[ToolSpec]) -> list[dict[str, Any]]:
    """Tools as functions. A `body` is an argument like any other there: servers put all of them into JSON."""
    return [
        {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": _parameters(t)}}
        for t in tools
    ]


def _parameters(tool: ToolSpec) -> dict[str, Any]:
    properties = tool.parameters.get("properties", {})
    if not tool.body or tool.body in properties:
        return tool.parameters
    required = [*tool.parameters.get("required", []), tool.body]
    return tool.parameters | {"properties": {**properties, tool.body: {"type": "string"}}, "required": required}


def clean(body: dict[str, Any]) -> dict[str, Any]:
    """A body that UTF-8 can carry: a file name that is no UTF-8 has lone surrogates in it."""
    cleaned: dict[str, Any] = json.loads(_dumped(body).encode("utf-8", "replace"))
    return cleaned


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


# --- answers -----------------------------------------------------------------------------------------------------

_Count = Annotated[int, Field(ge=0)]
_Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Function(BaseModel):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None  # text by the rules; an object from some versions of llama-server


class _CallDelta(BaseModel):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(BaseModel):
    """llama-server, vLLM (older) and LM Studio think in `reasoning_content`, Ollama and vLLM (newer) in `reasoning`."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_CallDelta] | None = None


class _Choice(BaseModel):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: _Count | None = None


class _Usage(BaseModel):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    prompt_tokens_details: _Details | None = None


class _Timings(BaseModel):
    """llama-server's alone."""

    cache_n: _Count = 0
    prompt_n: _Count = 0
    prompt_ms: _Milliseconds = 0.0
    predicted_n: _Count = 0
    predicted_ms: _Milliseconds = 0.0
    draft_n: _Count = 0
    draft_n_accepted: _Count = 0


class _Progress(BaseModel):
    """llama-server's, where `return_progress` asks for it. `processed` has what was cached in it."""

    total: _Count
    processed: _Count


class _Chunk(BaseModel):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    timings: _Timings | None = None
    prompt_progress: _Progress | None = None


_CHUNK = TypeAdapter(_Chunk)


class _PartialCall:
    """A call whose arguments are still coming."""

    def __init__(self, server_id: str) -> None:
        self.server_id = server_id
        self.name = ""
        self.text: list[str] = []

    def add(self, function: _Function) -> None:
        self.name = self.name or function.name or ""
        arguments = function.arguments
        self.text.append(_dumped(arguments) if isinstance(arguments, dict) else arguments or "")

    def finish(self, cut: bool) -> Called | Misfired:
        text = "".join(self.text)
        try:
            arguments = json.loads(text or "{}", parse_constant=_refuse_constant)
            if self.name and isinstance(arguments, dict):
                return Called(call=_call(self.name, clean(arguments)))
            reason = "The arguments of a call are a JSON object." if self.name else "The call names no tool."
        except (ValueError, RecursionError):
            reason = f"The arguments of {self.name or 'the call'} are not valid JSON."
        if cut:
            reason = f"The answer was cut off at its longest before the arguments of {self.name or 'the call'} ended."
        return Misfired(text=f"{self.name}({text})", reason=reason)


class Answer:
    """Gathers one answer from the chunks of its stream."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._first: float | None = None
        self._said: list[str] = []
        self._thinking = _Thinking()
        self._calls: list[_PartialCall] = []
        self._open: dict[int | None, _PartialCall] = {}
        self._reason = ""
        self._usage = _Usage()
        self._timings: _Timings | None = None

    @property
    def complete(self) -> bool:
        """Whether the server said that, and why, it stopped."""
        return bool(self._reason)

    @property
    def begun(self) -> bool:
        return self._first is not None

    @property
    def text(self) -> str:
        return "".join(self._said)

    def add(self, chunk: object) -> Iterator[Piece]:
        """What a chunk brings. Raises ValueError for one that is not as it should be."""
        try:
            read = _CHUNK.validate_python(chunk)
        except (ValidationError, RecursionError):
            raise ValueError("no chunk of an answer") from None
        self._usage = read.usage or self._usage
        self._timings = read.timings or self._timings
        if read.prompt_progress is not None:
            yield Reading(done=read.prompt_progress.processed, total=read.prompt_progress.total)
        for choice in read.choices or ():
            self._reason = choice.finish_reason or self._reason
            yield from self._delta(choice.delta or _Delta())

    def _delta(self, delta: _Delta) -> Iterator[Piece]:
        if self._first is None and any((delta.content, delta.reasoning_content, delta.reasoning, delta.tool_calls)):
            self._first = time.monotonic()
        if thought := delta.reasoning_content or delta.reasoning:
            yield Thought(text=thought)
        yield from self._prose(delta.content or "")
        for call in delta.tool_calls or ():
            self._partial(call).add(call.function or _Function())

    def _prose(self, text: str, last: bool = False) -> Iterator[Piece]:
        for piece in self._thinking.feed(text, last):
            if isinstance(piece, Said):
                self._said.append(piece.text)
            yield piece

    def _partial(self, delta: _CallDelta) -> _PartialCall:
        """The call that a delta belongs to. Ids tell calls apart where a server gives each of them the index 0, as Ollama did; a
        call without an index begins where a name comes."""
        known = self._open.get(delta.index)
        another = known is not None and bool(delta.id) and bool(known.server_id) and delta.id != known.server_id
        named = delta.index is None and bool(delta.function and delta.function.name)
        if known is None or another or named:
            known = self._open[delta.index] = _PartialCall(delta.id or "")
            self._calls.append(known)
        return known

    def rest(self) -> Iterator[Piece]:
        """What was held back, as long as more could come: the last words, then the calls. One that misfired stays in the text, so
        that the model finds what it is told of."""
        yield from self._prose("", last=True)
        for call in self._calls:
            piece = call.finish(cut=self._reason == "length")
            if isinstance(piece, Misfired):
                self._said.append(piece.text)
            yield piece

    def finished(self, calls: Iterable[ToolCall], stopped: Stop | None = None) -> Finished:
        stopped = stopped or ("length" if self._reason == "length" else "end")
        message = Message(role="assistant", content=self.text, calls=tuple(calls))
        return Finished(message=message, usage=self._cost(stopped))

    def _cost(self, stopped: Stop) -> Usage:
        """By the server's own count and, where it has one, by its clock, else by ours."""
        usage, timings = self._usage, self._timings or _Timings()
        now = time.monotonic()
        first = now if self._first is None else self._first
        details = usage.prompt_tokens_details or _Details()
        return Usage(
            stopped=stopped,
            prompt_tokens=usage.prompt_tokens or timings.cache_n + timings.prompt_n,
            reused_tokens=details.cached_tokens or timings.cache_n,
            answer_tokens=usage.completion_tokens or timings.predicted_n,
            drafted_tokens=timings.draft_n,
            accepted_tokens=timings.draft_n_accepted,
            prompt_seconds=timings.prompt_ms / 1000 or first - self._started,
            answer_seconds=timings.predicted_ms / 1000 or now - first,
        )


class _Thinking:
    """Tells thoughts from prose where a server leaves `<think>...</think>` in the text. Only at its very beginning: further on, an
    answer may be about such marks."""

    def __init__(self) -> None:
        self._at: Literal["start", "inside", "behind", "prose"] = "start"
        self._held = ""

    def feed(self, text: str, last: bool = False) -> Iterator[Said | Thought]:
        self._held += text
        if self._at == "start":
            begun = self._held.lstrip()
            if not last and _OPENING.startswith(begun) and begun != _OPENING and len(self._held) < _LONGEST_INDENT:
                return
            self._at = "inside" if begun.startswith(_OPENING) else "prose"
            self._held = begun.removeprefix(_OPENING) if self._at == "inside" else self._held
        if self._at == "inside":
            thought, mark, rest = self._held.partition(_CLOSING)
            kept = 0 if mark or last else _overlap(thought, _CLOSING)
            if thought[: len(thought) - kept]:
                yield Thought(text=thought[: len(thought) - kept])
            self._held = rest if mark else thought[len(thought) - kept :]
            self._at = "behind" if mark else "inside"
        if self._at == "behind":
            self._held = self._held.lstrip()
            self._at = "prose" if self._held else "behind"
        if self._at == "prose" and self._held:
            yield Said(text=self._held)
            self._held = ""


def _overlap(text: str, mark: str) -> int:
    """How many characters at the end of `text` could begin `mark`."""
    return next((n for n in range(len(mark) - 1, 0, -1) if text.endswith(mark[:n])), 0)


def _call(name: str, arguments: dict[str, Any]) -> ToolCall:
    return ToolCall(id=secrets.token_hex(5)[:9], name=name, arguments=arguments)


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON, and nobody after us could write them
