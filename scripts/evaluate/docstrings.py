"""Docstring to function: the words are taken out of the code, and then ask for what they described."""

import ast
import importlib.util
import random
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from offline_agent.retrieval.kinds import is_test
from scripts.evaluate.cases import Case, Round, Target
from scripts.evaluate.checkouts import fill

# What the static embedder was not trained on: see models/cards/pocket-static.md.
DEFAULT_PACKAGES = ("networkx", "rich", "httpx", "click")
_FEWEST_WORDS = 5
_LONGEST = 1500  # characters
_SEED = 7
_WORD = re.compile(r"[A-Za-z]{2,}")


class Described(NamedTuple):
    """A function's docstring, and the line of its `def` once all docstrings are gone."""

    words: str
    line: int


class Stripped(NamedTuple):
    text: str
    functions: tuple[Described, ...]


def rounds(packages: Sequence[str], queries: int) -> list[Round]:
    """A round for each package, with an equal share of the questions as far as it has so many. Raises SystemExit for a package that
    is not installed."""
    read = {name: {path: stripped(text) for path, text in sources(name).items()} for name in packages}
    every = {name: _cases(files) for name, files in read.items()}
    found: list[Round] = []
    # The smallest first: what it lacks, the others make up for.
    for place, name in enumerate(sorted(packages, key=lambda one: len(every[one]))):
        share = (queries - sum(len(one.cases) for one in found)) // (len(packages) - place)
        chosen = random.Random(_SEED).sample(every[name], min(share, len(every[name])))
        contents = {path: one.text.encode("utf-8", "surrogateescape") for path, one in read[name].items()}
        found.append(Round(name, tuple(chosen), partial(fill, files=contents)))
    return [one for one in found if one.cases]


def installed_defaults() -> list[str]:
    """The default packages that are here. Raises SystemExit where there is none."""
    found = [name for name in DEFAULT_PACKAGES if importlib.util.find_spec(name) is not None]
    if not found:
        raise SystemExit(f"None of {', '.join(DEFAULT_PACKAGES)} is installed. Name packages that are.")
    return found


def sources(package: str) -> dict[str, str]:
    """The Python files of an installed package by path, tests left out. Raises SystemExit where it is not installed."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise SystemExit(f"There is no package {package} here. Name packages as they are imported.")
    roots = [Path(place) for place in spec.submodule_search_locations or ()]
    files = [(root.parent, file) for root in roots for file in sorted(root.rglob("*.py"))]
    if not roots and spec.origin and spec.origin.endswith(".py"):
        files = [(Path(spec.origin).parent, Path(spec.origin))]
    named = ((file.relative_to(parent).as_posix(), file) for parent, file in files)
    return {path: file.read_text(encoding="utf-8", errors="replace") for path, file in named if not is_test(path)}


def stripped(text: str) -> Stripped:
    """Source code without any docstring, and which functions had one. What is no Python stays as it is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of code that is not ours
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return Stripped(text, ())
    lines: list[str | None] = list(text.split("\n"))
    functions = []
    for node, words in _documented(tree):
        first = node.body[0]
        start, end = first.lineno - 1, first.end_lineno or first.lineno
        lines[start:end] = [None] * (end - start)
        if len(node.body) == 1 and not isinstance(node, ast.Module):
            lines[start] = " " * first.col_offset + "..."
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.append((words, node.lineno - 1))
    kept = [Described(words, 1 + sum(line is not None for line in lines[:row])) for words, row in functions]
    return Stripped("\n".join(line for line in lines if line is not None), tuple(kept))


Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _documented(tree: ast.Module) -> Iterator[tuple[Documented, str]]:
    """What has a docstring on lines of its own."""
    for node in ast.walk(tree):
        if isinstance(node, Documented) and (words := ast.get_docstring(node)):
            first = node.body[0]
            alone = len(node.body) == 1 or node.body[1].lineno > (first.end_lineno or first.lineno)
            if alone and (isinstance(node, ast.Module) or first.lineno > node.lineno):
                yield node, words


def asked(words: str) -> str:
    """The first paragraph, on one line; empty where that is too short to ask for anything."""
    first = " ".join(re.split(r"\n\s*\n", words.strip(), maxsplit=1)[0].split())[:_LONGEST]
    return first if len(_WORD.findall(first)) >= _FEWEST_WORDS else ""


def _cases(files: Mapping[str, Stripped]) -> list[Case]:
    """Functions that share their words are each a right answer."""
    wanted: dict[str, list[Target]] = defaultdict(list)
    for path, one in files.items():
        for function in one.functions:
            if question := asked(function.words):
                wanted[question].append(Target(path, function.line))
    return [
        Case(f"{some[0].path}:{some[0].line}", question, tuple(some), every=False) for question, some in wanted.items()
    ]
