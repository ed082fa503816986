"""The turn: a question goes in, events come out."""

from collections.abc import Generator, Iterator

from offline_agent.agent.cite import Citer
from offline_agent.agent.prompt import Prompt, build_prompt, fitted
from offline_agent.agent.record import read_record, record_grammar
from offline_agent.protocols import ChatModel, Retriever
from offline_agent.settings import AskSettings
from offline_agent.types import Answered, Event, Message, ModelCard, Searched, Token


class Session:
    """The turns of one conversation. A turn that was stopped or failed leaves the session as it was."""

    def __init__(self, retriever: Retriever, model: ChatModel, card: ModelCard, settings: AskSettings) -> None:
        self._retriever = retriever
        self._model = model
        self._card = card
        self._hits = settings.hits
        self._max_tokens = (
            min(settings.max_tokens, card.sampling.max_tokens) if card.answers == "record" else settings.max_tokens
        )
        self._turns: list[Message] = []

    def ask(self, question: str) -> Iterator[Event]:
        """Search, prompt, answer. Raises a ModelError or IndexUnavailable; the last event is always Answered."""
        result = self._retriever.search(question, self._hits)
        yield Searched(result=result)
        card = fitted(self._card, self._model.load().context)
        prompt = build_prompt(question, result.hits, self._turns, card, self._model.count_tokens)
        answered = yield from self._answer(question, prompt)
        self._turns += [Message(role="user", content=question), Message(role="assistant", content=answered.text)]
        yield answered

    def forget(self) -> None:
        """Begins anew: earlier turns are no longer shown to the model."""
        self._turns.clear()

    def _answer(self, question: str, prompt: Prompt) -> Generator[Event, None, Answered]:
        sampling = self._card.sampling.model_copy(update={"max_tokens": self._max_tokens})
        if self._card.answers == "record":
            sampling = sampling.model_copy(update={"grammar": record_grammar(question, prompt.hits)})
            answered = read_record("".join(self._model.stream(prompt.messages, sampling)), prompt.hits)
            yield Token(text=answered.text)
            return answered
        pieces = self._model.stream(prompt.messages, sampling)
        citer = Citer(prompt.hits)
        text = ""
        for piece in citer.rewrite(pieces):
            text += piece
            yield Token(text=piece)
        return Answered(text=text, citations=citer.citations, stopped=self._model.stop_reason or "user")
