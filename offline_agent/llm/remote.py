"""A ChatModel that answers over the network, by any server with an OpenAI-compatible interface.

Imported only where `[endpoint] url` is set, by nobody else: it needs the library `openai`, which takes most of a second to load.

The library reads a dozen variables (OPENAI_API_KEY, OPENAI_CUSTOM_HEADERS ...), follows redirects and tells every server about the
machine it runs on. So all it sends goes through one door of ours, which knows one address and writes the headers anew.

    RemoteModel -> openai -> Door -> the server of [endpoint] url, and no other
"""

import logging
import math
import re
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import Any, Literal

import httpx2
import openai

from offline_agent.errors import EndpointError, ModelError
from offline_agent.events import Called, Misfired, Piece
from offline_agent.llm.calls import stray_calls
from offline_agent.llm.child import printable
from offline_agent.llm.door import Door
from offline_agent.llm.endpoints import Kind, context_of, is_ollama, kind_of, listed, number_at
from offline_agent.llm.trouble import ASK_SECONDS, Trouble
from offline_agent.llm.wire import Answer, clean, wire_messages, wire_tools
from offline_agent.models import ModelInfo
from offline_agent.settings import EndpointSettings
from offline_agent.types import Message, Sampling, ToolCall, ToolSpec

log = logging.getLogger(__name__)

CONTEXT = 8192
"""Tokens, where neither the server nor the settings say."""
OLLAMA_CONTEXT = 4096
"""What Ollama gives a model without much GPU memory. Longer prompts it cuts in silence."""

_CONNECT_SECONDS = 10.0
_MESSAGE_TOKENS = 8  # what templates put around a message, five at most in those of common families
_BYTES_PER_TOKEN = 3  # of code and English it is about four: rather too many tokens than too few

# What the rules of the interface leave out, by kind. Others refuse fields that they do not know.
_MORE_SAMPLING: dict[Kind, dict[str, str]] = {
    Kind.LLAMA_SERVER: {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repeat_penalty", "grammar": "grammar"},
    Kind.LLAMA_CPP_PYTHON: {
        "top_k": "top_k",
        "min_p": "min_p",
        "repeat_penalty": "repeat_penalty",
        "grammar": "grammar",
    },
    Kind.LM_STUDIO: {"top_k": "top_k", "repeat_penalty": "repeat_penalty"},
    Kind.VLLM: {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"},
}

logging.getLogger("openai").setLevel(logging.CRITICAL)  # whatever OPENAI_LOG says: its lines would go over the screen


class RemoteModel:
    """`key` gives the value of the Authorization header, or None; it is asked for each request. `cancel` and `close` may come from
    any thread. Every ModelError from here is an EndpointError or PromptTooLong."""

    def __init__(self, card_name: str, settings: EndpointSettings, key: Callable[[], str | None]) -> None:
        self._name = card_name
        self._settings = settings
        self._url = settings.url.rstrip("/")
        self._door = Door(self._url, key)
        self._trouble = Trouble(self._url, settings.timeout_seconds, self._door)
        seconds = settings.timeout_seconds
        timeout = httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
        self._http = httpx2.Client(transport=self._door, timeout=timeout, trust_env=False, follow_redirects=False)
        self._client = openai.OpenAI(
            api_key="the door has it",
            base_url=self._url,
            timeout=timeout,
            max_retries=0,
            http_client=self._http,
        )
        self._loading = threading.Lock()
        self._info: ModelInfo | None = None
        self._model = settings.model
        self._kind = Kind.OTHER
        self._counts: dict[str, int] = {}

    # --- before an answer --------------------------------------------------------------------------------------------

    def load(self) -> ModelInfo:
        """Asks, once, what the server has. Raises EndpointError."""
        with self._loading:
            if self._info is None:
                self._info = self._look()
                log.info("%s answers as %s with %d tokens of context", self._url, self._kind, self._info.context)
            return self._info

    def _look(self) -> ModelInfo:
        models = self._list()
        self._kind = kind_of(models)
        if self._kind is Kind.OTHER and is_ollama(self._try("/api/version")):
            self._kind = Kind.OLLAMA
        self._model = self._settings.model or self._first(list(models))
        self._trouble.model = self._model
        context = self._served(models.get(self._model, {})) or self._settings.context or self._assumed(models)
        return ModelInfo(
            name=self._name or printable(self._model),
            path=self._url,
            description=f"{printable(self._model)}, by {self._kind}",
            context=context,
            counts_tokens=self._counted("one two") is not None,
        )

    def _list(self) -> dict[str, Any]:
        try:
            with self._trouble.translated():
                answer = self._ask("/models")
        except EndpointError:
            if self._settings.model and self._door.status in (404, 405):  # some gateways have no list
                return {}
            raise
        models = listed(answer)
        if models is None:
            raise self._trouble.error(
                "has no list of models where it should be. Correct [endpoint] url; as a rule it ends in /v1"
            )
        return models

    def _first(self, models: Sequence[str]) -> str:
        """The first that may be for chats: LM Studio lists embedders among the others."""
        chat = [name for name in models if "embed" not in name.lower()]
        if not chat:
            raise self._trouble.error("has no model yet. Load one there, or name one in [endpoint] model")
        return chat[0]

    def _served(self, entry: dict[str, Any]) -> int | None:
        """Tokens of context as the server tells, which each kind does elsewhere."""
        if (told := context_of(entry)) is not None:
            return told
        if self._kind is Kind.LLAMA_SERVER:
            return number_at(self._try("/props"), "default_generation_settings", "n_ctx")
        if self._kind is Kind.LM_STUDIO:
            models = listed(self._try("/api/v0/models")) or {}
            return context_of(models.get(self._model, {}))
        return self._ollama_context() if self._kind is Kind.OLLAMA else None

    def _ollama_context(self) -> int | None:
        """Of the model as it runs, else as its own file sets it. What it was trained for says nothing of either."""
        running = self._try("/api/ps")
        models = running.get("models") if isinstance(running, dict) else None
        for model in models if isinstance(models, list) else ():
            if isinstance(model, dict) and model.get("name") == self._model and number_at(model, "context_length"):
                return number_at(model, "context_length")
        shown = self._try("/api/show", {"model": self._model})
        parameters = shown.get("parameters") if isinstance(shown, dict) else None
        found = re.search(r"^num_ctx\s+(\d{1,9})\s*$", parameters if isinstance(parameters, str) else "", re.MULTILINE)
        return int(found[1]) or None if found else None

    def _assumed(self, models: dict[str, Any]) -> int:
        trained = number_at(models.get(self._model), "meta", "n_ctx_train")
        return min(OLLAMA_CONTEXT if self._kind is Kind.OLLAMA else CONTEXT, trained or CONTEXT)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """By the server's tokenizer where it has one to ask, else rather too many."""
        exact = self.load().counts_tokens
        return [self._count(text) if exact else _estimate(text) for text in texts]

    def measure(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        """As `count_tokens`, with what the template adds estimated."""
        wire = [*wire_messages(messages), *wire_tools(tools)]
        text = "\n".join(_texts(wire))
        return self.count_tokens([text])[0] + _MESSAGE_TOKENS * len(wire)

    def _count(self, text: str) -> int:
        if text not in self._counts:
            if len(self._counts) >= 1000:  # texts of a long session
                self._counts.clear()
            counted = self._counted(text)
            if counted is None:  # it is gone, which the next question will say
                return _estimate(text)
            self._counts[text] = counted
        return self._counts[text]

    def _counted(self, text: str) -> int | None:
        if self._kind is Kind.LLAMA_SERVER:
            answer = self._try("/tokenize", {"content": text})
            tokens = answer.get("tokens") if isinstance(answer, dict) else None
            return len(tokens) if isinstance(tokens, list) else None
        if self._kind is Kind.LLAMA_CPP_PYTHON:
            return number_at(self._try("/extras/tokenize/count", {"model": self._model, "input": text}), "count")
        if self._kind is Kind.VLLM:
            body = {"model": self._model, "prompt": text, "add_special_tokens": False}
            return number_at(self._try("/tokenize", body), "count")
        return None

    def _try(self, path: str, body: dict[str, Any] | None = None) -> object:
        """The JSON at a path beside the interface, where kinds differ; None where there is none."""
        try:
            with self._trouble.translated():
                return self._ask(f"{self._url.removesuffix('/v1')}{path}", body)
        except ModelError as error:
            log.debug("%s is not answered: %s", path, error)
            return None

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> object:
        timeout = min(ASK_SECONDS, self._settings.timeout_seconds)
        if body is None:
            return self._client.get(path, cast_to=object, options={"timeout": timeout})
        return self._client.post(path, cast_to=object, body=clean(body), options={"timeout": timeout})

    # --- an answer ---------------------------------------------------------------------------------------------------

    def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        tools: Sequence[ToolSpec] = (),
        choice: Literal["auto", "required"] = "auto",
    ) -> Iterator[Piece]:
        """The answer, piece by piece; Finished is the last. Closing the iterator, or Ctrl-C in it, closes the connection, by which
        servers see that nobody listens."""
        self.load()
        body = clean(self._body(messages, sampling, tools, choice))
        answer = Answer()
        self._door.open()
        try:
            yield from self._pieces(body, answer)
            stopped = self._door.shut
        except ModelError:
            if not self._door.shut:
                raise
            stopped = True
        finally:
            self._door.done()
        if stopped:
            yield answer.finished((), "user")
        else:
            yield from _ending(answer, tools, choice)

    def _pieces(self, body: dict[str, Any], answer: Answer) -> Iterator[Piece]:
        with self._trouble.translated(answer), closing(self._chunks(body)) as chunks:
            for chunk in chunks:
                if self._door.shut:
                    return
                yield from answer.add(chunk)
        if not self._door.shut and not answer.complete:
            raise self._trouble.dropped(answer)

    def _body(
        self, messages: Sequence[Message], sampling: Sampling, tools: Sequence[ToolSpec], choice: str
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": wire_messages(messages),
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if tools:
            body |= {"tools": wire_tools(tools), "tool_choice": choice}
        more = ((theirs, getattr(sampling, ours)) for ours, theirs in _MORE_SAMPLING.get(self._kind, {}).items())
        body |= {name: value for name, value in more if value != ""}
        return body | {"return_progress": True} if self._kind is Kind.LLAMA_SERVER else body

    def _chunks(self, body: dict[str, Any]) -> Generator[object, None, None]:
        """The JSON of each event. Raises what `_translated` knows."""
        path = "/chat/completions"
        with self._client.post(
            path, cast_to=object, body=body, stream=True, stream_cls=openai.Stream[object]
        ) as stream:
            yield from stream

    def cancel(self) -> None:
        """Ends the answer under way; its iterator then ends with what came before."""
        if self._door.answering:
            self._door.hang_up()

    def close(self) -> None:
        self._door.hang_up()
        self._client.close()


def _ending(answer: Answer, tools: Sequence[ToolSpec], choice: str) -> Iterator[Piece]:
    """What comes once the stream has ended. Servers that do not know how a model writes its calls leave them in the text."""
    calls: list[ToolCall] = []
    tried = False
    for piece in answer.rest():
        tried = tried or isinstance(piece, Called | Misfired)
        calls += [piece.call] if isinstance(piece, Called) else []
        yield piece
    if tools and not tried:
        for call in stray_calls(answer.text, tools):
            calls.append(call)
            yield Called(call=call)
    if choice == "required" and not tried and not calls:
        yield Misfired(text=answer.text, reason="A tool call was wanted and none came: answer with one.")
    yield answer.finished(calls)


def _texts(value: object) -> Iterator[str]:
    """Every text in a value, keys of objects too: they all go into a prompt."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _estimate(text: str) -> int:
    return math.ceil(len(text.encode("utf-8", "replace")) / _BYTES_PER_TOKEN)
