"""The worker from a client's side: freshness, sharing, and what happens when something dies."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offline_agent.errors import EmbedderError, EmbedderHashMismatch, IndexUnavailable, StorageError
from offline_agent.protocols import Database, Embedder, VectorIndex
from offline_agent.retrieval.client import RemoteIndex, start_worker, try_connect
from offline_agent.retrieval.hashing import HashingEmbedder
from offline_agent.retrieval.local import LocalIndex
from offline_agent.retrieval.lock import owned
from offline_agent.retrieval.messages import Failed, receive_reply, socket_address
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.serve import reported
from offline_agent.retrieval.worker import Worker
from offline_agent.types import IndexPhase

from .conftest import Repo, eventually, place_for, running

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOP = Path(__file__).parents[2]


def slow_worker(*arguments: Path) -> list[str]:
    return ["env", f"PYTHONPATH={TOP}", sys.executable, "-m", "tests.retrieval.slow_worker", *map(str, arguments)]


def finds(remote: RemoteIndex, symbol: str) -> bool:
    return any(hit.chunk.symbol == symbol for hit in remote.search(symbol, 3).hits)


def is_current(remote: RemoteIndex) -> bool:
    return remote.status().phase is IndexPhase.CURRENT


def test_what_is_saved_is_found(repo: Repo, place: Place) -> None:
    repo.write("a.py", "def there_before(): pass\n")
    with running(place) as remote:
        assert remote.wait_current(10)
        assert finds(remote, "there_before")
        latencies = []
        for number in range(20):
            started = time.monotonic()
            repo.write(f"sub{number % 3}/new{number}.py", f"def saved_{number}(): pass\n")
            eventually(lambda number=number: finds(remote, f"saved_{number}"))
            latencies.append(time.monotonic() - started)
        assert sorted(latencies)[18] < 1.0
        (repo.root / "a.py").unlink()
        eventually(lambda: not finds(remote, "there_before"))


def test_moves_ignore_files_and_deleted_directories_are_followed(repo: Repo, place: Place) -> None:
    repo.write("pkg/inner/a.py", "def moving(): pass\n")
    repo.write("notes.txt", "gone soon\n")
    with running(place) as remote:
        remote.wait_current(10)
        (repo.root / "pkg").rename(repo.root / "renamed")
        eventually(lambda: [hit.chunk.path for hit in remote.search("moving", 1).hits] == ["renamed/inner/a.py"])
        repo.write(".gitignore", "*.txt\n")
        eventually(lambda: "notes.txt" not in {hit.chunk.path for hit in remote.search("gone soon", 5).hits})
        (repo.root / "renamed" / "inner" / "a.py").unlink()
        (repo.root / "renamed" / "inner").rmdir()
        eventually(lambda: not finds(remote, "moving"))


def test_a_wait_covers_what_was_saved_just_before(repo: Repo, place: Place) -> None:
    with running(place) as remote:
        for number in range(10):
            repo.write("a.py", f"def version_{number}(): pass\n")
            assert remote.wait_current(10)
            assert finds(remote, f"version_{number}")


def test_vectors_follow_and_the_status_counts_them(repo: Repo, place: Place) -> None:
    for number in range(30):
        repo.write(f"f{number}.py", f"def function_{number}(): pass\n")
    repo.write("image.png", b"\0")
    with running(place) as remote:
        eventually(lambda: is_current(remote))
        status = remote.status()
        assert (status.files, status.files_total, status.chunks, status.vectors) == (30, 31, 30, 30)
        assert [one.path for one in status.skipped] == ["image.png"]
        assert status.problem == ""
        result = remote.search("function_7", 3)
        assert result.dense
        assert set(result.hits[0].found_by) == {"symbol", "words", "file", "dense"}


def test_searches_are_answered_while_the_embedder_loads(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "def early(): pass\n")
    release = threading.Event()

    def slow() -> Embedder:
        release.wait(10)
        return HashingEmbedder()

    with running(place_for(repo.root, tmp_path / "data", slow)) as remote:
        remote.wait_current(10)
        eventually(lambda: remote.status().phase is IndexPhase.LOADING)
        result = remote.search("early", 1)
        assert result.hits
        assert not result.dense
        release.set()
        eventually(lambda: remote.search("early", 1).dense)


def test_a_broken_embedder_leaves_lexical_search_and_says_why(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "def still_found(): pass\n")

    def broken() -> Embedder:
        raise EmbedderHashMismatch("The embedder file x is not the pinned one.")

    with running(place_for(repo.root, tmp_path / "data", broken)) as remote:
        eventually(lambda: remote.status().phase is IndexPhase.LEXICAL_ONLY)
        assert "not the pinned one" in remote.status().problem
        assert finds(remote, "still_found")
        repo.write("b.py", "def and_followed(): pass\n")
        eventually(lambda: finds(remote, "and_followed"))


def test_a_second_owner_is_refused_and_reads_instead(repo: Repo, place: Place) -> None:
    repo.write("a.py", "def shared(): pass\n")
    with running(place) as remote:
        remote.wait_current(10)
        with pytest.raises(IndexUnavailable, match="Another process"):
            Worker(place).run()
        with closing(LocalIndex(place)) as local:
            assert not local.refresh()
            assert "Another process" in local.status().problem
            assert local.search("shared", 1).hits


def test_a_full_disk_is_told_and_what_was_stored_stays(repo: Repo, place: Place) -> None:
    def small() -> Database:
        database = place.open_database()
        [(pages,)] = database.execute("PRAGMA max_page_count = 60")
        assert pages == 60
        return database

    repo.write("a.py", "def stored_before(): pass\n")
    with running(dataclasses.replace(place, open_database=small)) as remote:
        remote.wait_current(10)
        for number in range(10):
            repo.write(f"big{number}.py", "".join(f"def large_{number}_{line}(): pass\n" for line in range(200)))
        eventually(lambda: "full" in remote.status().problem)
        assert finds(remote, "stored_before")


def test_a_failing_query_embedding_is_answered_lexically(repo: Repo, tmp_path: Path) -> None:
    class Failing(HashingEmbedder):
        def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
            if texts[0] == "found anyway":
                raise EmbedderError("Embedding failed: no memory.")
            return super().encode(texts)

    repo.write("a.py", "def anyway(): pass\n")
    with running(place_for(repo.root, tmp_path / "data", Failing)) as remote:
        eventually(lambda: is_current(remote))
        result = remote.search("found anyway", 1)
        assert result.hits
        assert not result.dense
        assert "no memory" in remote.status().problem


def test_a_graph_that_fails_leaves_exact_search_and_is_told(repo: Repo, tmp_path: Path) -> None:
    def broken(_: str) -> VectorIndex:
        raise StorageError("ChromaDB cannot be loaded (no such module). Run scripts/setup.")

    repo.write("a.py", "def still_near(): pass\n")
    with running(place_for(repo.root, tmp_path / "data", open_vectors=broken)) as remote:
        eventually(lambda: "cannot be loaded" in remote.status().problem)
        assert is_current(remote)
        assert "dense" in remote.search("still_near", 1).hits[0].found_by


def test_phases_problems_files_and_searches_are_logged(
    repo: Repo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Embedder:
        raise EmbedderError("The embedder cannot be loaded.")

    caplog.set_level("DEBUG", "offline_agent")
    repo.write("a.py", "def logged(): pass\n")
    with running(place_for(repo.root, tmp_path / "data", broken)) as remote:
        eventually(lambda: remote.status().phase is IndexPhase.LEXICAL_ONLY)
        remote.search("logged", 1)
    said = {(record.levelname, record.getMessage().partition(":")[0]) for record in caplog.records}
    assert {("INFO", "scan"), ("INFO", "phase"), ("WARNING", "embedder"), ("DEBUG", "indexed a.py")} <= said
    assert ("DEBUG", "search 'logged'") in said


def test_what_ends_a_thread_unexpectedly_is_logged_and_raised(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        reported(fail)()
    assert caplog.records[-1].exc_info


def test_two_clients_share_a_worker_in_a_deep_directory(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "def shared(): pass\n")
    deep = place_for(repo.root, tmp_path / ("d" * 100) / ("e" * 100))
    with running(deep) as remote:
        other = try_connect(deep.directory)
        assert other is not None
        remote.wait_current(10)
        assert finds(other, "shared")
        other.close()
        assert finds(remote, "shared")


def test_a_client_that_talks_nonsense_harms_only_itself(repo: Repo, place: Place) -> None:
    with running(place) as remote:
        channel = socket.socket(socket.AF_UNIX)
        with socket_address(place.directory) as address:
            channel.connect(address)
        with Connection(channel.detach()) as connection:
            for nonsense in (
                b"",
                b"\x80\x04pickle",
                b'{"type": "search"}',
                b'{"type": "search", "query": 3, "limit": "x"}',
            ):
                connection.send_bytes(nonsense)
                assert isinstance(receive_reply(connection), Failed)
        assert remote.status().problem == ""


def test_nobody_listens_where_no_worker_runs(place: Place) -> None:
    assert try_connect(place.directory) is None
    (place.directory / "worker.sock").touch()
    assert try_connect(place.directory) is None
    with running(place) as remote:
        assert remote.wait_current(10)


def test_a_shutdown_is_answered_and_then_nobody_answers(repo: Repo, place: Place) -> None:
    with running(place) as remote:
        remote.shutdown()
        eventually(lambda: try_connect(place.directory) is None)
        eventually(lambda: _gone(remote))


def _gone(remote: RemoteIndex) -> bool:
    try:
        remote.status()
    except IndexUnavailable:
        return True
    return False


def test_one_shot_use_needs_no_worker(repo: Repo, place: Place) -> None:
    repo.write("a.py", "def found(): pass\n")
    with closing(LocalIndex(place)) as local:
        assert local.refresh()
        assert local.search("found", 1).hits[0].chunk.location == "a.py:1-1"
        assert local.status().phase is IndexPhase.LEXICAL_ONLY
    with owned(place.directory):
        pass  # the lock was given back


def test_a_killed_worker_goes_on_where_it_stopped(repo: Repo, tmp_path: Path) -> None:
    for number in range(200):
        repo.write(f"f{number:03}.py", f"def function_{number}(): pass\n")
    data, log = tmp_path / "data", tmp_path / "log"
    place = place_for(repo.root, data)
    command = slow_worker(repo.root, data, log)

    process, remote = start_worker(command, place.directory)
    eventually(lambda: remote.status().vectors >= 20, 30)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(IndexUnavailable, match="ended"):
        remote.status()
    before = log.read_text().count("\n")
    assert before < 200

    process, remote = start_worker(command, place.directory)
    eventually(lambda: is_current(remote), 30)
    assert remote.status().vectors == 200
    texts = Counter(log.read_text().splitlines())
    assert len(texts) == 200
    assert sum(texts.values()) - 200 <= 8  # the one batch that was under way
    assert finds(remote, "function_7")

    assert process.stdin is not None
    process.stdin.close()  # whoever started it is gone
    assert process.wait(10) == 0
    assert not list(data.rglob("chroma*"))


def test_a_worker_that_cannot_start_is_an_error(place: Place) -> None:
    with pytest.raises(IndexUnavailable, match="did not start"):
        start_worker([sys.executable, "-c", "raise SystemExit(3)"], place.directory)


def test_starting_two_at_once_gives_both_a_client(repo: Repo, tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    place = place_for(repo.root, data)
    command = slow_worker(repo.root, data, log)
    results: list[tuple[subprocess.Popen[bytes], RemoteIndex]] = []

    def start() -> None:
        results.append(start_worker(command, place.directory))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert all(remote.wait_current(10) for _, remote in results)
    for process, remote in results:
        remote.close()
        assert process.stdin is not None
        process.stdin.close()
    for process, _ in results:
        process.wait(10)


def test_a_worker_outlines_the_repository(repo: Repo, place: Place) -> None:
    repo.write("base.py", "def shared_helper():\n    pass\n")
    repo.write("user.py", "from base import shared_helper\n\n\ndef use():\n    shared_helper()\n")
    with running(place) as remote:
        assert remote.wait_current(10)
        outline = remote.repository_map(100)
        assert [entry.path for entry in outline.entries] == ["base.py", "user.py"]
        assert outline.files == 2
        assert [entry.path for entry in remote.repository_map(11, focus=["user.py"]).entries] == ["user.py"]
        assert remote.repository_map(100, query="shared_helper").tokens <= 100
