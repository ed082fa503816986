"""A model that says what it was told to: for tests of everything behind the ChatModel seam."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from offline_agent.errors import ModelError
from offline_agent.types import Message, ModelInfo, Sampling

Answer = str | Sequence[str] | ModelError


class ScriptedModel:
    """Replays `answers`, one a request, and keeps the `prompts` it was given. It is a ChatModel.

    A string comes word by word, a sequence piece by piece, an error is raised. A token is a word, for counting.
    """

    def __init__(self, answers: Iterable[Answer] = (), context: int = 8192) -> None:
        self._answers = iter(tuple(answers))
        self._context = context
        self.prompts: list[tuple[Message, ...]] = []
        self.samplings: list[Sampling] = []
        self.stopped_early = 0
        self.closed = False
        self.stop_reason: Literal["end", "length", "user"] | None = None

    def load(self) -> ModelInfo:
        return ModelInfo(name="scripted", path="", description="a script", context=self._context)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        self.prompts.append(tuple(messages))
        self.samplings.append(sampling)
        answer = next(self._answers, None)
        if answer is None:
            raise ModelError(f"The script has no answer number {len(self.prompts)}.")
        if isinstance(answer, ModelError):
            raise answer
        finished = False
        try:
            yield from _words(answer) if isinstance(answer, str) else answer
            finished = True
        finally:
            self.stop_reason = "end" if finished else "user"
            self.stopped_early += not finished

    def close(self) -> None:
        self.closed = True


def _words(text: str) -> list[str]:
    """`text` in pieces that end before each space, the way models write."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]
