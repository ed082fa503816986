"""What watching costs: `python -m tests.guard.touch_bench REPOSITORY` prints milliseconds with and without a watcher.

REPOSITORY is copied to a temporary directory, so it is not changed. It needs git, and a directory tests/ for pytest.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from offline_agent.guard.touch import FileWatcher
from tests.guard.touch_driver import Recorder, run

CALLS = """
import os, sys, time
def timed(what, flags, count=4000):
    began = time.perf_counter()
    for _ in range(count):
        os.close(os.open("file", flags))
    print(what, (time.perf_counter() - began) / count * 1e6)
timed("read", os.O_RDONLY)
timed("write", os.O_WRONLY)
began = time.perf_counter()
for number in range(2000):
    os.close(os.open(f"new{number}", os.O_WRONLY | os.O_CREAT))
print("create", (time.perf_counter() - began) / 2000 * 1e6)
for number in range(2000):
    os.unlink(f"new{number}")
"""


def bare(command: list[str], directory: Path) -> str:
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False).stdout


def seen(command: list[str], directory: Path) -> str:
    recorder = Recorder(directory)
    return run(FileWatcher(directory, recorder.touch, recorder.touch_tree), command, directory)[1]


def calls(directory: Path) -> None:
    (directory / "file").write_text("x")
    for name, way in (("bare", bare), ("watched", seen)):
        lines = [line.split() for line in way([sys.executable, "-c", CALLS], directory).splitlines()]
        print(f"microseconds a call, {name:8}", *(f"{what} {float(cost):.1f}" for what, cost in lines))
    (directory / "file").unlink()


def compare(name: str, command: list[str], directory: Path, times: int = 5) -> None:
    """The launcher is a Python that starts; `true` is there so that it can be taken off."""
    figures = []
    for way in (bare, seen):
        took = []
        for _ in range(times):
            began = time.perf_counter()
            way(command, directory)
            took.append((time.perf_counter() - began) * 1e3)
        figures.append(statistics.median(took))
    print(f"{name:24} bare {figures[0]:8.1f} ms   watched {figures[1]:8.1f} ms")


def with_branches(repository: Path) -> None:
    """Commits all, and a branch in which every file that git knows is other."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(repository)]
    for command in ("init -q -b one", "add -A", "commit -qm one", "checkout -qb two"):
        subprocess.run([*git, *command.split()], check=True)
    for file in subprocess.run([*git, "ls-files"], check=True, capture_output=True, text=True).stdout.splitlines():
        path = repository / file
        path.write_bytes(path.read_bytes() + b"\n")
    subprocess.run([*git, "commit", "-qam", "two"], check=True)


def main(original: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        copy = Path(place).resolve() / "copy"
        shutil.copytree(original, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        with_branches(copy)
        calls(copy)
        compare("true", ["true"], copy)
        compare("git status", ["git", "status"], copy)
        compare("git checkout, two ways", ["sh", "-c", "git checkout -q one && git checkout -q two"], copy)
        compare("pytest", [sys.executable, "-m", "pytest", "-q", "tests"], copy, times=3)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
