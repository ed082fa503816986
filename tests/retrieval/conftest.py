"""A repository, a vault and a place for tests; hashing in the embedder's stead, real SQLite, real Chroma, real inotify."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from offline_agent.protocols import Embedder, VectorIndex
from offline_agent.retrieval.client import RemoteIndex, try_connect
from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.hashing import HashingEmbedder
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.tokens import WordCounter
from offline_agent.retrieval.worker import Worker
from offline_agent.settings import IndexSettings
from offline_agent.vault.plain import PlainVault

DECLARATIONS = Path(__file__).parents[2] / "index"
QUICK = IndexSettings(quiet_seconds=0.02, patience_seconds=0.2, rescan_seconds=60.0)


T = TypeVar("T")


@dataclass(frozen=True)
class Repo:
    """A directory to write files into."""

    root: Path

    def write(self, path: str, content: str | bytes = "") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    root = tmp_path / "repo with spaces and ümlauts"
    root.mkdir()
    return Repo(root)


def place_for(
    root: Path,
    data: Path,
    load_embedder: Callable[[], Embedder] = HashingEmbedder,
    open_vectors: Callable[[str], VectorIndex] | None = None,
    settings: IndexSettings = QUICK,
) -> Place:
    vault = PlainVault(data)
    return Place(
        root=root,
        directory=vault.directory("index"),
        declarations=DECLARATIONS,
        open_database=lambda: vault.database("index/chunks"),
        load_counter=WordCounter,
        fingerprint=HashingEmbedder.fingerprint,
        load_embedder=load_embedder,
        open_vectors=open_vectors or (lambda _: ExactIndex()),
        index=settings,
        batch=8,
    )


@pytest.fixture
def place(repo: Repo, tmp_path: Path) -> Place:
    return place_for(repo.root, tmp_path / "data")


@contextmanager
def running(place: Place) -> Iterator[RemoteIndex]:
    """A worker on a thread of this process, and a client connected to it."""
    worker = Worker(place)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        remote = eventually(lambda: failures or try_connect(place.directory))
        if failures:
            raise failures[0]
        assert isinstance(remote, RemoteIndex)
        yield remote
        remote.close()
    finally:
        worker.stop()
        thread.join(10)
        assert not thread.is_alive()


def eventually(ask: Callable[[], T], seconds: float = 10.0) -> T:
    """The first answer that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.005)
    return answer
