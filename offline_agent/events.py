"""What travels while an answer is made: pieces from the model to the turn, events from the turn to the face that started it.

Both are frozen, and cross a process boundary as JSON.
"""

from typing import Annotated, Literal

from pydantic import Field

from offline_agent.types import Citation, Message, SearchResult, ToolCall, Usage, Value

# --- piece: what a model sends while it answers --------------------------------------------------------------------


class Reading(Value):
    """How much of the prompt is computed: `done` of `total` tokens."""

    type: Literal["reading"] = "reading"
    done: int
    total: int


class Said(Value):
    """Prose, in whole characters."""

    type: Literal["said"] = "said"
    text: str


class Thought(Value):
    """What the model thinks before it answers, in whole characters."""

    type: Literal["thought"] = "thought"
    text: str


class Called(Value):
    """A tool call that was understood."""

    type: Literal["called"] = "called"
    call: ToolCall


class Misfired(Value):
    """Text that was meant as a tool call and is none; `reason` is one sentence for the model, which may try again."""

    type: Literal["misfired"] = "misfired"
    text: str
    reason: str


class Finished(Value):
    """The end of every stream: the assistant's message, ready for the conversation, and what it cost."""

    type: Literal["finished"] = "finished"
    message: Message
    usage: Usage


Piece = Annotated[Reading | Said | Thought | Called | Misfired | Finished, Field(discriminator="type")]


# --- events: what a turn tells the face that started it -----------------------------------------------------------


class Searched(Value):
    type: Literal["searched"] = "searched"
    result: SearchResult


class Shown(Value):
    """How many of the results found the model is shown as excerpts: no more are wanted, or fit its context."""

    type: Literal["shown"] = "shown"
    excerpts: int
    found: int


class Token(Value):
    """A piece of the answer, ready to show."""

    type: Literal["token"] = "token"
    text: str


class Acting(Value):
    """A tool is about to be called. `summary` is one line for the person."""

    type: Literal["acting"] = "acting"
    call: ToolCall
    summary: str


class Acted(Value):
    """A tool was called, and this is what came of it. `summary` is one line for the person, `shown` what they may want to see
    besides: a diff, or the end of a command's output."""

    type: Literal["acted"] = "acted"
    call: ToolCall
    summary: str
    failed: bool = False
    shown: str = ""


class Warned(Value):
    """Something that a person should know: what was read looks as if it wanted to give the model orders."""

    type: Literal["warned"] = "warned"
    text: str


class Retried(Value):
    """The model wrote a tool call that cannot be understood, was told why, and tries again."""

    type: Literal["retried"] = "retried"
    reason: str


class Filled(Value):
    """How full the model's context is, in tokens. `estimated` where the model cannot count them."""

    type: Literal["filled"] = "filled"
    tokens: int
    context: int
    estimated: bool = False


class Trimmed(Value):
    """Old excerpts and results of tools were taken out of the model's view to make room; questions and answers stay."""

    type: Literal["trimmed"] = "trimmed"
    messages: int
    before: int
    after: int


class Compacted(Value):
    """Earlier turns were replaced by a summary, which the model itself wrote. Sizes are tokens of the whole conversation."""

    type: Literal["compacted"] = "compacted"
    summary: str
    before: int
    after: int


class Dropped(Value):
    """The oldest turns were taken out of the model's view without a summary: it wrote none, or there was no room for one."""

    type: Literal["dropped"] = "dropped"
    turns: int
    before: int
    after: int


class Answered(Value):
    """The end of a turn. `verified` is false where the model's answer failed its check and search results stand instead, and
    where the program speaks in the model's place. `stopped` says what ended it: the answer's end, its longest length, the person,
    a limit of steps, tokens or time, the same call again and again (repeats), or calls that are none."""

    type: Literal["answered"] = "answered"
    text: str
    citations: tuple[Citation, ...] = ()
    verified: bool = True
    stopped: Literal["end", "length", "user", "steps", "tokens", "time", "repeats", "calls"] = "end"


Event = Annotated[
    Searched
    | Shown
    | Reading
    | Thought
    | Token
    | Acting
    | Acted
    | Warned
    | Retried
    | Filled
    | Trimmed
    | Compacted
    | Dropped
    | Answered,
    Field(discriminator="type"),
]
