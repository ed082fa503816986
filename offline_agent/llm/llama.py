"""llama.cpp, driven through its C functions. Imported in the worker only: a crash here must not take the front along.

`llama_cpp.Llama` is not used: it falls back to the "llama-2" chat format in silence, allocates a scores array of n_batch times the
vocabulary, and cannot be stopped inside a prompt. What it would default to is set here by hand: no repeat penalty, the
whole context, the file's own chat template or none.
"""

import codecs
import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Literal

import llama_cpp

from offline_agent.errors import ModelBroken, ModelError, ModelTemplateMissing, PromptTooLong
from offline_agent.llm.messages import Load, Usage
from offline_agent.llm.template import ChatTemplate
from offline_agent.llm.tokens import Specials
from offline_agent.llm.vocabulary import Vocabulary
from offline_agent.types import Message, ModelInfo, Sampling

BATCH = 512
"""Tokens of a prompt computed at once; more gains nothing on a CPU."""
KEPT_FOR_ANSWER = 16
"""A prompt that leaves less than this of the context is too long."""
PENALTY_WINDOW = 64
ABORTED = 2
LOG_ERROR = 4
ALL_LAYERS = 0x7FFFFFFF

Stop = Literal["end", "length", "user"]
Pointer = int
"""An address, which is all that ctypes makes of C's opaque structs."""


class Log:
    """Keeps llama.cpp's error lines of the step under way, which say why it failed, and all others from the terminal."""

    def __init__(self) -> None:
        self._errors: list[str] = []
        self._callback = llama_cpp.llama_log_callback(self._keep)  # a reference: C holds only the address
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _keep(self, level: int, text: bytes, _: ctypes.c_void_p) -> None:
        if level == LOG_ERROR and len(self._errors) < 8:
            self._errors.append(text.decode("utf-8", "replace").strip())

    def clear(self) -> None:
        self._errors.clear()

    def reason(self) -> str:
        """The first error is the cause, those after it are its callers'. The C++ function's name in front is left out."""
        first = self._errors[0] if self._errors else "no reason given"
        return first.split("error loading model: ", 1)[-1].split(": ", 1)[-1]


class Engine:
    """One loaded model with one context, whose cache holds the tokens of `_cached`."""

    def __init__(self, request: Load, log: Log) -> None:
        started = time.monotonic()
        self._request = request
        self._log = log
        self._model = self._open_model()
        self._vocabulary = Vocabulary(self._model)
        self._template = self._read_template()
        self._specials = Specials(tuple(self._vocabulary.specials()))
        self._context = self._open_context()
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._cached: list[int] = []
        self.info = ModelInfo(
            name=request.name,
            path=request.path,
            description=self._describe(),
            context=self._size,
            parameters=llama_cpp.llama_model_n_params(self._model),
            gpu=llama_cpp.llama_supports_gpu_offload() and request.gpu_layers != 0,
            load_seconds=time.monotonic() - started,
        )

    def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        return tuple(len(self._vocabulary.tokenize(text)) for text in texts)

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        """The prompt: rendered by the template, with no special token but the template's own."""
        safe, restore = self._specials.protect(messages)
        tokens = self._specials.tokenize(self._template.render(safe), restore, self._vocabulary.tokenize)
        if self._vocabulary.wants_bos and tokens[:1] != [self._vocabulary.bos]:
            tokens.insert(0, self._vocabulary.bos)
        return tokens

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        emit: Callable[[str], None],
        cancelled: Callable[[], bool],
    ) -> Usage:
        """Answers, giving whole characters to `emit` as they come."""
        tokens = self.tokens(messages)
        if not tokens:
            raise ModelError("The prompt is empty: ask something.")
        room = self._size - len(tokens)
        if room < KEPT_FOR_ANSWER:
            raise PromptTooLong(
                f"The prompt has {len(tokens)} tokens and {self._request.name} takes {self._size - KEPT_FOR_ANSWER}: "
                "ask something shorter, or set model.context higher where the model allows it."
            )
        self._log.clear()
        started = time.monotonic()
        reused = self._rewind(min(_common(self._cached, tokens), len(tokens) - 1))
        prompt_done = self._read_prompt(tokens[reused:], cancelled)
        between = time.monotonic()
        written: int = 0
        stopped: Stop = "user"
        if prompt_done:
            written, stopped = self._write(sampling, min(sampling.max_tokens, room), emit, cancelled)
        return Usage(
            stopped=stopped,
            prompt_tokens=len(tokens),
            reused_tokens=reused,
            answer_tokens=written,
            prompt_seconds=between - started,
            answer_seconds=time.monotonic() - between,
        )

    # --- the cache -------------------------------------------------------------------------------------------------

    def _rewind(self, length: int) -> int:
        """Cuts the cache back to its first `length` tokens, or to none for a model that cannot rewind. Returns what is left."""
        if not llama_cpp.llama_memory_seq_rm(self._memory, 0, length, -1):
            llama_cpp.llama_memory_clear(self._memory, True)
            length = 0
        del self._cached[length:]
        return length

    def _read_prompt(self, tokens: Sequence[int], cancelled: Callable[[], bool]) -> bool:
        """Computes the prompt. False if it was cancelled: between batches, and inside one where it runs on a CPU."""
        callback = llama_cpp.ggml_abort_callback(lambda _: cancelled())
        llama_cpp.llama_set_abort_callback(self._context, callback, None)
        try:
            batches = (tokens[i : i + BATCH] for i in range(0, len(tokens), BATCH))
            return all(not cancelled() and self._decode(batch) for batch in batches)
        finally:  # token by token is quick to stop anyway, and the callback takes Python's lock for every node of the graph
            llama_cpp.llama_set_abort_callback(self._context, llama_cpp.ggml_abort_callback(0), None)

    def _write(
        self, sampling: Sampling, limit: int, emit: Callable[[str], None], cancelled: Callable[[], bool]
    ) -> tuple[int, Stop]:
        """Draws tokens until the model ends, `limit` is reached or the person has enough. Returns how many, and which."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with _sampler(sampling, self._vocabulary) as sampler:
            for written in range(limit):
                if cancelled():
                    return written, "user"
                token = llama_cpp.llama_sampler_sample(sampler, self._context, -1)
                if self._vocabulary.ends(token):
                    return written, "end"
                text = decoder.decode(self._vocabulary.piece(token))
                if text:
                    emit(text)
                if written + 1 < limit:
                    self._decode([token])
        return max(0, limit), "length"

    def _decode(self, tokens: Sequence[int]) -> bool:
        """Computes tokens after those in the cache. False if it was aborted."""
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        code = llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(array, len(tokens)))
        if code == 0:
            self._cached += tokens
            return True
        if code == ABORTED:  # what was computed of the batch is cut off by the next rewind
            return False
        self._rewind(0)
        raise ModelError(
            f"llama.cpp could not compute the answer (code {code}: {self._log.reason()}): try a smaller model.context."
        )

    # --- loading ---------------------------------------------------------------------------------------------------

    def _open_model(self) -> Pointer:
        parameters = llama_cpp.llama_model_default_params()
        layers = self._request.gpu_layers
        parameters.n_gpu_layers = ALL_LAYERS if layers < 0 else layers
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

    def _read_template(self) -> ChatTemplate:
        source = llama_cpp.llama_model_chat_template(self._model, None)
        if not source:
            raise ModelTemplateMissing(
                f"{self._request.path} names no chat template, so it is no chat model or was converted without one: "
                "choose an instruction-tuned GGUF file."
            )
        bos, eos = (self._vocabulary.text(token) for token in (self._vocabulary.bos, self._vocabulary.eos))
        return ChatTemplate(source.decode("utf-8", "replace"), bos, eos, self._request.path)

    def _open_context(self) -> Pointer:
        trained = llama_cpp.llama_model_n_ctx_train(self._model)
        wanted = min(self._request.context, trained) if trained > 0 else self._request.context
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = wanted
        parameters.n_batch = parameters.n_ubatch = BATCH
        parameters.n_threads = parameters.n_threads_batch = self._request.threads
        parameters.swa_full = True  # sliding-window models could not rewind otherwise
        context: Pointer | None = llama_cpp.llama_init_from_model(self._model, parameters)
        if context is None:
            raise ModelError(
                f"llama.cpp cannot make a context of {wanted} tokens for {self._request.name} ({self._log.reason()}): "
                "set model.context lower, or choose a smaller model."
            )
        self._size = min(wanted, llama_cpp.llama_n_ctx(context))
        return context

    def _describe(self) -> str:
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self._model, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


@contextmanager
def _sampler(sampling: Sampling, vocabulary: Vocabulary) -> Iterator[Pointer]:
    links: list[Pointer] = []
    if sampling.grammar:  # first, so that the others choose among what it admits
        links.append(_grammar(sampling.grammar, vocabulary))
    if sampling.repeat_penalty != 1.0:
        links.append(
            llama_cpp.llama_sampler_init_penalties(vocabulary.size, PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0)
        )
    if sampling.temperature <= 0.0:
        links.append(llama_cpp.llama_sampler_init_greedy())
    else:
        links.append(llama_cpp.llama_sampler_init_top_k(sampling.top_k))
        links.append(llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
        links.append(llama_cpp.llama_sampler_init_temp(sampling.temperature))
        links.append(llama_cpp.llama_sampler_init_dist(sampling.seed))
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for link in links:
        llama_cpp.llama_sampler_chain_add(chain, link)
    try:
        yield chain
    finally:
        llama_cpp.llama_sampler_free(chain)  # frees its links too


def _grammar(text: str, vocabulary: Vocabulary) -> Pointer:
    link: Pointer = llama_cpp.llama_sampler_init_grammar(vocabulary.pointer, text.encode("utf-8"), b"root")
    if not link:  # a null pointer is an object, and false
        raise ModelError("llama.cpp does not understand the grammar of the answer. This is a bug: please report it.")
    return link
