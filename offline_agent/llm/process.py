"""A ChatModel whose llama.cpp lives in another process, and may die there.

The worker is started early and waited for late. When it dies (out of memory, `kill -9`, a bug) the request is sent once more to a
new one, unless part of the answer was given out already; then ModelDied says so, and the next request starts a new worker.
"""

import logging
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal

from offline_agent import errors
from offline_agent.errors import ModelBroken, ModelDied, ModelError, UsageError
from offline_agent.llm.child import GARBLED, Child, printable
from offline_agent.llm.gguf import check_gguf
from offline_agent.llm.hardware import physical_cores
from offline_agent.llm.messages import (
    Cancel,
    Confinement,
    Counted,
    CountTokens,
    Done,
    Failed,
    Generate,
    Load,
    Loaded,
    Piece,
    Reply,
    Request,
    Usage,
)
from offline_agent.settings import ModelSettings
from offline_agent.types import Message, ModelCard, ModelInfo, Sampling

log = logging.getLogger(__name__)

SMALLEST_CONTEXT = 64
TINY_FILE = 64_000_000
"""Bytes. Threads of a smaller model spend more time waiting for each other than computing."""


class LlamaProcess:
    """Make one request at a time; a new one ends the one under way. `load`, `cancel` and `close` may come from any thread."""

    def __init__(self, card: ModelCard, path: Path, settings: ModelSettings | None = None) -> None:
        self._card = card
        self._path = path.absolute()
        self._settings = settings or ModelSettings()
        self._loading = threading.Lock()
        self._child: Child | None = None
        self._info: ModelInfo | None = None
        self._last_id = 0
        self._active: int | None = None
        self._closed = False
        self.confinement = Confinement()
        """What the worker is kept from, once it is loaded."""
        self.usage: Usage | None = None
        """What the last answer cost and why it ended; None while one is under way."""

    @property
    def stop_reason(self) -> Literal["end", "length", "user"] | None:
        return self.usage.stopped if self.usage else None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Starts the worker on loading the model and returns at once. Raises ModelMissing or ModelBroken for a file that
        cannot possibly be one."""
        with self._loading:
            self._start()

    def load(self) -> ModelInfo:
        """Waits until the model is ready, for `load_timeout_seconds` at most. Starts the worker where `start` has not."""
        with self._loading:
            if self._info is None:
                try:
                    loaded = self._await_loaded(self._start())
                except ModelError:
                    self._discard()
                    raise
                self._info, self.confinement = loaded.info, loaded.confinement
                log.info("loaded %s in %.2f s, confinement: %s", self._path, self._info.load_seconds, self.confinement)
            return self._info

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        clean = tuple(_clean(text) for text in texts)
        for reply in self._exchange(lambda number: CountTokens(id=number, texts=clean)):
            if isinstance(reply, Counted):
                return list(reply.counts)
        raise ModelError("The request was ended by another one.")

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        """Pieces of the answer. Closing the iterator, or Ctrl-C in it, stops the model; nothing is left to clean up."""
        clean = tuple(m.model_copy(update={"content": _clean(m.content)}) for m in messages)
        self.usage = None
        with closing(self._exchange(lambda number: Generate(id=number, messages=clean, sampling=sampling))) as replies:
            for reply in replies:
                if isinstance(reply, Piece):
                    yield reply.text
                elif isinstance(reply, Done):
                    self.usage = reply.usage
                    log.debug("usage: %s", self.usage)

    def cancel(self) -> None:
        """Stops the answer under way; its iterator then ends with what came before."""
        child, active = self._child, self._active
        if child is not None and active is not None:
            with suppress(ModelDied):
                child.send(Cancel(id=active))

    def close(self) -> None:
        self._closed = True
        self._discard()

    def _exchange(self, request: Callable[[int], Request]) -> Generator[Reply, None, None]:
        """The replies to one request, the last of which ends it. Tried on a second worker when the first dies silently."""
        answered = False
        for last_attempt in (False, True):
            self.load()
            try:
                with closing(self._ask(request)) as replies:
                    for reply in replies:
                        answered = True
                        yield reply
                return
            except ModelDied as error:
                log.warning("the model's process died: %s", error)
                self._discard()
                if answered or last_attempt:
                    raise

    def _ask(self, request: Callable[[int], Request]) -> Generator[Reply, None, None]:
        child = self._child
        if child is None:
            raise ModelDied("The model was closed.")
        self.cancel()
        number = self._active = self._next_id()
        try:
            child.send(request(number))
            while self._active == number:
                reply = child.receive()
                if reply.id != number:  # still of a request that was given up
                    continue
                if not isinstance(reply, Piece):
                    self._active = None
                if isinstance(reply, Failed):
                    raise _error(reply)
                yield reply
        except (GeneratorExit, KeyboardInterrupt):
            if self._active == number:
                self.cancel()
                self._active = None
                self.usage = Usage(stopped="user")
            raise

    def _start(self) -> Child:
        if self._closed:
            raise ModelDied("The model was closed.")
        if self._child is None:
            check_gguf(self._path)
            load = self._load_request()
            self._child = child = Child()
            if self._closed:  # by another thread, which did not see this child
                child.close()
            child.send(load)
        return self._child

    def _load_request(self) -> Load:
        context = self._card.context if self._settings.context is None else self._settings.context
        if context < SMALLEST_CONTEXT:
            raise UsageError(
                f"A context of {context} tokens is too small: set model.context to {SMALLEST_CONTEXT} or more."
            )
        return Load(
            id=self._next_id(),
            path=str(self._path),
            name=self._card.name,
            sha256=self._card.sha256,
            size=self._card.size,
            context=context,
            threads=self._threads(),
            gpu_layers=self._settings.gpu_layers,
        )

    def _threads(self) -> int:
        wanted = self._settings.threads or self._card.threads
        if wanted is None:
            # llama.cpp's threads wait for each other by spinning: one that shares its core with the index worker slows all of
            # them many times over, so one core stays free.
            wanted = 1 if self._path.stat().st_size < TINY_FILE else physical_cores() - 1
        return max(1, wanted)

    def _await_loaded(self, child: Child) -> Loaded:
        patience = self._settings.load_timeout_seconds
        try:
            reply = child.loaded or child.receive(patience)
        except TimeoutError:
            raise ModelDied(
                f"The model {self._card.name} was not ready after {patience:g} seconds: "
                "set model.load_timeout_seconds higher, or choose a smaller model."
            ) from None
        except ModelDied:
            if child.crashed:
                why = child.last_words or "no reason given"
                raise ModelBroken(
                    f"llama.cpp crashed on {self._path} ({why}): copy or download it again, or choose another GGUF file."
                ) from None
            raise
        if isinstance(reply, Failed):
            raise _error(reply)
        if not isinstance(reply, Loaded):
            raise ModelDied(GARBLED)
        return reply

    def _discard(self) -> None:
        child, self._child, self._info, self._active = self._child, None, None, None
        if child is not None:
            child.close()

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id


def _error(failed: Failed) -> ModelError:
    """The error that the worker raised; only a ModelError can come back to life here, whatever name it sends."""
    kind = getattr(errors, failed.error, ModelError)
    if not (isinstance(kind, type) and issubclass(kind, ModelError)):
        kind = ModelError
    return kind(printable(failed.message))


def _clean(text: str) -> str:
    """Text that JSON can carry: a file name that is no UTF-8 has lone surrogates in it."""
    return text.encode("utf-8", "replace").decode()
