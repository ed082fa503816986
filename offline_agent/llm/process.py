"""A ChatModel whose llama.cpp lives in another process: what is said to it, and what is kept of it.

How that process lives, dies and is replaced is the matter of supervisor.py.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from offline_agent.errors import ModelDied, ModelError
from offline_agent.events import Finished, Piece, Reading
from offline_agent.llm.child import COMMAND, GARBLED
from offline_agent.llm.dialect import Dialect
from offline_agent.llm.dialects import find_dialect, load_dialects
from offline_agent.llm.heard import Heard
from offline_agent.llm.messages import (
    AskPrefix,
    Choice,
    Confinement,
    Counted,
    CountTokens,
    Done,
    Fragment,
    Generate,
    Load,
    Measure,
    Prefix,
    Progress,
    Restored,
    RestoreState,
    SaveState,
    State,
    Wishes,
)
from offline_agent.llm.states import States
from offline_agent.llm.supervisor import Supervisor
from offline_agent.models import ModelCard, ModelInfo
from offline_agent.protocols import StateStore
from offline_agent.settings import ModelSettings, find_declarations
from offline_agent.types import Message, Sampling, ToolSpec, Usage, Value

log = logging.getLogger(__name__)

_V = TypeVar("_V", bound=Value)


class LlamaProcess:
    """Make one request at a time; a new one ends the one under way. `load`, `cancel` and `close` may come from any thread.

    With a `store`, computed prompts are kept there for the next process. `dialects` are those of `models/dialects.toml` unless
    given, and `worker` is the command that starts the process (child.py). With `checked` the hash of the file is known to be right
    already, and only its size is compared.
    """

    def __init__(
        self,
        card: ModelCard,
        path: Path,
        settings: ModelSettings | None = None,
        store: StateStore | None = None,
        dialects: Sequence[Dialect] | None = None,
        worker: Sequence[str] = COMMAND,
        checked: bool = False,
    ) -> None:
        path, settings = path.absolute(), settings or ModelSettings()
        self._dialects = tuple(load_dialects(find_declarations() / "models") if dialects is None else dialects)
        load = _load_request(card, path, settings, self._dialects)
        self._worker = Supervisor(load.model_copy(update={"sha256": ""}) if checked else load, settings, worker)
        keeps = store if settings.keep_states else None
        self._states = States(card, path, keeps) if keeps is not None else None
        self.usage: Usage | None = None
        """What the last answer cost and why it ended; None while one is under way."""

    @property
    def pid(self) -> int | None:
        return self._worker.pid

    @property
    def confinement(self) -> Confinement:
        """What the worker is kept from, once it is loaded."""
        return self._worker.confinement

    def start(self) -> None:
        """Starts the worker on loading the model and returns at once. Raises ModelMissing or ModelBroken for a file that
        cannot possibly be one."""
        self._worker.start()

    def load(self) -> ModelInfo:
        """Waits until the model is ready, for `load_timeout_seconds` at most. Starts the worker where `start` has not."""
        return self._worker.ready().info

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        clean = tuple(_clean(text) for text in texts)
        return self._counted(partial(CountTokens, texts=clean), len(clean))

    def measure(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        clean = tuple(_cleaned(messages))
        [tokens] = self._counted(partial(Measure, messages=clean, tools=_cleaned_tools(tools)), 1)
        return tokens

    def _counted(self, request: Callable[..., CountTokens | Measure], expected: int) -> list[int]:
        counts = self._worker.only(request, Counted).counts
        if len(counts) != expected:
            raise ModelDied(GARBLED)
        return list(counts)

    def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        tools: Sequence[ToolSpec] = (),
        choice: Choice = "auto",
    ) -> Iterator[Piece]:
        """Pieces of the answer. Closing the iterator, or Ctrl-C in it, stops the model; nothing is left to clean up."""
        clean, tools = tuple(_cleaned(messages)), _cleaned_tools(tools)
        self.usage = None
        try:
            self._restore(clean, tools)
            heard = Heard(find_dialect(self._worker.ready().info.dialect, self._dialects), tools)
            request = partial(Generate, messages=clean, sampling=sampling, tools=tools, choice=choice)
            yield from self._answer(request, heard)
            self._keep_prefix()
        except (GeneratorExit, KeyboardInterrupt):
            if self.usage is None and not self._worker.busy:  # else it is the next answer's
                self.usage = Usage(stopped="user")
            raise

    def _answer(self, request: "partial[Generate]", heard: Heard) -> Iterator[Piece]:
        with closing(self._worker.exchange(request)) as replies:
            for reply in replies:
                match reply:
                    case Progress():
                        yield Reading(done=reply.done, total=reply.total)
                    case Fragment():
                        yield from heard.pieces(reply)
                    case Done():
                        self.usage = reply.usage
                        log.debug("usage: %s", self.usage)
                        yield from heard.strays()
                        yield Finished(message=heard.message(reply.tokens), usage=reply.usage)

    def cancel(self) -> None:
        """Stops the answer under way; its iterator then ends with what came before."""
        self._worker.cancel()

    def close(self) -> None:
        self._worker.close()

    # --- computed prompts, kept from one process to the next --------------------------------------------------------

    def resume(self, session: str) -> None:
        """What the session of that id had computed when it was kept is looked for before the next answer."""
        if self._states is not None:
            self._states.session = session

    def keep(self, session: str) -> None:
        """Keeps what is computed, for `resume`. A model that has died has nothing to keep."""
        loaded = self._worker.loaded
        if self._states is None or loaded is None:
            return
        try:
            state = self._worker.only(partial(SaveState, part="all"), State, attempts=1)
            self._states.keep_session(session, loaded.settings, state.tokens, state.data)
        except ModelError as error:
            log.warning("the session's computed prompt was not kept: %s", error)

    def _restore(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> None:
        """Brings back what an earlier process computed, once for each worker and each beginning of a prompt."""
        if self._states is None:
            return
        loaded, process = self._worker.ready(), self._worker.pid
        if process is None or not self._states.is_new(process, messages, tools):
            return
        prefix = self._worker.only(partial(AskPrefix, messages=tuple(messages), tools=tuple(tools)), Prefix)
        for tokens, data in self._states.candidates(loaded.settings, prefix.tokens):
            request = partial(RestoreState, tokens=tokens, size=len(data), data=data)
            try:
                restored = self._worker.only(request, Restored, attempts=1)
            except ModelDied as error:
                log.warning(
                    "a computed prompt is forgotten, as the model's process died while it was restored: %s", error
                )
                self._states.forget()
                return
            log.info("restored %d tokens that were computed before", restored.tokens)
            if restored.tokens:
                return

    def _keep_prefix(self) -> None:
        loaded = self._worker.loaded
        if self._states is None or loaded is None or not self._states.wants_prefix:
            return
        try:
            state = self._worker.only(partial(SaveState, part="prefix"), State, attempts=1)
            self._states.keep_prefix(loaded.settings, state.tokens, state.data)
        except ModelError as error:
            log.warning("the computed prefix was not kept: %s", error)


def wishes_of(card: ModelCard, settings: ModelSettings) -> Wishes:
    return Wishes(
        context=settings.context,
        card_context=card.context,
        threads=settings.threads or card.threads,
        gpu_layers=settings.gpu_layers,
        batch=settings.batch,
        cache_type=settings.cache_type,
    )


def _load_request(card: ModelCard, path: Path, settings: ModelSettings, dialects: tuple[Dialect, ...]) -> Load:
    """For every worker of this model: the supervisor gives it its id, and the memory that is free when the worker starts."""
    return Load(
        id=0,
        path=str(path),
        name=card.name,
        sha256=card.sha256,
        size=card.size,
        wishes=wishes_of(card, settings),
        dialects=dialects,
        dialect=settings.dialect or card.dialect,
        thinking=settings.thinking,
        draft=settings.draft,
    )


def _cleaned(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages with text that JSON can carry: a file name that is no UTF-8 has lone surrogates in it."""
    for message in messages:
        calls = tuple(map(_cleaned_value, message.calls))
        texts = {"content": _clean(message.content), "call_id": _clean(message.call_id)}
        yield message.model_copy(update={**texts, "calls": calls})


def _cleaned_tools(tools: Sequence[ToolSpec]) -> tuple[ToolSpec, ...]:
    return tuple(map(_cleaned_value, tools))


def _cleaned_value(value: _V) -> _V:
    return type(value).model_validate(json.loads(_clean(json.dumps(value.model_dump(), ensure_ascii=False))))


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
