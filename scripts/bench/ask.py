"""`offline-agent ask` on an indexed repository of about 300 files: wall seconds from process start to the first token.

Against: importing torch alone, in the same run.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.bench.corpus import make_repository

QUESTION = "Where is HTTPConnection defined?"


def first_token(repository: Path, home: Path) -> float:
    began = time.monotonic()
    command = [sys.executable, "-m", "offline_agent", "ask", "--repo", str(repository), QUESTION]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"HOME": str(home)}) as process:
        assert process.stdout is not None
        first = process.stdout.read(1)
        seconds = time.monotonic() - began
        assert first.strip(), "no answer"
        process.stdout.read()
    return seconds


def import_torch() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as scratch:
        repository = make_repository(Path(scratch))
        cold = first_token(repository, Path(scratch))  # indexes every file by its words
        import_torch()
        measured = [(first_token(repository, Path(scratch)), import_torch()) for _ in range(runs)]
    warm, torch = (statistics.median(column) for column in zip(*measured, strict=True))
    print(
        f"first token on an indexed repository: {warm:.2f} s wall (median of {runs}, worst {max(m[0] for m in measured):.2f})"
    )
    print(f"the very first question, indexing included: {cold:.2f} s")
    print(f"importing torch alone: {torch:.2f} s; ratio {warm / torch:.2f}")


if __name__ == "__main__":
    main()
