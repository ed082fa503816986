"""Each case is a file: a text, what is to be replaced by what, and what comes of it."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.tools.replace import Refused, replace

CASES = sorted((Path(__file__).parent / "cases" / "replace").glob("*.txt"))
lines = st.lists(st.text("ab: 1\t", max_size=6), max_size=8)


def parts_of(case: Path) -> dict[str, str]:
    """The sections of a case: all but the text end without a line feed."""
    found = re.split(r"^=== (\w+)\n", case.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: body.removesuffix("\n") for name, body in zip(found[1::2], found[2::2], strict=True)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path) -> None:
    parts = parts_of(case)
    if "refused" in parts:
        with pytest.raises(Refused, match=f"^{re.escape(parts['refused'])}$"):
            replace(f"{parts['text']}\n", parts["old"], parts["new"])
    else:
        done = replace(f"{parts['text']}\n", parts["old"], parts["new"])
        assert done.text == f"{parts['after']}\n"
        assert done.repaired == parts.get("repaired", "")


@pytest.mark.parametrize(
    ("old", "new", "after"),
    [("a \nb\n", "c\n", "x\nc"), ("a \nb", "c", "x\nc"), ("a \nb\n", "c", "x\nc")],
)
def test_a_last_line_without_a_line_feed_stays_without(old: str, new: str, after: str) -> None:
    assert replace("x\na\nb", old, new).text == after


def test_a_line_feed_that_is_to_go_goes() -> None:
    assert replace("a\t\nb\n", "a\n", "c").text == "cb\n"


@given(lines, lines, lines)
def test_what_stands_there_once_is_replaced_and_nothing_else(
    before: list[str], old: list[str], after: list[str]
) -> None:
    head, tail = ("".join(f"{line}\n" for line in part) for part in (before, after))
    middle = "".join(f"{line}!\n" for line in old) or "!"
    assert replace(head + middle + tail, middle, "new").text == head + "new" + tail


@given(lines, lines, lines)
def test_a_repair_changes_one_run_of_lines(text: list[str], old: list[str], new: list[str]) -> None:
    """Whatever is repaired, what is before and behind the place is as it was."""
    whole = "\n".join(text)
    try:
        done = replace(whole, "\n".join(old), "\n".join(new))
    except Refused:
        return
    before, after = whole.split("\n"), done.text.split("\n")
    same_head = next(
        (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    touched = len(before) - same_head
    same_tail = 0
    while same_tail < min(touched, len(after) - same_head) and before[-1 - same_tail] == after[-1 - same_tail]:
        same_tail += 1
    assert touched - same_tail <= len(old) + 1


def test_many_lines_of_the_same_are_not_compared_for_ever() -> None:
    with pytest.raises(Refused, match="stands there 4951 times"):
        replace("x \n" * 5000, "x\n" * 50, "y\n")
