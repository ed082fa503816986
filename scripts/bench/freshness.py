"""How soon a running index follows the files: milliseconds from the end of a write to the hit.

A save, then its new symbol is asked for until it is found; beside it the bare search on the same index. With `--generated FILES`
the repository is written here, five files a directory, instead of copied from the standard library.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from offline_agent.app import Program, end_index_workers, open_program
from offline_agent.protocols import Retriever
from offline_agent.settings import Settings, load_settings
from offline_agent.types import IndexPhase
from scripts.bench.corpus import make_repository

_PER_DIRECTORY = 5
_FAREWELL_SECONDS = 6.0


def generate(root: Path, files: int) -> Path:
    """A repository of small modules, no two alike."""
    for number in range(files):
        place = root / f"part{number // 1000:02}" / f"module{number // 50 % 20:02}" / f"d{number // _PER_DIRECTORY:05}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"file{number}.py").write_text(
            f"from part00 import base\n\n\ndef compute_{number}(value):\n    return base.scale(value, {number})\n"
        )
    (root / ".git").mkdir()
    return root


def seconds_until_found(index: Retriever, repository: Path, number: int) -> float:
    symbol = f"freshly_saved_{number}_{os.getpid()}"
    # Every third save is into a new directory.
    place = repository / (f"fresh_directory_{number}" if number % 3 == 0 else ".")
    place.mkdir(exist_ok=True)
    (place / f"fresh_{number % 10}.py").write_text(
        f'def {symbol}():\n    """Number {number}."""\n    return {number}\n'
    )
    saved = time.monotonic()
    while True:
        hits = index.search(symbol, 1).hits
        if hits and hits[0].chunk.symbol == symbol:
            return time.monotonic() - saved
        time.sleep(0.002)


def seconds_of_search(index: Retriever) -> float:
    began = time.monotonic()
    index.search("HTTPConnection", 1)
    return time.monotonic() - began


def wait_while(index: Retriever, *phases: IndexPhase) -> None:
    while index.status().phase in phases:
        time.sleep(0.02)


def wait_for_end(settings: Settings) -> None:
    """A worker ends a little after its session, and the next one waits for it."""
    while end_index_workers(settings):
        time.sleep(0.1)
    time.sleep(_FAREWELL_SECONDS)


def measure_saves(program: Program, repository: Path, saves: int) -> None:
    index = program.following_retriever()
    wait_while(index, IndexPhase.SCANNING)
    found, searched = [], []
    for number in range(saves):
        found.append(1000 * seconds_until_found(index, repository, number))
        searched.append(1000 * seconds_of_search(index))
        time.sleep(0.05)
    phase = index.status().phase
    p95 = statistics.quantiles(found, n=20)[-1]
    print(
        f"save to found: p50 {statistics.median(found):.0f} ms, p95 {p95:.0f} ms, worst {max(found):.0f} ms ({saves} saves)"
    )
    print(f"a search alone: p50 {statistics.median(searched):.1f} ms; the index was {phase} meanwhile")


def measure_opening(program: Program, title: str) -> None:
    """Until the first scan is done and its changes are stored: what follows, such as loading torch, nobody waits for."""
    began = time.monotonic()
    index = program.following_retriever()
    wait_while(index, IndexPhase.SCANNING)
    print(f"{title}: {time.monotonic() - began:.1f} s until read, {index.status().files:,} files")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--saves", type=int, default=60)
    parser.add_argument("--generated", type=int, default=0, metavar="FILES")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "repository"
        repository = generate(root, arguments.generated) if arguments.generated else make_repository(Path(scratch))
        settings = load_settings({"HOME": scratch})
        with open_program(settings, repository) as program:
            measure_opening(program, "a new index")
            measure_saves(program, repository, arguments.saves)
        wait_for_end(settings)
        with open_program(settings, repository) as program:
            measure_opening(program, "the same, unchanged")


if __name__ == "__main__":
    main()
