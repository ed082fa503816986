"""How a model is laid out in memory, decided before it is loaded: from what its file says, what is wished and what is free.

    weights  +  cache (keys and values of the context)  +  buffers   <=   what is free  -  a reserve

Pure. Sizes are estimates of what llama.cpp 0.5.0 (in llama-cpp-python 0.3.36) allocates with flash attention on, `swa_full`, and
`n_outputs_max` OUTPUTS. Against its log, over the shapes of eleven models, contexts of 256 to 32,768 and batches of 128 to 512:
cache exact, buffers 0 to 21 % too high. Weights are those of the file: what is repacked for the CPU is then no more read from it.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from offline_agent.errors import ModelTooBig
from offline_agent.llm.hardware import Memory
from offline_agent.llm.header import Header
from offline_agent.llm.messages import Wishes
from offline_agent.models import Fit

OUTPUTS = 33
"""Tokens of a batch whose logits may be asked for: a draft of 32 and the token before it. llama.cpp would make room for all of a
batch, which for a vocabulary of 151,936 is 300 MB that nobody uses."""
BATCH = 512
"""Tokens of a prompt computed at once; more gains nothing on a CPU."""
SMALLEST_CHOSEN = 4096
"""Tokens. A context is not made smaller than this unasked: an agent cannot work in less."""
CELLS = 256
"""llama.cpp rounds a context up to a multiple of this."""
TINY = 64_000_000
"""Bytes of weights. Threads of a smaller model spend more time waiting for each other than computing."""
RESERVE, RESERVED_SHARE, RESERVED_AT_MOST = 512_000_000, 0.05, 0.25
"""Bytes that stay free, or their share where that is more; but a tiny model shall run on a tiny machine."""

CacheType = Literal["f16", "q8_0"]
CACHE_BYTES: dict[CacheType, float] = {"f16": 2.0, "q8_0": 34 / 32}
"""Of one element; q8_0 has blocks of 32 with a scale of two bytes (GGML_QUANT_SIZES)."""
CACHE_BLOCK = 32

BITS_PER_WEIGHT = {
    "Q8_0": 8.5008,
    "Q6_K": 6.5633,
    "Q5_K_M": 5.7036,
    "Q4_K_M": 4.8944,
    "IQ4_XS": 4.4597,
    "Q3_K_M": 4.0,
    "Q2_K": 3.1593,
}
"""Of Llama 3.1 8B as llama-quantize makes it: tools/quantize/README.md of llama.cpp, and for Q3_K_M the 3.74 GiB that its --help
gives for Llama 3 8B. Small models with large vocabularies need up to a tenth more."""
WORTHWHILE = 0.9
"""A file is not advised in place of one that is hardly larger."""


@dataclass(frozen=True)
class _Sizes:
    """Bytes, in main memory or in the GPU's."""

    weights: int = 0
    cache: int = 0
    buffers: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.buffers


@dataclass(frozen=True)
class _Layout:
    context: int
    cache_type: CacheType
    gpu_layers: int
    main: _Sizes
    gpu: _Sizes

    @property
    def total(self) -> int:
        return self.main.total + self.gpu.total


def fit(header: Header, wishes: Wishes, memory: Memory) -> Fit:
    """The layout nearest to the wishes: their context with an f16 cache, else with a q8_0 one, else a smaller context.

    Raises ModelTooBig where nothing fits, or not what was explicitly asked for; it says what would. Where it is not known how
    much is free (0), everything fits.
    """
    return _Planner(header, wishes, memory).decide()


class _Planner:
    def __init__(self, header: Header, wishes: Wishes, memory: Memory) -> None:
        self._header, self._wishes, self._memory = header, wishes, memory
        self._notes: list[str] = []
        wanted = wishes.context or wishes.card_context
        self._context = min(wanted, header.context_length or wanted)
        if wishes.context and self._context < wishes.context:
            self._notes.append(f"The model was trained for a context of {self._context:,} tokens: it gets no more.")
        self._batch = min(wishes.batch or BATCH, self._context)
        self._cache_types = self._choose_cache_types()

    def decide(self) -> Fit:
        layout = next(filter(None, (self._fitting(self._context, kind) for kind in self._cache_types)), None)
        layout = layout or self._smaller()
        if layout.cache_type != self._cache_types[0]:
            self._notes.append("Keys and values are kept as q8_0, in half the memory: as f16 they do not fit.")
        if layout.context < self._context:
            self._notes.append(
                f"The context is {layout.context:,} tokens and not {self._context:,}: more does not fit."
            )
        most = self._header.layers + 1
        if self._memory.gpu_free and self._wishes.gpu_layers < 0 and layout.gpu_layers < most:
            self._notes.append(f"Of {most} layers, {layout.gpu_layers} are on the GPU: more do not fit in its memory.")
        return Fit(
            context=layout.context,
            trained_context=self._header.context_length,
            gpu_layers=layout.gpu_layers,
            layers=self._header.layers,
            cache_type=layout.cache_type,
            threads=self._threads(),
            batch=self._batch,
            weights=layout.main.weights,
            cache=layout.main.cache,
            buffers=layout.main.buffers,
            gpu_weights=layout.gpu.weights,
            gpu_cache=layout.gpu.cache,
            gpu_buffers=layout.gpu.buffers,
            memory=self._memory.free,
            gpu_memory=self._memory.gpu_free,
            notes=tuple(self._notes),
        )

    # --- decisions -------------------------------------------------------------------------------------------------

    def _choose_cache_types(self) -> tuple[CacheType, ...]:
        """What to try, in this order. llama.cpp refuses q8_0 for heads that are no whole blocks."""
        lengths = (self._header.key_length, self._header.value_length)
        if any(length % CACHE_BLOCK for length in lengths):
            if self._wishes.cache_type == "q8_0":
                self._notes.append(
                    f"Keys and values are kept as f16: heads of {lengths[0]} elements do not go into q8_0."
                )
            return ("f16",)
        return ("f16", "q8_0") if self._wishes.cache_type == "auto" else (self._wishes.cache_type,)

    def _threads(self) -> int:
        """llama.cpp's threads wait for each other by spinning: one that shares its core with another program slows all of them
        many times over, so one core stays free."""
        if self._wishes.threads:
            return self._wishes.threads
        return 1 if self._header.tensor_bytes < TINY else max(1, self._memory.cores - 1)

    def _smaller(self) -> _Layout:
        """The largest context that fits, where it may be chosen."""
        kind = self._cache_types[-1]
        if self._fitting(CELLS, kind) is None and self._memory.gpu_free and self._wishes.gpu_layers > 0:
            raise self._too_many_layers(kind)
        contexts = range(CELLS, self._context, CELLS)
        fitting = bisect_left(contexts, True, key=lambda context: self._fitting(context, kind) is None)
        largest = contexts[fitting - 1] if fitting else 0
        if self._wishes.context and largest:
            raise self._context_too_big(largest)
        layout = self._fitting(largest, kind) if largest >= min(SMALLEST_CHOSEN, self._context) else None
        if layout is None:
            raise self._model_too_big()
        return layout

    def _fitting(self, context: int, kind: CacheType) -> _Layout | None:
        """The layout with as many layers on the GPU as are wished, or as fit; None where not even that fits."""
        return next(filter(self._fits, (self._lay_out(context, kind, n) for n in self._gpu_layers())), None)

    def _gpu_layers(self) -> Iterable[int]:
        """How many layers to try on the GPU, in this order. The last one to go there, before all others, is the output's."""
        most, wished = self._header.layers + 1, self._wishes.gpu_layers
        if not self._memory.gpu_free:
            return (0,)
        return range(most, -1, -1) if wished < 0 else (min(wished, most),)

    def _fits(self, layout: _Layout) -> bool:
        both = layout.total if self._memory.gpu_shares else layout.main.total
        on_gpu = not layout.gpu.total or layout.gpu.total <= _budget(self._memory.gpu_free)
        return on_gpu and (not self._memory.free or both <= _budget(self._memory.free))

    # --- sizes -----------------------------------------------------------------------------------------------------

    def _lay_out(self, context: int, kind: CacheType, gpu_layers: int) -> _Layout:
        """llama.cpp puts the output and the last `gpu_layers` - 1 layers on the GPU (`i_gpu_start`), each with its cache; never the
        embeddings, so that an output that is tied to them is there twice."""
        header = self._header
        first = min(header.layers, header.layers + 1 - gpu_layers)
        cache = [_cache_bytes(header, layer, context, kind) for layer in range(header.layers)]
        blocks = sum(header.block_bytes[first:])
        output = gpu_layers > 0
        gpu_weights = blocks + (header.output_bytes or header.embedding_bytes) * output
        main_weights = header.tensor_bytes - blocks - header.output_bytes * output
        compute, inputs = _compute_bytes(header, context, self._batch), _input_bytes(header, context, self._batch)
        logits = 4 * min(OUTPUTS, self._batch) * header.vocabulary
        return _Layout(
            context=context,
            cache_type=kind,
            gpu_layers=gpu_layers,
            main=_Sizes(main_weights, sum(cache[:first]), logits + (inputs if gpu_layers > header.layers else compute)),
            gpu=_Sizes(gpu_weights, sum(cache[first:]), compute if output else 0),
        )

    # --- refusals --------------------------------------------------------------------------------------------------

    def _context_too_big(self, largest: int) -> ModelTooBig:
        needed = self._lay_out(self._context, self._cache_types[-1], min(self._gpu_layers()))
        return ModelTooBig(
            f"With a context of {self._context:,} tokens {_name(self._header)} needs {_megabytes(needed.total)} of memory, "
            f"{self._free_in_words()}: set model.context to {largest} or less, or close other programs."
        )

    def _too_many_layers(self, kind: CacheType) -> ModelTooBig:
        layouts = (self._lay_out(self._context, kind, layers) for layers in range(self._header.layers + 1, -1, -1))
        most = next((layout.gpu_layers for layout in layouts if self._fits(layout)), 0)
        wished = self._lay_out(self._context, kind, min(self._wishes.gpu_layers, self._header.layers + 1))
        return ModelTooBig(
            f"{wished.gpu_layers} layers of {_name(self._header)} need {_megabytes(wished.gpu.total)} on the GPU, and of "
            f"{_megabytes(self._memory.gpu_free)} that are free {_megabytes(_budget(self._memory.gpu_free))} can be had: "
            f"set model.gpu_layers to {most} or less, or to -1 for as many as fit."
        )

    def _model_too_big(self) -> ModelTooBig:
        least = min(SMALLEST_CHOSEN, self._context)
        layout = self._lay_out(least, self._cache_types[-1], min(self._gpu_layers()))
        return ModelTooBig(
            f"{_name(self._header)} needs {_megabytes(layout.total)} of memory, {self._free_in_words()}: "
            f"{self._advice(layout)}, or close other programs."
        )

    def _advice(self, layout: _Layout) -> str:
        """The largest quantisation of the same model that would fit beside the rest of the layout."""
        room = _budget(self._memory.free) + self._on_gpu() - (layout.total - layout.main.weights - layout.gpu.weights)
        for quantisation, bits in BITS_PER_WEIGHT.items():
            size = int(self._header.parameters * bits / 8)
            if size < min(room, WORTHWHILE * self._header.tensor_bytes):
                return f"choose its {quantisation} file, of about {_megabytes(size)}"
        return "choose a model with fewer parameters, as no quantisation of this one fits"

    def _free_in_words(self) -> str:
        free = (
            f"and of {_megabytes(self._memory.free)} that are free {_megabytes(_budget(self._memory.free))} can be had"
        )
        return f"{free}, and {_megabytes(self._on_gpu())} on the GPU" if self._on_gpu() else free

    def _on_gpu(self) -> int:
        return 0 if self._memory.gpu_shares else _budget(self._memory.gpu_free)


def _budget(free: int) -> int:
    return int(free - min(max(RESERVE, free * RESERVED_SHARE), free * RESERVED_AT_MOST))


def _cache_bytes(header: Header, layer: int, context: int, kind: CacheType) -> int:
    """Keys and values of one layer. A sliding window is kept whole (`swa_full`), as it could not be rewound otherwise; a recurrent
    layer's state is float32 and does not grow."""
    cells = -(-context // CELLS) * CELLS
    elements = header.cached_keys[layer] + header.cached_values[layer]
    return int(cells * elements * CACHE_BYTES[kind]) + header.state_bytes[layer]


def _compute_bytes(header: Header, context: int, batch: int) -> int:
    """The "compute buffer" of llama.cpp's log. Of the steps of the graph, which share it, one of these needs most:

        forward     3 feed forward + 3 embedding + queries                  float32 for each token of the batch, beside the inputs
        attention   3 feed forward + embedding + 2 queries + keys, values   likewise
        recurrent   6 inner + 2 embedding                                   likewise
        output      3 embedding                                             likewise, and the vocabulary for each of OUTPUTS

    Fitted to what it reports for the architectures llama, qwen2, qwen3, gemma3 and mamba, and for experts.
    """
    experts = header.experts_used * (header.expert_feed_forward_length or header.feed_forward_length)
    forward, embedding = 3 * max(header.feed_forward_length, experts), header.embedding_length
    queries = header.heads * header.key_length
    cached = max(keys + values for keys, values in zip(header.cached_keys, header.cached_values, strict=True))
    layer = max(forward + 3 * embedding + queries, forward + embedding + 2 * queries + cached)
    recurrent = (6 * header.inner_length + 2 * embedding) if header.recurrent else 0
    output = 4 * (min(OUTPUTS, batch) * header.vocabulary + 3 * embedding * batch)
    return max(4 * batch * max(layer, recurrent) + _input_bytes(header, context, batch), output)


def _input_bytes(header: Header, context: int, batch: int) -> int:
    """Attention masks, f16, one more where there are sliding windows; and the embeddings where they cross over to a GPU."""
    cells = -(-context // CELLS) * CELLS
    masks = (2 if header.sliding_window else 1) if any(header.cached_keys) else 0
    return 2 * masks * cells * batch


# --- for people ------------------------------------------------------------------------------------------------------


def explain(fit: Fit, header: Header) -> str:
    """The sum as a table, what was decided, and why."""
    rows = [
        ("weights", fit.weights, fit.gpu_weights, _weights_in_words(header)),
        ("cache", fit.cache, fit.gpu_cache, f"keys and values of {fit.context:,} tokens as {fit.cache_type}"),
        ("buffers", fit.buffers, fit.gpu_buffers, f"for batches of {fit.batch} tokens"),
        (
            "together",
            fit.weights + fit.cache + fit.buffers,
            fit.gpu_weights + fit.gpu_cache + fit.gpu_buffers,
            "estimated",
        ),
        ("free", fit.memory, fit.gpu_memory, f"of which {_megabytes(fit.memory - _budget(fit.memory))} stay free"),
    ]
    trained = f" of {fit.trained_context:,}" if fit.trained_context else ""
    layers = f"{fit.gpu_layers} of {fit.layers + 1} layers on the GPU" if fit.gpu_memory else "no GPU"
    threads = "1 thread" if fit.threads == 1 else f"{fit.threads} threads"
    return "\n".join(
        [
            f"{_name(header)} ({header.architecture})",
            "",
            *(_row(*row, gpu=fit.gpu_memory > 0) for row in rows),
            "",
            f"context {fit.context:,}{trained} tokens, {threads}, {layers}",
            *fit.notes,
        ]
    )


def _row(title: str, main: int, on_gpu: int, words: str, gpu: bool) -> str:
    column = f"{_megabytes(on_gpu) + ' on the GPU':>23}" if gpu else ""
    return f"{title:<10}{_megabytes(main):>12}{column}   {words}"


def _weights_in_words(header: Header) -> str:
    kind = header.file_type or f"{header.bits_per_weight:.1f} bits a weight"
    return f"{header.parameters / 1e6:,.0f} M parameters in {header.layers} layers, {kind}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _name(header: Header) -> str:
    return header.name or Path(header.path).stem
