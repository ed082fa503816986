"""Giving memory back harms nobody, wherever it is tried; and what a worker holds does not grow with what it has seen."""

import subprocess
import sys
from pathlib import Path

import pytest

from offline_agent.retrieval.memory import trim

from .conftest import DECLARATIONS

ARENAS = """
import ctypes, sys, threading
from offline_agent.retrieval.memory import share_arena
if "shared" in sys.argv:
    share_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(4)
def take():
    together.wait()
    libc.malloc(ctypes.c_size_t(1000))
    together.wait()
threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""

LENGTHS = """
import sys
from pathlib import Path
from offline_agent.llm.catalogue import load_catalogue
from offline_agent.retrieval.embed import load
from offline_agent.settings import EmbedderSettings
embedder = load(load_catalogue(Path(sys.argv[1])).embedder("all-MiniLM-L6-v2"), EmbedderSettings())
resident = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * 4096
embedder.encode(["word " * 200] * 2)
before = resident()
for count in range(1, 65):
    embedder.encode(["word " * count] * 2)
print(resident() - before)
"""


def python(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=DECLARATIONS.parent).stdout


def test_what_is_in_use_stays() -> None:
    kept = [bytes([number % 256]) * 1000 for number in range(1000)]
    del kept[::2]
    trim()
    assert kept[3] == bytes([7]) * 1000


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has arenas")
def test_threads_share_an_arena(tmp_path: Path) -> None:
    python(ARENAS, str(tmp_path / "own"))
    python(ARENAS, str(tmp_path / "shared"), "shared")
    assert (tmp_path / "own").read_text().count("<heap ") > 1
    assert (tmp_path / "shared").read_text().count("<heap ") == 1


def test_texts_of_many_lengths_leave_nothing_behind() -> None:
    """Kernels of torch for each length were 2 MB."""
    assert int(python(LENGTHS, str(DECLARATIONS.parent / "models"))) < 60_000_000
