"""Pieces -> events: one request to the model, its thoughts and prose as they come, places in place of numbers."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from offline_agent.agent.act import can_be_told
from offline_agent.agent.cite import Citer
from offline_agent.events import Answered, Event, Finished, Misfired, Piece, Reading, Said, Thought, Token
from offline_agent.types import Citation, Message, Usage

_NO_MESSAGE = Message(role="assistant", content="")
_STOPPED = Usage(stopped="user")


@dataclass
class Heard:
    """What the model answered to one request: `text` is its prose as it is shown, `faults` what was no valid call and why."""

    text: str = ""
    citations: tuple[Citation, ...] = ()
    faults: list[str] = field(default_factory=list)
    message: Message = _NO_MESSAGE
    usage: Usage = _STOPPED

    @property
    def answers(self) -> bool:
        """Whether it is an answer, and no call."""
        return not self.message.calls and not self.faults

    @property
    def answered(self) -> Answered:
        return Answered(text=self.text, citations=self.citations, stopped=self.usage.stopped)


def hear(pieces: Iterator[Piece], citations: Sequence[Citation]) -> Generator[Event, None, Heard]:
    """`[1]` in the prose is `citations[0]`. Raises what the pieces raise, a ModelError."""
    citer, heard = Citer(citations), Heard()
    for piece in pieces:
        if isinstance(piece, Thought | Reading):
            yield piece
        elif isinstance(piece, Misfired):
            heard.faults.append(f"That was no valid tool call: {piece.reason}")
        elif isinstance(piece, Finished):
            heard.message, heard.usage = piece.message, piece.usage
            _leave_out_untellable(heard)
        elif isinstance(piece, Said) and (shown := citer.feed(piece.text)):
            heard.text += shown
            yield Token(text=shown)
    if rest := citer.finish():
        heard.text += rest
        yield Token(text=rest)
    heard.citations = citer.citations
    return heard


def _leave_out_untellable(heard: Heard) -> None:
    """Takes out the calls that could be neither kept nor shown to the model again. Then neither can the tokens they were in."""
    calls = heard.message.calls
    kept = tuple(call for call in calls if can_be_told(call))
    if len(kept) < len(calls):
        heard.message = heard.message.model_copy(update={"calls": kept, "tokens": ()})
        heard.faults.append("That was no valid tool call: its arguments are no text that can be written down.")


def said(pieces: Iterator[Piece]) -> str:
    """The prose among the pieces."""
    return "".join(piece.text for piece in pieces if isinstance(piece, Said))
