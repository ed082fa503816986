"""Layouts of models in memories of every size, and the estimates against what llama.cpp says it took."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import ModelTooBig
from offline_agent.llm.fit import OUTPUTS, explain, fit
from offline_agent.llm.hardware import Memory
from offline_agent.llm.header import Header, read_header
from offline_agent.llm.messages import Wishes
from offline_agent.models import Fit

from .conftest import POCKET

MB, GB = 1_000_000, 1_000_000_000
LAYERS = 28
SEVEN = Header(
    path="/models/seven.gguf",
    architecture="qwen2",
    name="Seven",
    file_type="Q8_0",
    context_length=32768,
    embedding_length=3584,
    layers=LAYERS,
    heads=28,
    kv_heads=(4,) * LAYERS,
    key_length=128,
    value_length=128,
    cached_keys=(512,) * LAYERS,
    cached_values=(512,) * LAYERS,
    state_bytes=(0,) * LAYERS,
    feed_forward_length=18944,
    vocabulary=152064,
    parameters=7_600_000_000,
    tensor_bytes=8_100_000_000,
    block_bytes=(247_000_000,) * LAYERS,
    embedding_bytes=592_000_000,
    output_bytes=592_000_000,
)
"""The shape of Qwen2.5-7B as Q8_0."""
PER_TOKEN = 2 * 2 * 512 * LAYERS


def memory(free: float, gpu: float = 0, shares: bool = False) -> Memory:
    return Memory(free=int(free * GB), gpu_free=int(gpu * GB), gpu_shares=shares, cores=8)


def total(fit: Fit) -> int:
    return fit.weights + fit.cache + fit.buffers


def test_where_there_is_room_the_wishes_come_true() -> None:
    roomy = fit(SEVEN, Wishes(), memory(32))
    assert (roomy.context, roomy.trained_context, roomy.batch, roomy.threads) == (8192, 32768, 512, 7)
    assert (roomy.cache_type, roomy.gpu_layers, roomy.notes) == ("f16", 0, ())
    assert (roomy.weights, roomy.cache) == (8_100_000_000, 8192 * PER_TOKEN)
    asked = fit(SEVEN, Wishes(context=1000, threads=3, batch=64, cache_type="q8_0"), memory(32))
    assert (asked.context, asked.threads, asked.batch, asked.cache_type) == (1000, 3, 64, "q8_0")
    assert asked.cache == 1024 * PER_TOKEN * 17 // 32


def test_not_more_context_than_it_was_trained_for() -> None:
    assert fit(SEVEN, Wishes(card_context=100_000), memory(64)).context == 32768
    clipped = fit(SEVEN, Wishes(context=100_000), memory(64))
    assert clipped.context == 32768
    assert "trained for a context of 32,768 tokens" in clipped.notes[0]


def test_a_batch_is_no_larger_than_the_context() -> None:
    assert fit(SEVEN, Wishes(context=256), memory(32)).batch == 256


def test_less_and_less_room() -> None:
    tight = fit(SEVEN, Wishes(card_context=32768), memory(10.2))
    assert (tight.cache_type, tight.context) == ("q8_0", 32768)
    assert "kept as q8_0" in " ".join(tight.notes)
    tighter = fit(SEVEN, Wishes(card_context=32768), memory(9.4))
    assert tighter.cache_type == "q8_0"
    assert 4096 <= tighter.context < 32768
    assert f"The context is {tighter.context:,} tokens and not 32,768" in tighter.notes[-1]


@pytest.mark.parametrize(
    ("free", "advice"),
    [(8.9, "Q6_K file, of about 6,235 MB"), (6.0, "Q4_K_M file"), (4.4, "Q2_K file"), (2.0, "fewer parameters")],
)
def test_too_big(free: float, advice: str) -> None:
    with pytest.raises(ModelTooBig, match=f"Seven needs 8,... MB of memory, and of .* free.*{advice}"):
        fit(SEVEN, Wishes(), memory(free))


def test_the_advice_is_good() -> None:
    smaller = SEVEN.model_copy(update={"tensor_bytes": 6_235_000_000, "block_bytes": (190_000_000,) * LAYERS})
    assert fit(smaller, Wishes(), memory(8.9)).context >= 4096


def test_a_context_that_was_asked_for_is_had_or_refused() -> None:
    with pytest.raises(
        ModelTooBig, match=r"With a context of 32,768 tokens Seven .*set model.context to (\d+)"
    ) as caught:
        fit(SEVEN, Wishes(context=32768), memory(9.4))
    found = re.search(r"model.context to (\d+)", str(caught.value))
    assert found
    largest = int(found[1])
    assert fit(SEVEN, Wishes(context=largest), memory(9.4)).context == largest
    with pytest.raises(ModelTooBig):
        fit(SEVEN, Wishes(context=largest + 256), memory(9.4))


def test_a_cache_type_that_was_asked_for_is_kept() -> None:
    assert fit(SEVEN, Wishes(card_context=32768, cache_type="f16"), memory(10.2)).cache_type == "f16"


def test_heads_that_do_not_go_into_blocks() -> None:
    odd = SEVEN.model_copy(update={"key_length": 80, "value_length": 80})
    layout = fit(odd, Wishes(cache_type="q8_0"), memory(32))
    assert layout.cache_type == "f16"
    assert "do not go into q8_0" in layout.notes[0]


def test_a_tiny_model_runs_on_a_tiny_machine_in_one_thread() -> None:
    pocket = fit(read_header(POCKET), Wishes(card_context=2048), memory(0.1))
    assert (pocket.context, pocket.threads) == (2048, 1)


def test_nothing_is_refused_where_it_is_not_known_what_is_free() -> None:
    assert fit(SEVEN, Wishes(context=32768), memory(0)).context == 32768


def test_all_layers_on_a_gpu() -> None:
    layout = fit(SEVEN, Wishes(), memory(4, gpu=16))
    assert (layout.gpu_layers, layout.layers) == (LAYERS + 1, LAYERS)
    assert (layout.cache, layout.gpu_cache) == (0, 8192 * PER_TOKEN)
    assert layout.weights + layout.gpu_weights == SEVEN.tensor_bytes
    assert layout.notes == ()


def test_as_many_layers_on_a_gpu_as_fit() -> None:
    layout = fit(SEVEN, Wishes(), memory(16, gpu=5))
    assert 5 < layout.gpu_layers < LAYERS
    assert layout.gpu_weights == (layout.gpu_layers - 1) * 247_000_000 + 592_000_000
    assert layout.gpu_weights + layout.gpu_cache + layout.gpu_buffers < 5 * GB
    assert f"{layout.gpu_layers} are on the GPU" in layout.notes[0]


def test_layers_as_asked() -> None:
    assert fit(SEVEN, Wishes(gpu_layers=0), memory(16, gpu=16)).gpu_layers == 0
    assert fit(SEVEN, Wishes(gpu_layers=3), memory(16, gpu=16)).gpu_layers == 3
    assert fit(SEVEN, Wishes(gpu_layers=99), memory(16, gpu=16)).gpu_layers == LAYERS + 1
    assert fit(SEVEN, Wishes(gpu_layers=99), memory(16)).gpu_layers == 0
    with pytest.raises(ModelTooBig, match=r"set model\.gpu_layers to \d+ or less"):
        fit(SEVEN, Wishes(gpu_layers=99), memory(16, gpu=4))


def test_a_gpu_without_memory_of_its_own() -> None:
    assert fit(SEVEN, Wishes(), memory(16, gpu=16, shares=True)).gpu_layers == LAYERS + 1
    with pytest.raises(ModelTooBig):
        fit(SEVEN, Wishes(), memory(8, gpu=8, shares=True))


def test_a_tied_output_is_on_the_gpu_twice() -> None:
    tied = SEVEN.model_copy(update={"output_bytes": 0})
    layout = fit(tied, Wishes(gpu_layers=1), memory(16, gpu=16))
    assert (layout.weights, layout.gpu_weights) == (SEVEN.tensor_bytes, SEVEN.embedding_bytes)


@given(
    free=st.integers(min_value=1, max_value=40 * GB),
    gpu=st.just(0) | st.integers(min_value=1, max_value=40 * GB),
    context=st.none() | st.integers(min_value=64, max_value=200_000),
    layers=st.integers(min_value=-1, max_value=40),
    kind=st.sampled_from(["auto", "f16", "q8_0"]),
)
def test_what_is_chosen_fits_and_what_was_asked_for_is_kept(
    free: int, gpu: int, context: int | None, layers: int, kind: str
) -> None:
    wishes = Wishes.model_validate({"context": context, "gpu_layers": layers, "cache_type": kind})
    try:
        layout = fit(SEVEN, wishes, Memory(free=free, gpu_free=gpu, cores=4))
    except ModelTooBig as error:
        assert str(error).isprintable()  # noqa: PT017  a layout is as good
        return
    assert total(layout) < free
    assert layout.gpu_weights + layout.gpu_cache + layout.gpu_buffers <= gpu
    assert layout.context == min(context, 32768) if context else 4096 <= layout.context <= 8192
    assert layout.cache_type in (["f16", "q8_0"] if kind == "auto" else [kind])


def test_the_sum_is_explained() -> None:
    layout = fit(SEVEN, Wishes(card_context=32768), memory(9.4))
    text = explain(layout, SEVEN)
    assert text.splitlines()[0] == "Seven (qwen2)"
    assert re.search(r"weights +8,100 MB   7,600 M parameters in 28 layers, Q8_0", text)
    assert re.search(rf"together +{total(layout) / MB:,.0f} MB", text)
    assert re.search(r"free +9,400 MB", text)
    assert "7 threads, no GPU" in text
    assert layout.notes[-1] in text
    assert "on the GPU" in explain(fit(SEVEN, Wishes(), memory(16, gpu=5)), SEVEN)


MEASURE = """
import ctypes, json, re, sys
import llama_cpp
lines = []
callback = llama_cpp.llama_log_callback(lambda level, text, _: lines.append(text.decode()))
llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
path, context, batch, outputs, kind = json.loads(sys.argv[1])
model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
parameters = llama_cpp.llama_context_default_params()
parameters.n_ctx, parameters.n_batch, parameters.n_ubatch, parameters.n_outputs_max = context, batch, batch, outputs
if kind == "q8_0":
    parameters.type_k = parameters.type_v = llama_cpp.GGML_TYPE_Q8_0
assert llama_cpp.llama_init_from_model(model, parameters)
sizes = re.findall(r"(model|KV|compute) buffer size *= *([0-9.]+) MiB", "".join(lines))
print(json.dumps({name: float(size) * 2**20 for name, size in sizes}))
"""


@pytest.mark.parametrize(("context", "batch", "kind"), [(2048, 512, "f16"), (2048, 512, "q8_0"), (512, 128, "f16")])
def test_the_estimate_is_what_llama_cpp_says_it_took(context: int, batch: int, kind: str) -> None:
    header = read_header(POCKET)
    wishes = Wishes.model_validate({"context": context, "batch": batch, "cache_type": kind})
    layout = fit(header, wishes, memory(0))
    given = json.dumps([str(POCKET), context, batch, OUTPUTS, kind])
    done = subprocess.run([sys.executable, "-P", "-c", MEASURE, given], capture_output=True, check=True, text=True)
    taken = json.loads(done.stdout)
    assert layout.weights == pytest.approx(taken["model"], rel=0.01)
    assert layout.cache == pytest.approx(taken["KV"], rel=0.01)
    assert 0.98 < (layout.buffers - 4 * OUTPUTS * header.vocabulary) / taken["compute"] < 1.25
