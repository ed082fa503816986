import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.tools.cut import around, brief, count, cut_line, fitting, head_and_tail, size


def test_a_long_text_keeps_its_head_and_tail_and_says_what_is_missing() -> None:
    text = "\n".join(f"line {number}" for number in range(1, 1001))
    rows = head_and_tail(text, 600, 500).split("\n")
    assert (rows[0], rows[-1]) == ("line 1", "line 1000")
    (note,) = [row for row in rows if row.startswith("[...")]
    place = rows.index(note)
    assert note == f"[... lines {place + 1}-{1000 - (len(rows) - place - 1)} of 1000 are left out]"


@given(st.lists(st.text("ab", max_size=30), max_size=60), st.integers(10, 400))
def test_what_is_shown_is_no_longer_than_it_may_be(lines: list[str], most: int) -> None:
    text = "\n".join(lines)
    shown = head_and_tail(text, most, 30)
    assert shown == text or len(shown) <= most + 2 * 31 + 80
    assert shown == text or "are left out]" in shown


def test_a_short_text_is_left_alone() -> None:
    assert head_and_tail("a\nb", 100, 100) == "a\nb"


@pytest.mark.parametrize(("number", "text"), [(1, "1 file"), (2, "2 files"), (0, "0 files"), (1200, "1,200 files")])
def test_counting(number: int, text: str) -> None:
    assert count(number, "file") == text


def test_sizes() -> None:
    assert [size(number) for number in (0, 999, 1200, 3_400_000)] == ["0 B", "999 B", "1.2 KB", "3.4 MB"]


@given(st.text("ab ", max_size=400), st.integers(0, 399))
def test_the_character_that_matched_is_seen(line: str, start: int) -> None:
    line = f"{line[:start]}!{line[start:]}"
    shown = around(line, line.index("!"), 50)
    assert "!" in shown
    assert len(shown) <= 50 + 8


def test_lines_are_cut_and_say_so() -> None:
    assert cut_line("x" * 30, 10) == "xxxxxxxxxx [... 20 more characters of this line]"
    assert brief("a\n  b " * 30, 20) == "a b a b a b a b  ..."
    assert fitting(["a" * 100], 10) == 1
