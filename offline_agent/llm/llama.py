"""llama.cpp, driven through its C functions. Imported in the worker only: a crash here must not take the front along.

`llama_cpp.Llama` is not used: it falls back to the "llama-2" chat format in silence, allocates a scores array of n_batch times the
vocabulary, and cannot be stopped inside a prompt. What it would default to is set here by hand: no repeat penalty, the
whole context, the file's own chat template or none.
"""

import ctypes
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import llama_cpp

from offline_agent.errors import ModelBroken, ModelError, ModelTemplateMissing, PromptTooLong
from offline_agent.llm.cache import Cache, Pointer
from offline_agent.llm.dialects import detect_dialect, find_dialect
from offline_agent.llm.fit import OUTPUTS, fit
from offline_agent.llm.gpu import with_gpus
from offline_agent.llm.header import read_header
from offline_agent.llm.log import Log
from offline_agent.llm.messages import Generate, Load
from offline_agent.llm.render import Renderer
from offline_agent.llm.template import ChatTemplate
from offline_agent.llm.vocabulary import Vocabulary
from offline_agent.llm.writer import Emit, Order, Writer, Written
from offline_agent.models import Fit, ModelInfo
from offline_agent.types import Message, ToolSpec, Usage

KEPT_FOR_ANSWER = 16
"""A prompt that leaves less than this of the context is too long."""
CACHE_TYPES = {"f16": llama_cpp.GGML_TYPE_F16, "q8_0": llama_cpp.GGML_TYPE_Q8_0}


class Engine:
    """One loaded model with one context."""

    def __init__(self, request: Load, log: Log) -> None:
        started = time.monotonic()
        self._request = request
        self._log = log
        self._fit = fit(read_header(Path(request.path)), request.wishes, with_gpus(request.memory))
        self._model = self._open_model()
        self._vocabulary = Vocabulary(self._model)
        self._renderer = self._open_renderer()
        context = self._open_context()
        size = min(self._fit.context, llama_cpp.llama_n_ctx(context))
        rewinds = not (llama_cpp.llama_model_is_recurrent(self._model) or llama_cpp.llama_model_is_hybrid(self._model))
        self._cache = Cache(context, size, self._fit.batch, rewinds, log)
        self._prefix: tuple[int, ...] = ()
        self._prefix_state = b""
        self.info = ModelInfo(
            name=request.name,
            path=request.path,
            description=self._describe(),
            context=size,
            parameters=llama_cpp.llama_model_n_params(self._model),
            gpu=llama_cpp.llama_supports_gpu_offload() and self._fit.gpu_layers != 0,
            load_seconds=time.monotonic() - started,
            dialect=self._renderer.dialect.name,
            fit=self._fit,
        )

    def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        return tuple(len(self._vocabulary.tokenize(text)) for text in texts)

    def measure(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> int:
        return len(self._renderer.tokens(messages, tools))

    def generate(
        self,
        request: Generate,
        emit: Emit,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> tuple[Usage, list[int]]:
        """Answers, giving whole characters to `emit` as they come. Returns what it cost, and the tokens of the answer."""
        tokens = self._renderer.tokens(request.messages, request.tools)
        room = self._room_after(tokens)
        self._log.clear()
        started = time.monotonic()
        reused, restored = self._go_back(tokens), self._cache.restored
        prompt_done = self._read_prompt(tokens, cancelled, lambda done: progress(done, len(tokens)))
        between = time.monotonic()
        written = Written(stopped="user")
        if prompt_done:
            order = Order(
                sampling=request.sampling,
                limit=min(request.sampling.max_tokens, room),
                tools=request.tools,
                choice=request.choice,
                constrained=request.constrained,
                thinking=self._renderer.opens_thinking(request.messages, request.tools),
                draft=self._request.draft,
            )
            written = Writer(self._cache, self._vocabulary, self._renderer, order, emit, cancelled).write()
        usage = Usage(
            stopped=written.stopped,
            prompt_tokens=len(tokens),
            reused_tokens=reused,
            restored_tokens=min(restored, reused),
            answer_tokens=len(written.tokens),
            drafted_tokens=written.drafted,
            accepted_tokens=written.accepted,
            prompt_seconds=between - started,
            answer_seconds=time.monotonic() - between,
        )
        return usage, written.tokens

    # --- computed states -------------------------------------------------------------------------------------------

    @property
    def settings(self) -> str:
        """Everything that a computed state depends on, beside the model and the tokens."""
        fit = self._fit
        return f"llama.cpp {llama_cpp.__version__} context {fit.context} cache {fit.cache_type} gpu {fit.gpu_layers}"

    def prefix(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> tuple[int, ...]:
        """The tokens that begin every first prompt of this session. Their state is kept as soon as it is computed."""
        prefix = tuple(self._renderer.prefix(messages, tools))
        if prefix != self._prefix:
            self._prefix, self._prefix_state = prefix, b""
        return prefix

    def prefix_state(self) -> tuple[tuple[int, ...], bytes]:
        """The prefix and its state, which is handed out once; empty where it was not computed here."""
        state, self._prefix_state = self._prefix_state, b"" if self._cache.rewinds else self._prefix_state
        return (self._prefix, state) if state else ((), b"")

    def whole_state(self) -> tuple[tuple[int, ...], bytes]:
        self._cache.drop_ahead()
        return tuple(self._cache.tokens), self._cache.state() if self._cache.tokens else b""

    def restore(self, tokens: Sequence[int], state: bytes) -> int:
        """How many tokens need not be computed any more: all, or none where the state is not one of this model's."""
        return len(tokens) if self._cache.restore(tokens, state) else 0

    # --- the prompt ------------------------------------------------------------------------------------------------

    def _room_after(self, tokens: Sequence[int]) -> int:
        if not tokens:
            raise ModelError("The prompt is empty: ask something.")
        room = self._cache.size - len(tokens)
        if room < KEPT_FOR_ANSWER:
            raise PromptTooLong(
                f"The prompt has {len(tokens)} tokens and {self._request.name} takes {self._cache.size - KEPT_FOR_ANSWER}: "
                "ask something shorter, or set model.context higher where the model allows it."
            )
        return room

    def _go_back(self, tokens: Sequence[int]) -> int:
        """Cuts the cache back to what it shares with the prompt, short of its last token, whose logits are wanted."""
        shared = self._cache.rewind(min(self._cache.common(tokens), len(tokens) - 1))
        start = len(self._prefix)  # a model that cannot rewind can at least begin behind the prefix
        if shared < start < len(tokens) and self._prefix_state and tuple(tokens[:start]) == self._prefix:
            shared = self.restore(self._prefix, self._prefix_state)
            self._cache.restored = 0  # it was computed in this process
        return shared

    def _read_prompt(
        self, tokens: Sequence[int], cancelled: Callable[[], bool], progress: Callable[[int], None]
    ) -> bool:
        """Computes what is missing, with a stop at the end of the prefix to keep its state. False if it was cancelled."""
        done, end = self._cache.length, len(self._prefix)
        if done < end < len(tokens) and tuple(tokens[:end]) == self._prefix:
            if not self._cache.read(tokens[done:end], cancelled, lambda n: progress(done + n)):
                return False
            self._prefix_state = self._cache.state()
            done = end
        return self._cache.read(tokens[done:], cancelled, lambda n: progress(done + n))

    # --- loading ---------------------------------------------------------------------------------------------------

    def _open_model(self) -> Pointer:
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = self._fit.gpu_layers
        self._log.clear()
        model: Pointer | None = llama_cpp.llama_model_load_from_file(self._request.path.encode(), parameters)
        if model is None:
            raise ModelBroken(
                f"llama.cpp cannot load {self._request.path} ({self._log.reason()}): "
                "copy or download it again, or choose another GGUF file."
            )
        if llama_cpp.llama_model_has_encoder(model) or not llama_cpp.llama_model_has_decoder(model):
            raise ModelBroken(
                f"{self._request.path} is no chat model but an encoder: choose an instruction-tuned GGUF file."
            )
        return model

    def _open_renderer(self) -> Renderer:
        source = self._template_source()
        bos, eos = (self._vocabulary.text(token) for token in (self._vocabulary.bos, self._vocabulary.eos))
        template = ChatTemplate(source, bos, eos, self._request.path, self._request.thinking)
        dialects = self._request.dialects
        named = self._request.dialect
        dialect = find_dialect(named, dialects) if named else detect_dialect(source, dialects)
        specials, words = tuple(self._vocabulary.specials()), tuple(self._vocabulary.words())
        return Renderer(template, self._vocabulary, specials, dialect, dialects[-1], words)

    def _template_source(self) -> str:
        source = llama_cpp.llama_model_chat_template(self._model, None)
        if not source:
            raise ModelTemplateMissing(
                f"{self._request.path} names no chat template, so it is no chat model or was converted without one: "
                "choose an instruction-tuned GGUF file."
            )
        return str(source.decode("utf-8", "replace"))

    def _open_context(self) -> Pointer:
        fit: Fit = self._fit
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = fit.context
        parameters.n_batch = parameters.n_ubatch = fit.batch
        parameters.n_threads = parameters.n_threads_batch = fit.threads
        parameters.type_k = parameters.type_v = CACHE_TYPES[fit.cache_type]
        parameters.n_outputs_max = OUTPUTS
        parameters.swa_full = True  # sliding-window models could not rewind otherwise
        context: Pointer | None = llama_cpp.llama_init_from_model(self._model, parameters)
        if context is None:
            raise ModelError(
                f"llama.cpp cannot make a context of {fit.context} tokens for {self._request.name} "
                f"({self._log.reason()}): set model.context lower, or choose a smaller model."
            )
        return context

    def _describe(self) -> str:
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self._model, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")
