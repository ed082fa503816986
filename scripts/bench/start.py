"""First prompt of `offline-agent chat`: CPU seconds of the front process until the prompt is on the screen.

Against: `python -c "import prompt_toolkit, pydantic"`, the least that any such program pays, in the same run.
"""

import argparse
import fcntl
import os
import pty
import re
import resource
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from scripts.bench.corpus import make_repository

PROMPT = re.compile(rb"Ctrl-D leaves\..*\x1b\[0m>", re.DOTALL)  # as prompt_toolkit draws it
HEAVY = ("torch", "chromadb", "llama_cpp", "sentence_transformers")


def first_prompt(repository: Path, home: Path) -> tuple[float, float]:
    """CPU and wall seconds from exec to the prompt."""
    began = time.monotonic()
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(HOME=str(home), TERM="xterm-256color")
        os.execv(sys.executable, [sys.executable, "-m", "offline_agent", "chat", "--repo", str(repository)])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    screen = b""
    while not PROMPT.search(screen):
        screen += os.read(terminal, 65536)
    wall = time.monotonic() - began
    ticks = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
    libraries = Path(f"/proc/{child}/maps").read_text()
    assert not any(f"/{name}/" in libraries for name in HEAVY), "a heavy library is in the front process"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(terminal)
    return cpu, wall


def bare() -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import prompt_toolkit, pydantic"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as scratch:
        repository = make_repository(Path(scratch), files=30)
        measured = [(*first_prompt(repository, Path(scratch)), bare()) for _ in range(runs + 1)][1:]
    cpu, wall, least = (statistics.median(column) for column in zip(*measured, strict=True))
    print(f"first prompt: {cpu:.2f} s CPU, {wall:.2f} s wall (median of {runs})")
    print(f"importing prompt_toolkit and pydantic alone: {least:.2f} s CPU; ratio {cpu / least:.2f}")
    print("torch, chromadb, llama_cpp and sentence_transformers are not loaded in the front process")


if __name__ == "__main__":
    main()
