"""How far something is, in a line that fits."""

import io
from contextlib import redirect_stderr

from hypothesis import given
from hypothesis import strategies as st

from offline_agent.cli.meter import duration, line, meter


def test_a_line_has_a_bar_and_what_is_left() -> None:
    said = line("qwen", 1_500_000_000, 3_000_000_000, 50_000_000.0, 30.0, "", 100)
    assert said == "qwen  [##############...............]   50 %  1.5 GB of 3.0 GB  50.0 MB/s  30 s left"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_leaves_room_for_a_key_and_wipes_the_longer_one_before() -> None:
    with redirect_stderr(Terminal()) as shown, meter("x") as made:
        made.show(1000, 0, note="a long note")
        made.show(1000, 0)
        made.show(2000, 0)
    assert shown.getvalue().split("\r")[1:4] == ["x  1 kB  a long note", "x  1 kB             ", "x  2 kB"]


def test_what_is_not_known_is_left_out() -> None:
    assert line("x", 1000, 0, 0.0, None, "", 80) == "x  1 kB"
    assert line("x", 0, 10_000, 0.0, None, "waiting for the server", 80).endswith("waiting for the server")


def test_times_are_in_their_largest_units() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.4, 60, 3725)] == ["0 s", "59 s", "1 min 0 s", "1 h 2 min"]


@given(
    title=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=60),
    done=st.integers(0, 10**13),
    total=st.integers(0, 10**13),
    rate=st.floats(0, 1e12),
    left=st.none() | st.floats(0, 1e9),
    columns=st.integers(1, 200),
)
def test_no_line_is_wider_than_the_terminal(
    title: str, done: int, total: int, rate: float, left: float | None, columns: int
) -> None:
    assert len(line(title, min(done, total or done), total, rate, left, "", columns)) <= columns
