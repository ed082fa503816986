"""Jupyter notebooks (nbformat 4): the source of their cells, and where in the file each line of it stands. Outputs are left out."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_MAGIC = ("%", "!", "?")


class Cell(NamedTuple):
    """Lines from `start` up to but not including `end` of the notebook's lines."""

    start: int
    end: int
    code: bool


class Notebook(NamedTuple):
    """The lines of all cells, the row of the file that each is from (counted from 0), the cells, and the language of the code."""

    lines: list[str]
    rows: list[int]
    cells: list[Cell]
    language: str

    def code(self) -> str:
        """The code as one text with as many lines as there are in all; what is not code in it is blank."""
        lines = [""] * len(self.lines)
        for cell in self.cells:
            if cell.code:
                shown = self.lines[cell.start : cell.end]
                lines[cell.start : cell.end] = ["" if one.lstrip().startswith(_MAGIC) else one for one in shown]
        return "\n".join(lines)


def read(text: str) -> Notebook | None:
    """None for what is not a notebook, or a broken one: it is then a text like any other."""
    try:
        data = json.loads(text)
        cells = data["cells"]
        sources = [_strings(cell["source"]) for cell in cells]
        code = [cell["cell_type"] == "code" for cell in cells]
        language = _language(data.get("metadata", {}))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    rows = _source_rows(text)
    notebook = Notebook([], [], [], language)
    for number, (strings, is_code) in enumerate(zip(sources, code, strict=True)):
        start = len(notebook.lines)
        for line, row in _lines(strings, rows.get(number, [])):
            notebook.lines.append(line)
            notebook.rows.append(row)
        notebook.cells.append(Cell(start, len(notebook.lines), is_code))
    return notebook


def _strings(source: Any) -> list[str]:
    strings = [source] if isinstance(source, str) else source
    if not isinstance(strings, list) or not all(isinstance(one, str) for one in strings):
        raise TypeError
    # A lone surrogate, which JSON can write, is no text for a tokenizer or a database.
    return [one.encode("utf-8", "replace").decode() for one in strings]


def _language(metadata: dict[str, Any]) -> str:
    for place in ("language_info", "kernelspec"):
        about = metadata.get(place, {})
        name = about.get("name" if place == "language_info" else "language")
        if isinstance(name, str) and name:
            return name.lower()
    return "python"


def _lines(strings: list[str], rows: list[int]) -> Iterator[tuple[str, int]]:
    """nbformat writes one string a line, each with its line end; one string for all of them is allowed too."""
    line, begun = "", -1
    for number, string in enumerate(strings):
        row = rows[number] if number < len(rows) else 0
        begun = row if begun < 0 else begun
        *whole, rest = string.split("\n")
        for end in whole:
            yield line + end, begun
            line, begun = "", row
        line += rest
        if not line:
            begun = -1
    if line:
        yield line, begun


def _source_rows(text: str) -> dict[int, list[int]]:
    """For each cell, by its number, the rows of the strings that its source is made of. `text` is valid JSON."""
    found: dict[int, list[int]] = {}
    path: list[Any] = []  # of each container around: the key in an object, the number in an array
    row, at, is_key = 0, 0, False
    for token in _TOKEN.finditer(text):
        row += text.count("\n", at, token.start())
        at = token.start()
        mark = text[at]
        if mark in "{[":
            path.append("" if mark == "{" else 0)
            is_key = mark == "{"
        elif mark in "}]":
            path.pop()
            is_key = False
        elif mark == ",":
            is_key = isinstance(path[-1], str)
            path[-1] = path[-1] if is_key else path[-1] + 1
        elif mark == ":":
            is_key = False
        elif mark == '"' and is_key:
            path[-1] = json.loads(token[0])
        elif mark == '"' and len(path) in (3, 4) and path[0] == "cells" and path[2] == "source":
            found.setdefault(path[1], []).append(row)
    return found
