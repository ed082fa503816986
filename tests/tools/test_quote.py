from hypothesis import given
from hypothesis import strategies as st

from offline_agent.tools.quote import nearest_lines

TEXT = """import os


def load(path):
    with open(path) as file:
        return file.read()


def save(path, text):
    pass
"""


def test_the_place_with_lines_in_common_is_quoted_with_its_numbers() -> None:
    near = nearest_lines(TEXT, "def load(name):\n    with open(path) as file:\n        return file.read(1)\n")
    assert near.splitlines()[2:5] == [
        "4: def load(path):",
        "5:     with open(path) as file:",
        "6:         return file.read()",
    ]


def test_one_line_that_is_like_the_longest_will_do() -> None:
    assert "9: def save(path, text):" in nearest_lines(TEXT, "def save(path, texts, mode):")


def test_nothing_is_quoted_that_is_not_near() -> None:
    assert nearest_lines(TEXT, "zzzzzzzzzz") == ""
    assert nearest_lines("", "a") == ""


def test_long_places_and_long_lines_are_cut() -> None:
    text = "\n".join(f"line {number} {'x' * 400}" for number in range(60))
    near = nearest_lines(text, text.replace("line 3 ", "row 3 "))
    assert len(near.splitlines()) == 16
    assert max(map(len, near.splitlines())) < 210


@given(st.text("ab \n", max_size=60), st.text("ab \n", max_size=30))
def test_what_is_quoted_is_in_the_text(text: str, old: str) -> None:
    lines = text.split("\n")
    for row in filter(None, nearest_lines(text, old).split("\n")):
        number, line = row.split(": ", 1)
        assert lines[int(number) - 1] == line
