"""Numbers fit to be shown: seldom, smooth, and with an end in sight."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.library.progress import Meter, Pulled


class Clock:
    """Tells what it was set to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(total: int, steps: list[tuple[float, int]]) -> list[Pulled]:
    """What is told of steps, each with the seconds it took and the bytes it brought."""
    clock, told = Clock(), list[Pulled]()
    meter = Meter(total, told.append, clock)
    meter.enter("fetching")
    for seconds, count in steps:
        clock.now += seconds
        meter.move(count)
    return told


def test_an_even_rate_is_told_as_it_is() -> None:
    told = run(10_000, [(0.2, 200)] * 20)
    assert told[-1].rate == pytest.approx(1000)
    assert told[-1].seconds_left == pytest.approx(6)


def test_a_burst_does_not_make_the_rate_jump() -> None:
    told = run(10**9, [(0.1, 100)] * 50 + [(0.1, 10_000)])
    assert told[-1].rate < 6000


def test_without_a_total_no_end_is_told() -> None:
    assert {each.seconds_left for each in run(0, [(0.2, 200)] * 5)} == {None}


@given(st.lists(st.tuples(st.floats(0.0001, 0.3), st.integers(1, 10**7)), max_size=200))
def test_reports_are_a_tenth_of_a_second_apart(steps: list[tuple[float, int]]) -> None:
    told = run(10**12, steps)
    assert len(told) <= 2 + sum(seconds for seconds, _ in steps) / 0.1
    assert all(first.done <= second.done for first, second in pairwise(told))


def test_waiting_says_what_for() -> None:
    told = list[Pulled]()
    meter = Meter(10, told.append)
    meter.wait("the server has too much to do", 3.0)
    assert (told[0].phase, told[0].note, told[0].seconds_left) == ("waiting", "the server has too much to do", 3.0)
    meter.enter("fetching")
    assert told[-1].phase == "fetching"
