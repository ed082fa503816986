"""The turn: a question goes in, events come out."""

import logging
import time
from collections.abc import Generator, Iterator

from offline_agent.agent.cite import Citer
from offline_agent.agent.prompt import Prompt, build_prompt, fitted
from offline_agent.agent.record import read_record, record_grammar
from offline_agent.protocols import Audit, ChatModel, Retriever, Transcript
from offline_agent.settings import AskSettings
from offline_agent.types import Answered, Event, Message, ModelCard, ModelInfo, Searched, Token

log = logging.getLogger(__name__)


class Session:
    """The turns of one conversation. What was asked is in the transcript before it is answered. A turn that was stopped or failed
    leaves no trace in what the model is shown later."""

    def __init__(
        self,
        retriever: Retriever,
        model: ChatModel,
        card: ModelCard,
        settings: AskSettings,
        transcript: Transcript,
        audit: Audit,
    ) -> None:
        self._retriever = retriever
        self._model = model
        self._card = card
        self._transcript = transcript
        self._audit = audit
        self._model_noted = False
        self._hits = settings.hits
        self._max_tokens = (
            min(settings.max_tokens, card.sampling.max_tokens) if card.answers == "record" else settings.max_tokens
        )
        self._turns: list[Message] = []

    def ask(self, question: str) -> Iterator[Event]:
        """Search, prompt, answer. Raises a ModelError, IndexUnavailable or VaultError; the last event is always Answered."""
        asked = Message(role="user", content=question)
        self._transcript.add(asked)
        started = time.monotonic()
        result = self._retriever.search(question, self._hits)
        yield Searched(result=result)
        info = self._model.load()
        self._note(info)
        prompt = build_prompt(
            question, result.hits, self._turns, fitted(self._card, info.context), self._model.count_tokens
        )
        log.debug("asked %r: %d hits, prompt %r", question, len(result.hits), prompt.messages)
        answered = yield from self._answer(question, prompt)
        log.info("answered in %.2f s, %d characters", time.monotonic() - started, len(answered.text))
        said = Message(role="assistant", content=answered.text)
        self._transcript.add(said, answered.citations)
        self._turns += [asked, said]
        yield answered

    def _note(self, model: ModelInfo) -> None:
        """Which model this session uses, once."""
        if not self._model_noted:
            sha256 = self._card.sha256 or "unknown"
            self._audit.add("model", session=self._transcript.id, name=model.name, path=model.path, sha256=sha256)
            self._model_noted = True

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
