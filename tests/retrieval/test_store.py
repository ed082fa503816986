"""The store, and the indexer that brings it in step with files."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from offline_agent.errors import VaultTooNew
from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.hashing import HashingEmbedder
from offline_agent.retrieval.indexer import Indexer, embed_pending, reconcile
from offline_agent.retrieval.parsed import Parsed
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.store import Store
from offline_agent.types import Chunk, FileState

from .conftest import Repo

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = HashingEmbedder.fingerprint


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = place.store()
    yield store
    store.close()


@pytest.fixture
def indexer(place: Place, store: Store) -> Indexer:
    return place.indexer(store)


def chunks_named(store: Store, name: str) -> list[Chunk]:
    """The chunks of every definition of that name."""
    found = store.definitions_named([name])
    numbers = store.chunks_within([(one.path, one.start_line, one.end_line) for one in found])
    return list(store.chunks([number for some in numbers for number in some]).values())


def embed(store: Store, index: ExactIndex) -> bool:
    return embed_pending(store, HashingEmbedder(), index, 8, lambda: False)


class CountingEmbedder(HashingEmbedder):
    """Remembers what it was asked to embed."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        self.seen += texts
        return super().encode(texts)


def test_scan_finds_what_changed_while_nobody_watched(repo: Repo, store: Store, indexer: Indexer) -> None:
    for name in ("same.py", "changed.py", "gone.py"):
        repo.write(name, f"def {name[:-3]}(): pass\n")
    indexer.refresh()
    assert indexer.scan() == []
    repo.write("changed.py", "def changed_much(): pass\n")
    repo.write("new.py", "def new(): pass\n")
    (repo.root / "gone.py").unlink()
    assert {(change.path, change.kind.value) for change in indexer.scan()} == {
        ("changed.py", "written"),
        ("new.py", "written"),
        ("gone.py", "deleted"),
    }
    indexer.refresh()
    assert set(store.known()) == {"same.py", "changed.py", "new.py"}
    assert not chunks_named(store, "gone")
    assert chunks_named(store, "changed_much")


def test_a_touched_file_is_read_but_not_chunked_again(repo: Repo, store: Store, indexer: Indexer) -> None:
    file = repo.write("a.py", "def a(): pass\n")
    indexer.refresh()
    [before] = chunks_named(store, "a")
    os.utime(file, ns=(1, 1))
    assert [change.path for change in indexer.scan()] == ["a.py"]
    indexer.refresh()
    assert chunks_named(store, "a") == [before]
    assert store.known()["a.py"].mtime_ns == 1
    assert indexer.scan() == []


def test_a_change_that_size_and_time_hide_is_seen_when_an_event_tells(
    repo: Repo, store: Store, indexer: Indexer
) -> None:
    file = repo.write("a.py", "def one(): pass\n")
    os.utime(file, ns=(5, 5))
    changes = indexer.scan()
    indexer.apply(changes)
    repo.write("a.py", "def two(): pass\n")
    os.utime(file, ns=(5, 5))
    indexer.apply(changes)
    assert chunks_named(store, "two")
    assert not chunks_named(store, "one")


def test_skipped_files_are_remembered_and_not_read_again(repo: Repo, store: Store, indexer: Indexer) -> None:
    repo.write("image.png", b"\x89PNG\0")
    repo.write("huge.py", b"x" * 1_000_001)
    repo.write("nested/.git/HEAD")
    repo.write("fine.py", "x = 1\n")
    indexer.refresh()
    assert {one.path: one.reason for one in store.skipped(10)} == {
        "image.png": "binary",
        "huge.py": "larger than 1,000,000 bytes",
        "nested": "another git repository",
    }
    assert indexer.scan() == []
    assert indexer.files_total == 3
    repo.write("image.png", "text after all\n")
    indexer.refresh()
    assert "image.png" not in {one.path for one in store.skipped(10)}


def test_a_file_that_vanishes_between_scan_and_read_is_no_error(repo: Repo, store: Store, indexer: Indexer) -> None:
    repo.write("a.py", "def a(): pass\n")
    changes = indexer.scan()
    (repo.root / "a.py").unlink()
    indexer.apply(changes)
    assert store.known() == {}


def test_an_empty_repository_is_an_empty_index(indexer: Indexer, store: Store) -> None:
    indexer.refresh()
    assert store.counts(NAME) == (0, 0, 0)
    assert embed(store, ExactIndex())


def test_progress_tells_files_in_steps(repo: Repo, indexer: Indexer) -> None:
    for number in range(70):
        repo.write(f"f{number}.py", "x = 1\n")
    seen: list[tuple[int, int]] = []
    indexer.refresh(lambda done, total: seen.append((done, total)))
    assert seen == [(32, 70), (64, 70), (70, 70)]


def test_nothing_is_embedded_twice_across_branch_switches(repo: Repo, store: Store, indexer: Indexer) -> None:
    embedder, index = CountingEmbedder(), ExactIndex()

    def follow() -> None:
        indexer.refresh()
        assert embed_pending(store, embedder, index, 8, lambda: False)

    repo.write("a.py", "def main(): pass\n")
    follow()
    repo.write("a.py", "def branch(): return 2\n")
    follow()
    repo.write("a.py", "def main(): pass\n")
    follow()
    assert len(embedder.seen) == len(set(embedder.seen)) == 2


def test_what_changed_last_is_embedded_first_and_a_stop_loses_nothing(
    repo: Repo, store: Store, indexer: Indexer
) -> None:
    for number in range(300):
        os.utime(repo.write(f"old{number}.py", f"def old_{number}(): pass\n"), ns=(number, number))
    repo.write("fresh.py", "def fresh(): pass\n")
    indexer.refresh()
    first_texts = [text for _, text in store.pending(NAME, 3)]
    assert first_texts[0].startswith("fresh.py")
    assert first_texts[1].startswith("old299.py")
    embedder, index = CountingEmbedder(), ExactIndex()
    assert not embed_pending(store, embedder, index, 8, lambda: len(embedder.seen) > 100)
    assert store.counts(NAME).vectors == len(embedder.seen) == len(index.keys())
    assert embed_pending(store, embedder, index, 8, lambda: False)
    assert len(embedder.seen) == len(set(embedder.seen)) == 301


def test_an_index_is_made_to_hold_what_chunks_use(repo: Repo, store: Store, indexer: Indexer) -> None:
    repo.write("a.py", "def a(): pass\n")
    repo.write("b.py", "def b(): pass\n")
    indexer.refresh()
    embed(store, ExactIndex())
    index = ExactIndex()
    index.add(["stale"], np.ones((1, 256), dtype=np.float32))
    reconcile(store, NAME, index)
    assert index.keys() == store.vector_keys(NAME)
    (repo.root / "b.py").unlink()
    indexer.refresh()
    reconcile(store, NAME, index)
    assert len(index.keys()) == 1


def test_vectors_survive_as_float16(repo: Repo, store: Store, indexer: Indexer) -> None:
    repo.write("a.py", "def a_long_name(): return another_name\n")
    indexer.refresh()
    embed(store, ExactIndex())
    [(keys, vectors)] = list(store.vectors(NAME, sorted(store.vector_keys(NAME))))
    [exact] = HashingEmbedder().encode([chunks_named(store, "a_long_name")[0].embedded_text])
    assert vectors[keys.index(chunks_named(store, "a_long_name")[0].key)] @ exact == pytest.approx(1, abs=1e-3)


def held(store: Store) -> set[str]:
    return {key for keys, _ in store.vectors("x", ["old", "new", "used"]) for key in keys}


def test_unused_vectors_stay_for_a_month(repo: Repo, store: Store, indexer: Indexer) -> None:
    day = 86_400.0
    vector = np.ones((1, 4), dtype=np.float32)
    store.add_vectors("x", ["old"], vector)
    store.purge_vectors(1000 * day)
    store.add_vectors("x", ["new"], vector)
    store.purge_vectors(1029 * day)
    assert held(store) == {"old", "new"}
    store.purge_vectors(1031 * day)
    assert held(store) == {"new"}
    store.purge_vectors(1060 * day)
    assert held(store) == set()


def test_a_vector_that_is_used_again_is_not_old(repo: Repo, store: Store, indexer: Indexer) -> None:
    day = 86_400.0
    repo.write("a.py", "def a(): pass\n")
    indexer.refresh()
    [(key, _)] = store.pending("x", 1)
    store.add_vectors("x", [key], np.ones((1, 4), dtype=np.float32))
    for now, content in (
        (3_000_000, "other"),
        (3_000_020, "def a(): pass\n"),
        (3_000_040, "other"),
        (3_000_060, "other"),
    ):
        repo.write("a.py", content)
        indexer.apply(indexer.scan())
        store.purge_vectors(now * day)
        assert list(store.vectors("x", [key]))


def test_the_oldest_of_very_many_unused_vectors_go(store: Store) -> None:
    count = 100_500
    keys = [f"{number:032x}" for number in range(count)]
    store.add_vectors("x", keys[:600], np.ones((600, 4), dtype=np.float32))
    store.purge_vectors(1e9)
    store.add_vectors("x", keys[600:], np.ones((count - 600, 4), dtype=np.float32))
    store.purge_vectors(1e9 + 100)
    assert len(store.pending_keys("x")) == 0
    assert sum(len(some) for some, _ in store.vectors("x", keys)) == count  # looked at a moment ago
    store.purge_vectors(1e9 + 4000)
    kept = [key for some, _ in store.vectors("x", keys) for key in some]
    assert len(kept) == 100_000
    assert set(keys[600:]) <= set(kept)


def test_hot_files_come_first(repo: Repo, store: Store, indexer: Indexer) -> None:
    for number in range(5):
        file = repo.write(f"f{number}.py", f"def f{number}(): pass\n")
        os.utime(file, (1000 + number, 1000 + number))
    indexer.refresh()
    firsts = [text.partition(" ")[0] for _, text in store.pending("x", 5, ["f1.py", "f3.py"])]
    assert firsts == ["f3.py", "f1.py", "f4.py", "f2.py", "f0.py"]


def test_one_file_cannot_be_stored_halfway(repo: Repo, store: Store, indexer: Indexer) -> None:
    repo.write("a.py", "def a(): pass\n")
    indexer.refresh()
    broken = chunks_named(store, "a")[0].model_copy(update={"text": None})
    with pytest.raises(TypeError):
        store.replace_file(FileState(path="a.py", size=1, mtime_ns=1, sha256="x"), Parsed([broken]))
    assert chunks_named(store, "a")


def test_an_index_of_a_newer_version_is_refused(place: Place, store: Store) -> None:
    database = place.open_database()
    list(database.execute("PRAGMA user_version = 99"))
    database.close()
    with pytest.raises(VaultTooNew, match="newer version"):
        place.store()


def test_a_second_connection_opens_while_another_writes(place: Place, store: Store, tmp_path: Path) -> None:
    with store.transaction():
        store.replace_file(FileState(path="a", size=1, mtime_ns=1, sha256=""), Parsed([]))
        place.store().close()
