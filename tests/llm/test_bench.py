"""The speed of a model, measured for real: a tiny one with random weights."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.llm.bench import SpeedBench
from offline_agent.llm.bench_machine import machine_name, peak_memory
from offline_agent.llm.bench_plan import QUICK, Pace, Plan, Step, even_length, lengths_of, runs_of, seconds_of, why_none
from offline_agent.llm.bench_text import prompt_of
from offline_agent.llm.catalogue import card_for
from offline_agent.settings import ModelSettings
from offline_agent.types import Message
from scripts.bench.random_model import write_random_model

_FAST = Pace(load=1.0, prefill=1000.0, decode=50.0)
_SYSTEM = Message(role="system", content="You answer questions about a repository. " * 20)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="module")
def measured(tiny: Path) -> tuple[SpeedBench, list[Step]]:
    plan = Plan(lengths=(128, 512), threads=(1, 2), runs=1)
    bench = SpeedBench(card_for(tiny), tiny, ModelSettings(context=2048), plan, [_SYSTEM])
    return bench, list(bench.run())


def test_each_length_is_measured_with_each_number_of_threads(measured: tuple[SpeedBench, list[Step]]) -> None:
    speed = measured[0].speed
    assert [(point.threads, point.prompt_tokens) for point in speed.points] == [(1, 128), (1, 512), (2, 128), (2, 512)]
    assert all(point.prefill > 0 and point.decode > 0 for point in speed.points)
    assert speed.info is not None
    assert speed.info.context == 2048
    assert speed.notes == []


def test_loading_and_memory_are_measured(measured: tuple[SpeedBench, list[Step]], tiny: Path) -> None:
    speed = measured[0].speed
    assert len(speed.loads) == 2 + 1 + 1 + 1  # threads; saving; cold and saved
    assert speed.peak_memory > tiny.stat().st_size


def test_a_saved_beginning_is_really_used(measured: tuple[SpeedBench, list[Step]]) -> None:
    speed = measured[0].speed
    assert len(speed.first_cold) == 1
    assert len(speed.first_saved) == 1


def test_the_time_it_takes_is_said_first_and_is_over_at_the_end(measured: tuple[SpeedBench, list[Step]]) -> None:
    steps = measured[1]
    assert steps[0].done == 0
    assert steps[0].of > 0
    assert all(one.done <= next_.done for one, next_ in pairwise(steps))
    assert all(step.done <= step.of for step in steps)
    assert steps[-1].done == steps[-1].of


def test_what_was_measured_stays_when_it_is_left(tiny: Path) -> None:
    bench = SpeedBench(card_for(tiny), tiny, ModelSettings(context=2048), Plan(lengths=(128, 512), runs=3))
    steps = bench.run()
    for _ in range(3):  # how long it takes, then two of three runs
        next(steps)
    assert [point.prompt_tokens for point in bench.speed.points] == [128]
    steps.close()
    assert bench.speed.points[0].decode > 0
    assert bench.speed.first_cold == []


def test_what_cannot_be_measured_is_said(tiny: Path) -> None:
    settings = ModelSettings(context=512, keep_states=False)
    long = Message(role="system", content="You answer questions about a repository. " * 100)
    bench = SpeedBench(card_for(tiny), tiny, settings, Plan(lengths=(128, 4096), runs=1), [long])
    list(bench.run())
    assert [point.prompt_tokens for point in bench.speed.points] == [128]
    assert [note.split(",")[0][:34] for note in bench.speed.notes] == [
        "A prompt of 4",
        "What a session begins with does no",
    ]
    assert bench.speed.first_cold == []


@given(st.integers(0, 2000), st.integers(0, 50), st.floats(0.3, 4.0), st.integers(0, 300))
def test_a_prompt_is_as_long_as_asked_and_never_longer(length: int, number: int, per_word: float, frame: int) -> None:
    def measure(text: str) -> int:
        return frame + int(per_word * len(text.split()))

    text = prompt_of(length, number, measure)
    assert text == prompt_of(length, number, measure)
    if measure(text) > length:
        assert text == prompt_of(0, number, measure)  # its frame alone is longer
    elif length > 2 * measure(prompt_of(0, number, measure)):
        assert measure(text) >= 0.97 * length - 2 * per_word - 1


def test_no_two_prompts_begin_alike() -> None:
    words = {prompt_of(200, number, lambda text: len(text.split())).split()[0] for number in range(500)}
    assert len(words) > 490


@pytest.mark.parametrize(
    ("context", "lengths"),
    [
        (2048, (128, 512, 1760)),
        (8192, (128, 512, 2048, 7904)),
        (8192 + 300, (128, 512, 2048, 8192)),
        (200, ()),
    ],
)
def test_lengths_go_up_to_the_context(context: int, lengths: tuple[int, ...]) -> None:
    assert lengths_of(Plan(), context) == lengths
    assert lengths_of(QUICK, context) == (128, 512)


def test_a_long_prompt_is_run_fewer_times_or_left_out_unless_it_is_named() -> None:
    plan, slow = Plan(), Pace(load=1.0, prefill=40.0, decode=5.0)
    assert [runs_of(plan, length, 32768, slow) for length in (128, 512, 2048, 8192)] == [3, 3, 2, 0]
    assert runs_of(Plan(lengths=(8192,)), 8192, 32768, slow) == 3
    assert "--lengths 8192" in why_none(8192, 32768, slow)
    assert runs_of(Plan(lengths=(8192,)), 8192, 8192, slow) == 0
    assert "context of 8,192" in why_none(8192, 8192, slow)


def test_all_of_it_is_bounded() -> None:
    slow = Pace(load=30.0, prefill=2.0, decode=0.3)
    assert seconds_of(Plan(), 1 << 20, slow, 60.0) < 10 * 120 + 4 * 60 + 3 * 30 + 30
    assert seconds_of(QUICK, 8192, _FAST, 3.0) < seconds_of(Plan(), 8192, _FAST, 3.0)


def test_attention_makes_long_prompts_dear() -> None:
    even = even_length(parameters=7_000_000_000, layers=32)
    assert 40_000 < even < 60_000
    steady, growing = _FAST.seconds(32768), Pace(1.0, 1000.0, 50.0, 128, even).seconds(32768)
    assert 1.5 < growing / steady < 1.8


def test_the_machine_has_a_name() -> None:
    name = machine_name(gpu=False)
    assert " core" in name
    assert machine_name(gpu=True).startswith(name)


def test_a_machine_is_named_as_its_files_have_it(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD   EPYC 7R13\n")
    card = tmp_path / "driver" / "nvidia" / "gpus" / "0000:01"
    card.mkdir(parents=True)
    (card / "information").write_text("Model: \t\t NVIDIA H100\nIRQ: 1\n")
    name = machine_name(gpu=True, proc=tmp_path)
    assert name.startswith("AMD EPYC 7R13, ")
    assert name.endswith(", NVIDIA H100")


def test_a_process_tells_its_peak() -> None:
    assert peak_memory(os.getpid()) > 1_000_000
    assert peak_memory(2**22 + 1) == 0
