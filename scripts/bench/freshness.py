"""Save a file, then find its new symbol through a running index: milliseconds from the end of the write to the hit.

Against: the bare search on the same index, in the same run. The repository has about 300 files and its index is current.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from offline_agent.app import open_program
from offline_agent.protocols import Retriever
from offline_agent.settings import load_settings
from offline_agent.types import IndexPhase
from scripts.bench.corpus import make_repository


def seconds_until_found(index: Retriever, repository: Path, number: int) -> float:
    symbol = f"freshly_saved_{number}_{os.getpid()}"
    (repository / f"fresh_{number % 10}.py").write_text(
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--saves", type=int, default=60)
    saves = parser.parse_args().saves
    with tempfile.TemporaryDirectory() as scratch:
        repository = make_repository(Path(scratch))
        settings = load_settings({"HOME": scratch})
        with open_program(settings, repository) as program:
            index = program.following_retriever()
            while index.status().phase is IndexPhase.SCANNING:
                time.sleep(0.1)
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


if __name__ == "__main__":
    main()
