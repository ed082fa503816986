"""The best of many scores, compared with sorting them all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.retrieval.best import best


def scores(count: int, kind: str) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    made = np.random.default_rng(count).normal(size=count).astype(np.float32)
    match kind:
        case "falling":
            return np.sort(made)[::-1].copy()
        case "mostly nothing":
            return np.where(made > 2.0, made, np.float32(0.0))
        case "all alike":
            return np.ones(count, dtype=np.float32)
        case "best between the samples":
            made[:: max(1, count // 4096)] = -9.0
            return made
    return made


KINDS = ("any", "falling", "mostly nothing", "all alike", "best between the samples")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 7, 16_383, 16_384, 50_000])
@pytest.mark.parametrize("limit", [1, 10, 400, 60_000])
def test_are_those_that_sorting_puts_first(kind: str, count: int, limit: int) -> None:
    some = scores(count, kind)

    found = best(some, limit)

    least = np.sort(some)[::-1][min(limit, count) - 1]
    assert set(found) == set(np.flatnonzero(some >= least))


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75]), min_size=1, max_size=20), st.integers(1, 20))
def test_what_is_within_the_rounding_is_there_too(some: list[float], limit: int) -> None:
    found = best(np.array(some, dtype=np.float32), limit, rounding=0.25)

    least = sorted(some, reverse=True)[min(limit, len(some)) - 1]
    assert sorted(found) == [place for place, score in enumerate(some) if score >= least - 0.25]


def test_what_is_within_the_rounding_is_there_too_among_many() -> None:
    some = np.linspace(0.0, 1.0, 100_000, dtype=np.float32)

    assert len(best(some, 10, rounding=0.01)) == pytest.approx(1010, abs=2)


@pytest.mark.parametrize("limit", [0, -1])
def test_of_nothing_wanted_there_is_nothing(limit: int) -> None:
    assert len(best(np.ones(5, dtype=np.float32), limit)) == 0


def test_of_nothing_there_is_nothing() -> None:
    assert len(best(np.zeros(0, dtype=np.float32), 3)) == 0
