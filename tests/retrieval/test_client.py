"""Starting a worker: what it is told first, what it says last, and no file for either."""

import sys
from pathlib import Path

import pytest

from offline_agent.errors import IndexUnavailable
from offline_agent.retrieval.client import start_worker
from offline_agent.retrieval.process import IndexProcess
from offline_agent.types import IndexPhase

from .conftest import Repo, place_for
from .test_worker import TOP, slow_worker

GREETING = bytes(range(32))
SERVE = """
import os, sys
from pathlib import Path
sys.path.insert(0, {top!r})
from tests.retrieval.conftest import place_for
from offline_agent.retrieval.worker import Worker
greeting = sys.stdin.buffer.read(32)
assert greeting == bytes(range(32)), greeting
Worker(place_for(Path(sys.argv[1]), Path(sys.argv[2]))).run(lifeline=sys.stdin.fileno())
"""


def command(repo: Repo, data: Path) -> list[str]:
    return [sys.executable, "-c", SERVE.format(top=str(TOP)), str(repo.root), str(data)]


def test_a_greeting_comes_first_and_the_lifeline_holds(repo: Repo, tmp_path: Path) -> None:
    place = place_for(repo.root, tmp_path / "data")
    process, remote = start_worker(command(repo, tmp_path / "data"), place.directory, GREETING)
    assert remote.status().phase in IndexPhase
    remote.close()
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0


def test_it_is_given_again_when_a_worker_is_started_again(repo: Repo, tmp_path: Path) -> None:
    place = place_for(repo.root, tmp_path / "data")
    index = IndexProcess(command(repo, tmp_path / "data"), place.directory, GREETING)
    index.status()
    assert index._process is not None
    index._process.kill()
    index._process.wait()
    index.status()
    index.close()


def test_a_worker_that_reads_no_greeting_runs(repo: Repo, tmp_path: Path) -> None:
    place = place_for(repo.root, tmp_path / "data")
    process, remote = start_worker(
        slow_worker(repo.root, tmp_path / "data", tmp_path / "log"), place.directory, GREETING
    )
    assert remote.wait_current(10)
    remote.close()
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0


def test_a_greeting_to_nobody_is_no_error(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match="it said nothing"):
        start_worker(
            ["true"], tmp_path, bytes(1_000_000)
        )  # more than a pipe holds: the end of its reader is met for sure


def test_its_last_line_is_told_and_was_in_no_file(tmp_path: Path) -> None:
    """A worker that looks where its own standard error goes."""
    look = "import os; raise SystemExit('offline-agent: ' + os.readlink('/proc/self/fd/2'))"
    with pytest.raises(IndexUnavailable, match="did not start: /memfd:"):
        start_worker([sys.executable, "-c", look], tmp_path, GREETING)
    assert list(tmp_path.iterdir()) == []
