"""Recommendations for machines from 4 to 64 GB, as recorded in cases/recommend; and what must hold for any machine."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.llm.bandwidth import measure_bandwidth
from offline_agent.llm.catalogue import Catalogue, load_catalogue
from offline_agent.llm.hardware import Memory
from offline_agent.llm.recommend import KINDS, QUICK, Machine, fits, needs, recommend, speed
from offline_agent.models import ModelCard, Task

CASES = Path(__file__).parent / "cases" / "recommend"
GB = 1_000_000_000
# What is free of a machine's memory while a desktop and an editor run, and the bandwidth of the kind of machine that has so much.
MACHINES = {
    "4-gb": Machine(memory=Memory(free=2 * GB, cores=2), bandwidth=15e9),
    "8-gb": Machine(memory=Memory(free=5 * GB, cores=4), bandwidth=25e9),
    "16-gb": Machine(memory=Memory(free=12 * GB, cores=6), bandwidth=40e9),
    "32-gb": Machine(memory=Memory(free=27 * GB, cores=8), bandwidth=60e9),
    "64-gb": Machine(memory=Memory(free=58 * GB, cores=12), bandwidth=80e9),
    "64-gb-gpu-24-gb": Machine(memory=Memory(free=58 * GB, gpu_free=23 * GB, cores=12), bandwidth=80e9),
    "32-gb-shared": Machine(memory=Memory(free=24 * GB, gpu_free=24 * GB, gpu_shares=True, cores=8), bandwidth=200e9),
}
TASKS: list[Task] = list(KINDS)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(CASES)


@pytest.mark.parametrize("name", MACHINES)
def test_recommendations_are_as_recorded(catalogue: Catalogue, name: str) -> None:
    said = "\n".join(_shown(catalogue, MACHINES[name], task) for task in TASKS)
    recorded = CASES / f"{name}.txt"
    if "RECORD" in os.environ:
        recorded.write_text(said, encoding="utf-8")
    assert said == recorded.read_text(encoding="utf-8"), f"if the new advice is right: RECORD=1 pytest {__file__}"


def _shown(catalogue: Catalogue, machine: Machine, task: Task) -> str:
    lines: list[str] = [task]
    for number, one in enumerate(recommend(catalogue.cards(), machine, task, {"small-coder"}), start=1):
        mark = ", installed" if one.installed else ""
        lines += [f"  {number} {one.name}: {one.fits}{mark}", *(f"    {reason}" for reason in one.reasons)]
    return "\n".join(lines) + "\n"


@given(
    free=st.integers(0, 200 * GB),
    gpu=st.integers(0, 200 * GB),
    shares=st.booleans(),
    bandwidth=st.floats(0, 1e12, allow_nan=False),
    task=st.sampled_from(TASKS),
)
def test_on_any_machine_what_does_not_fit_is_not_recommended(
    free: int, gpu: int, shares: bool, bandwidth: float, task: Task
) -> None:
    memory = Memory(free=free, gpu_free=gpu, gpu_shares=shares)
    for one in recommend(load_catalogue(CASES).cards(), Machine(memory=memory, bandwidth=bandwidth), task):
        card = load_catalogue(CASES).find(one.name)
        assert card is not None
        assert card.kind == KINDS[task]
        assert one.fits != "no"
        assert not free or needs(card)[0] <= max(free, gpu, free + gpu)
        assert all(reason.endswith(".") for reason in one.reasons)


@given(less=st.integers(1, 100 * GB), more=st.integers(1, 100 * GB))
def test_more_memory_never_fits_worse(less: int, more: int) -> None:
    order = ("no", "tightly", "comfortably")
    for card in load_catalogue(CASES).cards():
        smaller, larger = fits(card, Memory(free=less)), fits(card, Memory(free=less + more))
        assert smaller == larger == "unknown" or order.index(smaller) <= order.index(larger)


def test_a_card_that_says_nothing_of_memory_is_judged_by_its_size(catalogue: Catalogue) -> None:
    least, comfortable = needs(catalogue.model("brought"))
    assert 2 * GB < least < comfortable < 5 * GB
    assert fits(ModelCard(name="nothing is known"), Memory(free=GB)) == "unknown"
    assert needs(ModelCard(name="nothing is known")) == (0, 0)


def test_a_mixture_reads_only_its_active_part(catalogue: Catalogue) -> None:
    dense, mixture = catalogue.model("huge-coder"), catalogue.model("expert-coder")
    assert speed(mixture, 60e9) > 8 * speed(dense, 60e9)
    assert speed(catalogue.embedder("table"), 60e9) == 0.0


def test_too_slow_comes_behind_quick_enough(catalogue: Catalogue) -> None:
    slow = Machine(memory=Memory(free=100 * GB), bandwidth=30e9)
    first, *_ = recommend(catalogue.cards(), slow, "agent")
    assert first.speed >= QUICK["agent"]


def test_memory_is_read_and_written_at_some_speed() -> None:
    assert measure_bandwidth(1, seconds=0.0) > 1e8
