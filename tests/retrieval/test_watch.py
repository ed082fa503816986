"""The watcher by itself: bursts, filters, directories that come, go and move, git at work, and what the kernel may refuse."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from offline_agent.retrieval.burst import Burst
from offline_agent.retrieval.git import at_work, common_directory, git_directory
from offline_agent.retrieval.ignore import Found, IgnoreRules
from offline_agent.retrieval.inotify import Listener, Watches
from offline_agent.retrieval.watch import RESCAN, Batch, OpenWatches, Watcher
from offline_agent.types import ChangeKind, FileChange

from .conftest import QUICK, Repo, eventually


@dataclass(frozen=True)
class Watched:
    """A watcher with the rules that its scans go by."""

    watcher: Watcher
    rules: IgnoreRules

    def scan(self, *under: str) -> list[str]:
        """Paths of files, in order."""
        if not under:
            self.rules.forget()
        with self.watcher.covering(*under) as entering:
            found = [one for directory in under or ("",) for one in self.rules.walk(directory, entering)]
        return [one.path for one in found if isinstance(one, Found)]

    def next(self, timeout: float = 5.0) -> Batch:
        batch = self.watcher.next(timeout)
        assert batch is not None
        return batch


def watched(repo: Repo, open_watches: OpenWatches = Watches) -> Watched:
    rules = IgnoreRules(repo.root, ["*.pyc", "skip/", ".git/"])
    return Watched(Watcher(repo.root, rules, QUICK, open_watches), rules)


@pytest.fixture
def one(repo: Repo) -> Iterator[Watched]:
    one = watched(repo)
    with closing(one.watcher):
        one.scan()
        assert one.watcher.problem == ""
        yield one


def written(*paths: str) -> tuple[FileChange, ...]:
    return tuple(FileChange(path=path, kind=ChangeKind.WRITTEN) for path in paths)


def deleted(path: str) -> FileChange:
    return FileChange(path=path, kind=ChangeKind.DELETED)


# --- bursts ---


def test_a_burst_is_one_batch(repo: Repo, one: Watched) -> None:
    for number in range(50):
        repo.write(f"f{number:02}.py", "x")
    assert one.next() == Batch(written(*(f"f{number:02}.py" for number in range(50))))
    assert one.watcher.next(0.1) is None


def test_an_editor_that_writes_beside_and_renames_is_one_change(repo: Repo, one: Watched) -> None:
    repo.write("a.py", "old")
    one.next()
    repo.write("a.py.tmp", "new").rename(repo.root / "a.py")
    assert set(one.next().changes) == {*written("a.py"), deleted("a.py.tmp")}


def test_reading_is_no_event_and_ignored_files_are_no_change(repo: Repo, one: Watched) -> None:
    repo.write("a.py", "x")
    one.next()
    (repo.root / "a.py").read_text()
    assert one.watcher.next(0.1) is None
    repo.write("b.pyc", "x")
    assert one.next() == Batch()


def test_a_deleted_file_is_told_as_such(repo: Repo, one: Watched) -> None:
    file = repo.write("a.py", "x")
    one.next()
    file.unlink()
    assert one.next() == Batch((deleted("a.py"),))


def test_a_rescan_can_be_asked_for(one: Watched) -> None:
    one.watcher.ask_rescan()
    assert one.next() == RESCAN


def test_who_catches_up_hurries_the_batch_and_waits_until_it_is_dealt_with(repo: Repo, one: Watched) -> None:
    assert one.watcher.catch_up(5)  # nothing happened: nothing to wait for
    repo.write("a.py", "x")
    answers: list[bool] = []
    asking = threading.Thread(target=lambda: answers.append(one.watcher.catch_up(10)))
    asking.start()
    assert one.next() == Batch(written("a.py"))
    assert not answers
    assert one.watcher.next(0) is None  # asks for more: what was given is dealt with
    asking.join(5)
    assert answers == [True]
    repo.write("a.py", "y")
    assert not one.watcher.catch_up(0.01)


def test_more_changes_than_are_worth_telling_apart_become_a_rescan() -> None:
    burst = Burst()
    for number in range(20_001):
        burst.add(f"f{number}")
    assert burst.begun(0)
    seen = burst.take()
    assert seen.everything
    assert not seen.paths


# --- directories ---


def test_what_is_written_into_a_new_directory_before_it_is_watched_is_found(repo: Repo, one: Watched) -> None:
    repo.write("new/deeper/a.py", "x")
    batch = one.next()
    assert batch.directories == ("new",)
    assert one.scan(*batch.directories) == ["new/deeper/a.py"]
    repo.write("new/deeper/b.py", "x")
    assert one.next() == Batch(written("new/deeper/b.py"))


def test_a_directory_deleted_and_made_again_is_watched_again(repo: Repo, one: Watched) -> None:
    for number in range(3):
        repo.write("d/sub/a.py", str(number))
        one.scan(*one.next().directories)
        shutil.rmtree(repo.root / "d")
        repo.write("d/sub/b.py", "made while the deletion is still to be told")
        assert one.scan(*one.next().directories) == ["d/sub/b.py"]
        repo.write("d/sub/c.py", "x")
        assert one.next() == Batch(written("d/sub/c.py"))
        shutil.rmtree(repo.root / "d")
        assert one.scan(*one.next().directories) == []


def test_directories_that_move_are_followed_within_out_and_in(repo: Repo, one: Watched, tmp_path: Path) -> None:
    repo.write("a/deep/x.py", "x")
    one.scan(*one.next().directories)
    (repo.root / "a").rename(repo.root / "b")
    batch = one.next()
    assert batch.directories == ("a", "b")
    assert one.scan(*batch.directories) == ["b/deep/x.py"]
    repo.write("b/deep/x.py", "y")
    assert one.next() == Batch(written("b/deep/x.py"))

    (repo.root / "b").rename(tmp_path / "outside")
    assert one.scan(*one.next().directories) == []
    (tmp_path / "outside" / "deep" / "x.py").write_text("not ours any more")
    assert one.watcher.next(0.1) is None

    (tmp_path / "outside").rename(repo.root / "c")
    assert one.scan(*one.next().directories) == ["c/deep/x.py"]
    repo.write("c/deep/x.py", "z")
    assert one.next() == Batch(written("c/deep/x.py"))


def test_ignored_directories_are_not_watched(repo: Repo) -> None:
    for number in range(20):
        repo.write(f"skip/d{number}/a.py", "x")
        repo.write(f".git/objects/{number:02}/x", "x")
    repo.write("kept/a.py", "x")
    opened: list[Watches] = []

    def counted(root: Path, listener: Listener) -> Watches:
        opened.append(Watches(root, listener))
        return opened[0]

    one = watched(repo, counted)
    with closing(one.watcher):
        one.scan()
        assert len(opened[0]) == 3  # the root, kept, .git
        repo.write("skip/d1/a.py", "y")
        assert one.watcher.next(0.1) is None
        repo.write(".gitignore", "kept/\n")
        assert one.next() == RESCAN
        one.scan()
        assert len(opened[0]) == 2


@pytest.mark.parametrize("path", [".gitignore", "sub/.gitignore", ".git/info/exclude", "sub/.git"])
def test_what_changes_the_rules_asks_for_a_rescan(repo: Repo, path: str) -> None:
    repo.write("sub/a.py", "x")
    repo.write(".git/info/other", "x")
    one = watched(repo)
    with closing(one.watcher):
        one.scan()
        repo.write(path, "*.py")
        assert one.next() == RESCAN


def test_many_new_directories_are_scanned_as_a_whole(repo: Repo, one: Watched) -> None:
    for number in range(60):
        (repo.root / f"d{number}").mkdir()
    assert one.next() == RESCAN


def test_a_directory_that_cannot_be_read_is_left_unwatched(repo: Repo, one: Watched) -> None:
    shut = repo.root / "shut"
    shut.mkdir(mode=0)
    try:
        one.scan(*one.next().directories)
        assert one.watcher.problem == ""
    finally:
        shut.chmod(0o700)


# --- the root ---


def test_a_root_that_is_replaced_is_scanned_and_watched_again(repo: Repo, one: Watched, tmp_path: Path) -> None:
    repo.root.rename(tmp_path / "elsewhere")
    assert one.next() == RESCAN
    (tmp_path / "elsewhere" / "a.py").write_text("x")  # its watch is still there, but it is not ours
    assert one.next() == RESCAN
    repo.write("b.py", "x")
    assert one.scan() == ["b.py"]
    repo.write("b.py", "y")
    assert one.next() == Batch(written("b.py"))
    (tmp_path / "elsewhere" / "a.py").write_text("y")
    assert one.watcher.next(0.1) is None


# --- git ---


def test_what_git_writes_under_its_lock_is_one_batch(repo: Repo) -> None:
    repo.write(".git/HEAD", "ref: x")
    one = watched(repo)
    with closing(one.watcher):
        one.scan()
        lock = repo.write(".git/index.lock")

        def work() -> None:
            for number in range(4):
                repo.write(f"f{number}.py", "x")
                time.sleep(QUICK.patience_seconds)
            lock.unlink()

        working = threading.Thread(target=work)
        working.start()
        assert one.next() == Batch(written(*(f"f{number}.py" for number in range(4))))
        working.join()


def test_a_lock_that_a_killed_git_left_is_not_waited_for(repo: Repo) -> None:
    lock = repo.write(".git/index.lock")
    assert at_work(repo.root / ".git", 10)
    os.utime(lock, (time.time() - 60, time.time() - 60))
    assert not at_work(repo.root / ".git", 10)
    one = watched(repo)
    with closing(one.watcher):
        one.scan()
        repo.write("a.py", "x")
        assert one.next() == Batch(written("a.py"))


def test_the_git_directory_of_a_worktree_is_followed_where_it_is_one(repo: Repo, tmp_path: Path) -> None:
    assert git_directory(repo.root) is None
    main = tmp_path / "main" / ".git"
    own = main / "worktrees" / "w"
    own.mkdir(parents=True)
    repo.write(".git", f"gitdir: {own}\n")
    assert git_directory(repo.root) is None  # no HEAD: it could be anything
    (own / "HEAD").write_text("ref: refs/heads/x\n")
    assert git_directory(repo.root) == own
    assert common_directory(own) == own
    (own / "commondir").write_text("../..\n")
    assert common_directory(own).resolve() == main.resolve()
    for nonsense in (b"", b"gitdir: ", b"gitdir: \0\n", b"\xff\xfe", b"gitdir: /" + b"x" * 10_000):
        repo.write(".git", nonsense)
        assert git_directory(repo.root) is None


# --- what the kernel refuses or loses ---


def few(root: Path, listener: Listener) -> Watches:
    return Watches(root, listener, most=3)


def test_too_many_directories_mean_polling_and_a_remedy(repo: Repo) -> None:
    for number in range(5):
        repo.write(f"d{number}/a.py")
    one = watched(repo, few)
    with closing(one.watcher):
        assert len(one.scan()) == 5
        assert "sudo sysctl fs.inotify.max_user_watches=" in one.watcher.problem
        assert one.watcher.next(0.01) is None
        assert not one.watcher.catch_up(1)
        one.watcher.ask_rescan()
        assert one.next() == RESCAN


def test_no_more_instances_mean_polling_and_a_remedy(repo: Repo) -> None:
    def none(root: Path, listener: Listener) -> Watches:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    one = watched(repo, none)
    with closing(one.watcher):
        one.scan()
        assert "sudo sysctl fs.inotify.max_user_instances=" in one.watcher.problem


def test_watching_is_tried_again(repo: Repo) -> None:
    tries: list[int] = []

    def second(root: Path, listener: Listener) -> Watches:
        tries.append(1)
        return Watches(root, listener, most=3 if len(tries) == 1 else 100)

    for number in range(5):
        repo.write(f"d{number}/a.py")
    rules = IgnoreRules(repo.root, [])
    watcher = Watcher(repo.root, rules, QUICK.model_copy(update={"rescan_seconds": 0.05}), second)
    one = Watched(watcher, rules)
    with closing(watcher):
        one.scan()
        assert watcher.problem
        eventually(lambda: one.scan() and not watcher.problem)
        repo.write("d4/b.py")
        assert one.next() == Batch(written("d4/b.py"))


def test_dropped_events_ask_for_a_rescan(repo: Repo) -> None:
    listeners: list[Listener] = []

    def keeping(root: Path, listener: Listener) -> Watches:
        listeners.append(listener)
        return Watches(root, listener)

    one = watched(repo, keeping)
    with closing(one.watcher):
        one.scan()
        listeners[0].lost()
        assert one.next() == RESCAN
