"""The watcher by itself: bursts, filters, limits."""

import inspect
import logging
from collections.abc import Iterator

import pytest
from watchdog.observers import inotify_c

from offline_agent.retrieval.ignore import IgnoreRules
from offline_agent.retrieval.watch import Batch, Watcher
from offline_agent.types import ChangeKind, FileChange

from .conftest import QUICK, Repo


@pytest.fixture
def watcher(repo: Repo) -> Iterator[Watcher]:
    watcher = Watcher(repo.root, IgnoreRules(repo.root, ["*.pyc", "skip/"]), QUICK)
    watcher.start()
    assert watcher.problem == ""
    yield watcher
    watcher.stop()


def written(*paths: str) -> tuple[FileChange, ...]:
    return tuple(FileChange(path=path, kind=ChangeKind.WRITTEN) for path in paths)


def test_a_burst_is_one_batch(repo: Repo, watcher: Watcher) -> None:
    for number in range(50):
        repo.write(f"f{number:02}.py", "x")
    batch = watcher.next(5)
    assert batch == Batch(written(*(f"f{number:02}.py" for number in range(50))), rescan=False)
    assert watcher.next(0.1) is None


def test_an_editor_that_writes_beside_and_renames_is_one_change(repo: Repo, watcher: Watcher) -> None:
    repo.write("a.py", "old")
    watcher.next(5)
    repo.write("a.py.tmp", "new").rename(repo.root / "a.py")
    batch = watcher.next(5)
    assert batch is not None
    assert written("a.py")[0] in batch.changes
    assert FileChange(path="a.py.tmp", kind=ChangeKind.DELETED) in batch.changes


def test_reading_is_no_event_and_ignored_files_are_no_change(repo: Repo, watcher: Watcher) -> None:
    repo.write("a.py", "x")
    watcher.next(5)
    (repo.root / "a.py").read_text()
    assert watcher.next(0.1) is None
    repo.write("b.pyc", "x")
    assert watcher.next(1) in (None, Batch((), rescan=False))


def test_a_deleted_file_is_told_as_such(repo: Repo, watcher: Watcher) -> None:
    file = repo.write("a.py", "x")
    watcher.next(5)
    file.unlink()
    assert watcher.next(5) == Batch((FileChange(path="a.py", kind=ChangeKind.DELETED),), rescan=False)


def test_new_directories_and_ignore_files_ask_for_a_rescan(repo: Repo, watcher: Watcher) -> None:
    repo.write("new/a.py", "x")
    batch = watcher.next(5)
    assert batch is not None
    assert batch.rescan
    while watcher.next(0.2):
        pass
    repo.write(".gitignore", "*.py")
    batch = watcher.next(5)
    assert batch is not None
    assert batch.rescan


def test_a_rescan_can_be_asked_for(watcher: Watcher) -> None:
    watcher.ask_rescan()
    assert watcher.next(5) == Batch((), rescan=True)


def test_too_many_directories_are_a_problem_with_a_remedy(repo: Repo) -> None:
    for number in range(5):
        (repo.root / f"d{number}").mkdir()
    watcher = Watcher(repo.root, IgnoreRules(repo.root, []), QUICK, watch_limit=5)
    watcher.start()
    assert "sudo sysctl fs.inotify.max_user_watches=" in watcher.problem
    assert watcher.next(0.01) is None
    watcher.ask_rescan()
    assert watcher.next(1) == Batch((), rescan=True)
    watcher.stop()


def test_a_root_that_is_gone_is_a_problem_not_an_exception(repo: Repo) -> None:
    watcher = Watcher(repo.root / "gone", IgnoreRules(repo.root, []), QUICK)
    watcher.start()
    assert "cannot be watched" in watcher.problem
    watcher.stop()


def test_dropped_events_ask_for_a_rescan(watcher: Watcher) -> None:
    # What watchdog 7 logs when the kernel's queue overflowed; test_watchdog_still_says_so ties the two together.
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed; filesystem events were lost")
    assert watcher.next(5) == Batch((), rescan=True)


def test_watchdog_still_says_so() -> None:
    source = inspect.getsource(inotify_c)
    assert 'logger.warning("Inotify queue overflowed; filesystem events were lost")' in source
    assert inotify_c.logger.name == "watchdog.observers.inotify_c"
