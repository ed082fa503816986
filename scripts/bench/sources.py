"""Repositories of any size to measure on, made of source files that are on this machine anyway; and what people would ask them."""

import ast
import hashlib
import random
import shutil
import sysconfig
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

SMALLEST, LARGEST = 300, 100_000  # bytes
BYTES_A_CHUNK = 440  # of Python, as it is cut for a reader of 256 tokens
_LARGEST_SHARE = 0.3  # of a repository that one package may be
_ASKED_FILES = 400
_ISSUE_WORDS = (100, 500)
_ERRORS = ("TypeError: unsupported operand", "KeyError: 'name'", "ValueError: not enough values to unpack")


class Sources(NamedTuple):
    """Files below `root`."""

    root: Path
    files: Sequence[Path]


def installed() -> Sources:
    """The Python files of every installed package."""
    return below(Path(sysconfig.get_path("purelib")))


def below(root: Path) -> Sources:
    """The Python files below a directory, package by package: in an order that is always the same and that no name decides."""
    files = [path for path in root.rglob("*.py") if path.is_file() and SMALLEST <= path.stat().st_size <= LARGEST]
    return Sources(root, sorted(files, key=lambda path: (_mixed(_package(root, path)), path)))


def fill(repository: Path, sources: Sources, chunks: int) -> int:
    """Copies whole packages until they are worth about `chunks` chunks; returns how many files that were. Raises SystemExit where
    there are not enough."""
    room = chunks * BYTES_A_CHUNK
    most = int(room * _LARGEST_SHARE)
    count = 0
    for _, package in groupby(sources.files, lambda path: _package(sources.root, path)):
        taken = 0
        for file in package:
            size = file.stat().st_size
            if taken + size > most or size > room:
                break
            target = repository / file.relative_to(sources.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            taken, room, count = taken + size, room - size, count + 1
        if room < LARGEST // 10:
            break
    else:
        raise SystemExit(f"{sources.root} has not enough source for {chunks:,} chunks. Name another place with --from.")
    (repository / ".git").mkdir()
    return count


def questions(repository: Path, count: int) -> dict[str, list[str]]:
    """`count` of each kind: identifiers, questions that a docstring's first line answers, and issues with a traceback."""
    draw = random.Random(0)
    files = sorted(repository.rglob("*.py"))
    told = list(_told(repository, draw.sample(files, min(_ASKED_FILES, len(files)))))
    named = [one for one in told if len(one.name) > 3]
    asked = [one for one in told if len(one.first_line.split()) > 3]
    if not named or not asked:
        raise SystemExit("The repository has no docstrings to ask about. Name another place with --from.")
    return {
        "identifier": [draw.choice(named).name for _ in range(count)],
        "question": [draw.choice(asked).first_line for _ in range(count)],
        "issue": [_issue(asked, draw) for _ in range(count)],
    }


class _Told(NamedTuple):
    """A function or class with a docstring."""

    path: str
    name: str
    line: int
    docstring: str

    @property
    def first_line(self) -> str:
        return self.docstring.strip().partition("\n")[0]


def _told(repository: Path, files: Sequence[Path]) -> Iterator[_Told]:
    for file in files:
        try:
            module = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (docstring := ast.get_docstring(node)):
                yield _Told(str(file.relative_to(repository)), node.name, node.lineno, docstring)


def _issue(asked: Sequence[_Told], draw: random.Random) -> str:
    """A title, what somebody says about a few things that belong together, and where it went wrong."""
    about = draw.choice(asked)
    near = [one for one in asked if one.path == about.path]
    length = draw.randint(*_ISSUE_WORDS)
    words: list[str] = []
    while len(words) < length:
        words += f"{draw.choice(near).docstring}\n".split(" ")
    frames = [about, *draw.choices(near, k=2), *draw.choices(asked, k=3)]
    trace = "\n".join(
        f'  File "/home/me/project/{one.path}", line {one.line}, in {one.name}' for one in reversed(frames)
    )
    return (
        f"{about.first_line}\n\n{' '.join(words[:length])}\n\n"
        f"```\nTraceback (most recent call last):\n{trace}\n{draw.choice(_ERRORS)}\n```\n"
    )


def _package(root: Path, path: Path) -> str:
    return path.relative_to(root).parts[0]


def _mixed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
