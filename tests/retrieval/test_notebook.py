"""Notebooks: each line of a cell's source has the row it stands on, however the JSON is laid out."""

import json

from hypothesis import given
from hypothesis import strategies as st

from offline_agent.retrieval.notebook import read

LINES = st.lists(st.text(alphabet='ab "\\{}[]:,\té', max_size=12), min_size=1, max_size=5)


@given(st.lists(st.tuples(st.booleans(), LINES), max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_lines_and_rows_are_those_of_the_cells(
    cells: list[tuple[bool, list[str]]], indent: int | None, one: bool
) -> None:
    data = {
        "metadata": {"source": ["no"], "kernelspec": {"language": "Julia"}},
        "cells": [
            {
                "outputs": [{"source": "no", "text": ["no"]}],
                "cell_type": "code" if code else "markdown",
                "source": "\n".join(lines) if one else [f"{line}\n" for line in lines[:-1]] + [lines[-1]],
            }
            for code, lines in cells
        ],
    }
    text = json.dumps(data, indent=indent)
    book = read(text)
    assert book is not None
    assert book.language == "julia"
    assert [cell.code for cell in book.cells] == [code for code, _ in cells]
    rows = text.split("\n")
    for cell, (_, lines) in zip(book.cells, cells, strict=True):
        assert "\n".join(book.lines[cell.start : cell.end]) == "\n".join(lines).removesuffix("\n") or lines[-1] == ""
        for line, row in zip(book.lines[cell.start : cell.end], book.rows[cell.start : cell.end], strict=True):
            assert json.dumps(line)[1:-1] in rows[row]


@given(
    st.recursive(
        st.none() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["cells", "source", "cell_type", "metadata"]), inner)
        ),
    )
)
def test_other_json_is_no_notebook_and_no_error(data: object) -> None:
    read(json.dumps(data))


def test_a_broken_notebook_and_a_deep_one_are_texts() -> None:
    assert read('{"cells": [') is None
    assert read('{"cells": ' + "[" * 100_000 + "]" * 100_000 + "}") is None


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    book = read('{"cells": [{"cell_type": "code", "source": "x = \'\\ud800\'"}]}')
    assert book is not None
    assert book.lines == ["x = '?'"]
    assert book.code() == "x = '?'"
