"""Pulling a large file from a hub on loopback: the time it takes, beside curl's for the same file, and the most memory.

The hub is tests/library/hub_server.py in a process of its own, as it is for curl; the two take turns. Ours is asked for a plan,
fetches, hashes, and makes the model last on the disk (fsync), in a fresh process each time; curl hashes nothing and leaves the rest
to the kernel. `pull` is what comes after the plan, `in all` the whole process, with the start of Python and the hub's client.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from offline_agent.library.pull import Puller
from offline_agent.library.store import Library
from offline_agent.settings import HubSettings

MEGABYTE = 1_000_000
REPOSITORY = "bench/model"
FILE = "model.gguf"


@contextmanager
def hub(directory: Path, rate: int = 0) -> Iterator[str]:
    """The address of a hub over `directory`, in a process of its own."""
    command = [sys.executable, "-m", "tests.library.hub_server", str(directory), "--rate", str(rate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[0]
    finally:
        process.kill()
        process.wait()


def write_model(directory: Path, size: int) -> Path:
    """A file of random bytes that begins as a model does."""
    path = directory / REPOSITORY / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(b"GGUF")
        for left in range(size - 4, 0, -MEGABYTE):
            file.write(os.urandom(min(left, MEGABYTE)))
    return path


def pull(endpoint: str, directory: Path) -> None:
    """In a process of its own: pulls, and prints seconds and the most memory in bytes."""
    puller = Puller(Library(directory, lambda kind, path: None), HubSettings(endpoint=endpoint), lambda: None)
    plan = puller.plan(f"hub:{REPOSITORY}/{FILE}")
    began = time.perf_counter()
    puller.pull(plan)
    seconds = time.perf_counter() - began
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"seconds": seconds, "peak": int(peak.split()[1]) * 1024}))


def ours(endpoint: str, place: Path) -> tuple[float, float, int]:
    """Seconds of the pull and in all, and bytes of memory."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "scripts.bench.pull", "--one", endpoint, str(place)]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    elapsed = time.perf_counter() - began
    shutil.rmtree(place)
    return told["seconds"], elapsed, told["peak"]


def curl(endpoint: str, place: Path) -> float:
    began = time.perf_counter()
    url = f"{endpoint}/{REPOSITORY}/resolve/main/{FILE}"
    subprocess.run([shutil.which("curl") or "curl", "--silent", "--fail", "-L", "-o", str(place), url], check=True)
    elapsed = time.perf_counter() - began
    place.unlink()
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, help="where the files go; /dev/shm leaves the disk out of it")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        pull(arguments.one[0], Path(arguments.one[1]))
        return
    with tempfile.TemporaryDirectory(dir=arguments.directory) as made:
        top = Path(made)
        for megabytes in arguments.megabytes:
            write_model(top / "hub", megabytes * MEGABYTE)
            with hub(top / "hub") as endpoint:
                curl(endpoint, top / "curl")  # the first round warms both up
                ours(endpoint, top / "models")
                theirs, own = [], []
                for _ in range(arguments.rounds):
                    theirs.append(curl(endpoint, top / "curl"))
                    own.append(ours(endpoint, top / "models"))
            alone, whole, peak = (statistics.median(column) for column in zip(*own, strict=True))
            base = statistics.median(theirs)
            print(
                f"{megabytes:4} MB: curl {base:.2f} s; pull {alone:.2f} s, {alone / base:.2f} times; "
                f"in all {whole:.2f} s, {whole / base:.2f} times; {peak / 1e6:.0f} MB of memory",
                flush=True,
            )


if __name__ == "__main__":
    main()
