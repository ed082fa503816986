"""How the index grows with the repository: time, memory and disk at some sizes, and how exact the vector index is.

    index      words, symbols and static vectors from nothing until a first answer, as a one-shot command makes them; CPU seconds
    open       the same index once more, unchanged: CPU seconds until the first answer, with a look at every file
    save       milliseconds from the end of a write until the index worker finds the new symbol
    memory     of a process that searches with everything, torch and sentence-transformers as they are imported left out
    search     milliseconds, the question's embedding included, embedder warm
    exact      share of the exact ten nearest, by brute force over the same vectors, that are among the first ten of Chroma

Each step is a process of its own on an encrypted vault; imports are not counted. Repositories are made of the Python files of
installed packages, questions of what is in them: names, docstrings' first lines, and issues of 100 to 500 words with tracebacks, as
many of each. Vectors are the transformer's, by default of the first 32 tokens of each chunk, for whole chunks take an hour for
100,000. They are near to each other as vectors of real text are, which random ones are not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from scripts.bench import sources
from scripts.bench.corpus import make_repository

_SIZES = "1000,10000"
_FIRST_FILES = 300
_KINDS = ("identifier", "question", "issue", "mix")
_MB = 1_000_000


def run(step: str, place: Path, *options: str) -> dict[str, Any]:
    """What a step measured, in a process of its own with its home in `place`."""
    command = [sys.executable, "-m", "scripts.bench.steps", step, str(place), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, env={**os.environ, "HOME": str(place)}, check=False)
    if done.returncode:
        raise SystemExit(f"The step {step} failed; what it said is above.")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measure(place: Path, given: sources.Sources, chunks: int, options: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Every step for one repository of about `chunks` chunks, made in `place`."""
    sources.fill(place / "repository", given, chunks)
    measured = {}
    for step in ("index", "open", "embed", "search", "save"):
        print(f"{chunks:,} chunks: {step} ...", file=sys.stderr)
        measured[step] = run(step, place, *options)
    return measured


def show(sizes: Sequence[dict[str, dict[str, Any]]]) -> None:
    print(
        table(
            ("chunks", "files", "index CPU", "wall", "chunks/s", "open", "save p50", "p95", "memory MB", "disk MB"),
            [
                (
                    f"{one['index']['chunks']:,.0f}",
                    f"{one['index']['files']:,.0f}",
                    f"{one['index']['cpu']:.1f}",
                    f"{one['index']['wall']:.1f}",
                    f"{one['index']['chunks'] / one['index']['cpu']:,.0f}",
                    f"{one['open']['cpu']:.2f}",
                    f"{one['save']['p50']:.0f}",
                    f"{one['save']['p95']:.0f}",
                    f"{one['search']['memory'] / _MB:.0f}",
                    f"{one['search']['disk'] / _MB:.0f}",
                )
                for one in sizes
            ],
        )
    )
    print(
        table(
            ("search, p50 / p95", *_KINDS, "exact", "Chroma up after", "vectors/s"),
            [
                (
                    f"{one['index']['chunks']:,.0f}",
                    *(f"{one['search'][f'{kind} p50']:.1f} / {one['search'][f'{kind} p95']:.1f}" for kind in _KINDS),
                    f"{one['search']['exact']:.4f}",
                    f"{one['search']['rising']:.0f} s",
                    f"{one['embed']['vectors'] / one['embed']['wall']:.0f}",
                )
                for one in sizes
            ],
        )
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown, so that it can be pasted."""
    lines = [list(head), ["---:"] * len(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "".join(
        f"| {' | '.join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))} |\n" for line in lines
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", default=_SIZES, help=f"sizes, such as 1000,10000,100000 (default {_SIZES})")
    parser.add_argument("--from", dest="directory", type=Path, help="take Python files from below this directory")
    parser.add_argument("--vectors", choices=("short", "full"), default="short")
    parser.add_argument("--questions", default="60", help="of each kind (default 60)")
    arguments = parser.parse_args()
    given = sources.installed() if arguments.directory is None else sources.below(arguments.directory)
    options = ("--vectors", arguments.vectors, "--questions", arguments.questions)
    sizes = []
    for chunks in map(int, arguments.chunks.split(",")):
        with tempfile.TemporaryDirectory() as place:
            sizes.append(measure(Path(place), given, chunks, options))
    with tempfile.TemporaryDirectory() as place:
        make_repository(Path(place), _FIRST_FILES)
        first = run("index", Path(place))
    what = "the first 32 tokens of each chunk" if arguments.vectors == "short" else "whole chunks"
    print(f"The transformer's vectors are of {what}.\n")
    show(sizes)
    print(
        f"From nothing to the first search of {first['files']:.0f} files ({first['chunks']:,.0f} chunks): "
        f"{first['cpu']:.2f} s CPU, {first['wall']:.2f} s."
    )


if __name__ == "__main__":
    main()
