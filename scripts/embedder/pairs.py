"""Questions with the code they are about, as they lie on disk: one JSON object a line."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from offline_agent.types import Chunk

from . import commits, documented
from .git import Clone
from .sources import Package

_MOST_PER_PACKAGE = 2_500

Kind = Literal["docstring", "commit"]


@dataclass(frozen=True)
class Pair:
    """`queries` are ways to ask for the same thing, `codes` embedded texts of chunks that each answer it, `paths` their files.

    `names` are what the code is called, for leaving it out. All pairs of one `group` come from one repository or package.
    """

    group: str
    kind: Kind
    queries: list[str]
    codes: list[str]
    paths: list[str]
    names: list[str]


def of_package(package: Package) -> Iterator[Pair]:
    for number, (asked, chunks) in enumerate(documented.of_package(package)):
        if number == _MOST_PER_PACKAGE:
            break
        yield _pair(package.name, "docstring", asked, chunks)


def of_clone(clone: Clone, most_commits: int, most_files: int = 500) -> Iterator[Pair]:
    for asked, chunks in documented.of_clone(clone, most_files):
        yield _pair(clone.name, "docstring", asked, chunks)
    for asked, chunks in commits.of_clone(clone, most_commits):
        yield _pair(clone.name, "commit", asked, chunks)


def _pair(group: str, kind: Kind, asked: list[str], chunks: tuple[Chunk, ...]) -> Pair:
    texts = [chunk.embedded_text for chunk in chunks]
    return Pair(
        group,
        kind,
        asked,
        texts,
        [chunk.path for chunk in chunks],
        [chunk.symbol.rpartition(".")[2] for chunk in chunks],
    )


def nameless(code: str, name: str) -> str:
    """A chunk without its own name."""
    return re.sub(rf"\b{re.escape(name)}\b", "", code) if len(name) > 2 else code


def write(path: Path, pairs: Iterable[Pair]) -> int:
    """Replaces the file when all is there; the number of pairs."""
    partial = path.with_suffix(".partial")
    count = 0
    with partial.open("w", encoding="utf-8") as file:
        for pair in pairs:
            file.write(json.dumps(asdict(pair), ensure_ascii=True) + "\n")
            count += 1
    partial.replace(path)
    return count


def read(folder: Path) -> list[Pair]:
    """All pairs, in the order of the files' names; a question that occurs twice in a group is kept once."""
    found, seen = [], set()
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                pair = Pair(**json.loads(line))
                identity = (pair.group, pair.queries[-1], pair.paths[0])
                if identity not in seen:
                    seen.add(identity)
                    found.append(pair)
    return found
