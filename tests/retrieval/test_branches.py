"""Real git under a running worker: branches, stashes, rebases, renames, worktrees and clones embed nothing twice."""

import dataclasses
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offline_agent.errors import StorageError
from offline_agent.protocols import Database
from offline_agent.retrieval.borrow import Borrower, borrow_from
from offline_agent.retrieval.client import RemoteIndex
from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.hashing import HashingEmbedder
from offline_agent.retrieval.hot import HotFiles
from offline_agent.retrieval.place import Place
from offline_agent.types import IndexPhase

from .conftest import Repo, eventually, place_for, running

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class CountingEmbedder(HashingEmbedder):
    """Remembers how often it embedded each text; queries, which are one line, apart."""

    def __init__(self) -> None:
        self.texts: Counter[str] = Counter()

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        self.texts.update(text.partition("\n")[2] for text in texts if "\n" in text)
        return super().encode(texts)


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(
        ["git", *identity, "-C", str(root), *arguments],
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_EDITOR": "true", "HOME": str(root)},
    )


FILES = 60


def write_branch(repo: Repo, name: str) -> None:
    for number in range(FILES):
        repo.write(f"pkg{number % 5}/f{number}.py", f"def {name}_{number}():\n    return {number}\n")
    repo.write("same.py", "def same_everywhere():\n    return 0\n")
    git(repo.root, "add", ".")
    git(repo.root, "commit", "-qm", name)


@pytest.fixture
def branches(repo: Repo) -> Repo:
    """Two branches with other content in every file but one; `first` is checked out."""
    git(repo.root, "init", "-q", "-b", "first")
    write_branch(repo, "first")
    git(repo.root, "checkout", "-qb", "second")
    write_branch(repo, "second")
    git(repo.root, "checkout", "-q", "first")
    return repo


def names(remote: RemoteIndex, query: str) -> set[str]:
    return {hit.chunk.symbol.partition("_")[0] for hit in remote.search(query, 50).hits if hit.chunk.symbol}


def settled(remote: RemoteIndex) -> None:
    assert remote.wait_current(10)
    eventually(lambda: (status := remote.status()).phase is IndexPhase.CURRENT and status.vectors == status.chunks)


def counting(place: Place) -> tuple[Place, CountingEmbedder]:
    embedder = CountingEmbedder()
    return dataclasses.replace(place, load_embedder=lambda: embedder), embedder


def test_nothing_is_embedded_twice_across_checkouts_stashes_and_rebases(branches: Repo, place: Place) -> None:
    place, embedder = counting(place)
    with running(place) as remote:
        settled(remote)
        for branch in ("second", "first", "second", "first"):
            git(branches.root, "checkout", "-q", branch)
            eventually(lambda branch=branch: names(remote, f"{branch}_7 return") == {branch})
            settled(remote)
        branches.write("same.py", "def changed_here():\n    return 1\n")
        settled(remote)
        git(branches.root, "stash")
        eventually(lambda: "same" in names(remote, "same_everywhere"))
        git(branches.root, "stash", "pop")
        eventually(lambda: "changed" in names(remote, "changed_here"))
        git(branches.root, "checkout", "-q", ".")
        for step in range(3):
            branches.write(f"step{step}.py", f"def step_{step}():\n    return {step}\n")
            git(branches.root, "add", ".")
            git(branches.root, "commit", "-qm", f"step {step}")
        settled(remote)
        git(branches.root, "rebase", "-q", "--force-rebase", "HEAD~3")
        settled(remote)
        assert names(remote, "step_2") >= {"step"}
    assert set(embedder.texts.values()) == {1}
    assert len(embedder.texts) == 2 * FILES + 5


def test_a_checkout_is_one_batch(branches: Repo, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "offline_agent")
    with running(place) as remote:
        settled(remote)
        caplog.clear()
        git(branches.root, "checkout", "-q", "second")
        eventually(lambda: names(remote, "second_7 return") == {"second"})
        settled(remote)
    indexed = Counter(text for record in caplog.records if (text := record.getMessage()).startswith("indexed "))
    assert len(indexed) == FILES
    assert set(indexed.values()) == {1}


def test_a_rename_embeds_nothing(branches: Repo, place: Place) -> None:
    place, embedder = counting(place)
    with running(place) as remote:
        settled(remote)
        before = embedder.texts.total()
        git(branches.root, "mv", "pkg1", "moved")
        git(branches.root, "mv", "same.py", "moved/elsewhere.py")
        eventually(lambda: [h.chunk.path for h in remote.search("same_everywhere", 1).hits] == ["moved/elsewhere.py"])
        settled(remote)
        assert embedder.texts.total() == before
        assert remote.status().files == FILES + 1


def lend(*neighbours: Place) -> Callable[[str, Sequence[str]], Iterable[tuple[list[str], "NDArray[np.float32]"]]]:
    return partial(borrow_from, [neighbour.open_database for neighbour in neighbours])


def test_a_clone_and_a_worktree_borrow_every_vector(branches: Repo, place: Place, tmp_path: Path) -> None:
    place, embedder = counting(place)
    with running(place) as remote:
        settled(remote)
    git(branches.root, "clone", "-q", ".", str(tmp_path / "clone"))
    git(branches.root, "worktree", "add", "-q", "-b", "third", str(tmp_path / "worktree"))
    for name in ("clone", "worktree"):
        sibling = place_for(tmp_path / name, tmp_path / f"data of {name}", lambda: embedder)
        with running(dataclasses.replace(sibling, borrow=lend(place))) as remote:
            settled(remote)
            assert remote.status().vectors == FILES + 1
            Repo(tmp_path / name).write("own.py", "def own(): pass\n")
            settled(remote)
    assert sorted(embedder.texts.values()) == [*[1] * (FILES + 1), 2]  # each has its own own.py


def test_a_neighbour_that_cannot_be_read_or_is_older_lends_nothing(branches: Repo, place: Place) -> None:
    def broken() -> Database:
        raise StorageError("The database is damaged.")

    def older() -> Database:
        database = place.open_database()
        list(database.execute("PRAGMA user_version = 1"))
        return database

    with closing(place.store()) as store:
        store.add_vectors("x", ["a"], HashingEmbedder().encode(["a"]))
    lent = list(borrow_from([broken, place.open_database], "x", ["a", "b"]))
    assert [keys for keys, _ in lent] == [["a"]]
    assert list(borrow_from([place.open_database], "y", ["a"])) == []
    assert list(borrow_from([older], "x", ["a"])) == []


def test_a_handful_of_keys_is_not_asked_for_and_nothing_twice(repo: Repo, place: Place) -> None:
    asked: list[Sequence[str]] = []

    def none(fingerprint: str, keys: Sequence[str]) -> Iterable[tuple[list[str], "NDArray[np.float32]"]]:
        asked.append(keys)
        return ()

    borrower = Borrower(none)
    with closing(place.store()) as store:
        indexer = place.indexer(store)
        for files in (3, 13, 100, 100):
            for number in range(files):
                repo.write(f"f{number}.py", f"def f{number}(): pass\n")
            indexer.refresh()
            assert borrower.fill(store, "x", ExactIndex()) == 0
    assert [len(keys) for keys in asked] == [3, 97]


def test_hot_files_are_few_and_the_newest_first() -> None:
    hot = HotFiles()
    hot.touch(f"f{number}" for number in range(100))
    hot.touch(["f63", "new"])
    assert hot.paths()[:3] == ["f63", "new", "f0"]
    assert len(hot.paths()) == 64


def test_a_search_finds_what_was_saved_before_it(repo: Repo, place: Place) -> None:
    with running(place) as remote:
        remote.wait_current(10)
        for number in range(20):
            repo.write(f"new{number}/f.py" if number % 3 == 0 else "f.py", f"def saved_{number}(): pass\n")
            assert remote.search(f"saved_{number}", 1).hits[0].chunk.symbol == f"saved_{number}"


def test_a_repository_that_moves_away_is_told_and_its_return_is_seen(repo: Repo, place: Place, tmp_path: Path) -> None:
    repo.write("a.py", "def stays_known(): pass\n")
    with running(place) as remote:
        remote.wait_current(10)
        repo.root.rename(tmp_path / "away")
        eventually(lambda: "not there any more" in remote.status().problem)
        assert names(remote, "stays_known") == {"stays"}
        (tmp_path / "away" / "b.py").write_text("def came_back(): pass\n")
        (tmp_path / "away").rename(repo.root)
        eventually(lambda: names(remote, "came_back") >= {"came"})
        assert names(remote, "stays_known") >= {"stays"}
        eventually(lambda: remote.status().problem == "")
        repo.write("c.py", "def watched_again(): pass\n")
        eventually(lambda: names(remote, "watched_again") >= {"watched"})


def test_searches_go_on_while_git_holds_its_lock(branches: Repo, place: Place) -> None:
    with running(place) as remote:
        settled(remote)
        lock = branches.write(".git/index.lock")
        branches.write("half.py", "def half_a_branch(): pass\n")
        threading.Timer(1.5, lock.unlink).start()
        started = time.monotonic()
        assert "half" not in names(remote, "half_a_branch")  # what was before, whole
        assert time.monotonic() - started < 5
        eventually(lambda: "half" in names(remote, "half_a_branch"))
