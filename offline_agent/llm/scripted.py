"""A model that says what it was told to: for tests of everything behind the ChatModel seam."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from offline_agent.errors import ModelError
from offline_agent.events import Called, Finished, Misfired, Piece, Said, Thought
from offline_agent.models import ModelInfo
from offline_agent.types import Message, Sampling, ToolSpec, Usage

Answer = str | Sequence[str | Piece] | ModelError


class ScriptedModel:
    """Replays `answers`, one a request, and keeps the `prompts` it was given. It is a ChatModel.

    A string comes word by word, a sequence piece by piece (a string in it is prose), an error is raised. A token is a word, for
    counting; a message has one more, and those of the calls in it. `path` is all that tells two of them apart.
    """

    def __init__(self, answers: Iterable[Answer] = (), context: int = 8192, path: str = "") -> None:
        self._answers = iter(tuple(answers))
        self._context = context
        self._path = path
        self.prompts: list[tuple[Message, ...]] = []
        self.samplings: list[Sampling] = []
        self.tools: list[tuple[ToolSpec, ...]] = []
        self.stopped_early = 0
        self.closed = False

    def load(self) -> ModelInfo:
        return ModelInfo(name="scripted", path=self._path, description="a script", context=self._context)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def measure(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        texts = [message.content for message in messages] + [tool.model_dump_json() for tool in tools]
        texts += [call.model_dump_json() for message in messages for call in message.calls]
        return sum(self.count_tokens(texts)) + len(messages)

    def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        tools: Sequence[ToolSpec] = (),
        choice: Literal["auto", "required"] = "auto",
    ) -> Iterator[Piece]:
        self.prompts.append(tuple(messages))
        self.samplings.append(sampling)
        self.tools.append(tuple(tools))
        answer = next(self._answers, None)
        if answer is None:
            raise ModelError(f"The script has no answer number {len(self.prompts)}.")
        if isinstance(answer, ModelError):
            raise answer
        pieces = [as_piece(piece) for piece in (_words(answer) if isinstance(answer, str) else answer)]
        finished = False
        try:
            yield from pieces
            finished = True
        finally:
            self.stopped_early += not finished
        if not (pieces and isinstance(pieces[-1], Finished)):
            usage = Usage(stopped="end", prompt_tokens=self.measure(messages, tools), answer_tokens=len(pieces))
            yield Finished(message=message_of(pieces), usage=usage)

    def close(self) -> None:
        self.closed = True


def as_piece(piece: str | Piece) -> Piece:
    return Said(text=piece) if isinstance(piece, str) else piece


def message_of(pieces: Iterable[Piece]) -> Message:
    """The assistant's message that the pieces add up to; of a call that misfired the text, so that the model sees what it wrote."""
    pieces = list(pieces)
    said = "".join(piece.text for piece in pieces if isinstance(piece, Said | Misfired))
    calls = tuple(piece.call for piece in pieces if isinstance(piece, Called))
    return Message(role="assistant", content=said, calls=calls)


def thought_of(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Thought))


def _words(text: str) -> list[str]:
    """`text` in pieces that end before each space, the way models write."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]
