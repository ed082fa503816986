"""Sees what is saved: watchdog's events, filtered and gathered into one batch a burst.

Three things make it rescan instead of trusting events: whole directories that moved, changed ignore files, and events the kernel
dropped. Where the kernel cannot watch at all, `problem` says so and the caller's periodic rescan goes on.
"""

import logging
import os
import queue
import time
from pathlib import Path
from typing import NamedTuple

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from offline_agent.retrieval.ignore import IGNORE_FILE, IgnoreRules
from offline_agent.settings import IndexSettings
from offline_agent.types import ChangeKind, FileChange

# Without a filter every read of ours (opened, closed without writing) comes back as an event, and a large tree livelocks.
_EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]
_WATCH_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")


class Batch(NamedTuple):
    """What happened in one burst. With `rescan`, `changes` are not all of it."""

    changes: tuple[FileChange, ...]
    rescan: bool


class Watcher:
    """Watches `root` from `start()` to `stop()`; one thread calls `next()`."""

    def __init__(self, root: Path, rules: IgnoreRules, settings: IndexSettings, watch_limit: int | None = None) -> None:
        self._root = root
        self._rules = rules
        self._settings = settings
        self._watch_limit = _kernel_limit() if watch_limit is None else watch_limit
        # Relative paths, with a final slash for directories; None asks for a rescan.
        self._paths: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._observer = Observer()
        self._overflow = _OverflowListener(self._paths)
        self.problem = ""

    def start(self) -> None:
        """Starts watching. Never raises: what cannot be watched is said in `problem`."""
        directories = count_directories(self._root)
        if self._watch_limit is not None and directories > self._watch_limit:
            # watchdog would go blind below the limit without a word.
            self.problem = _too_many(directories, self._watch_limit)
            return
        _overflow_logger().addHandler(self._overflow)
        try:
            self._observer.schedule(
                _Handler(self._root, self._paths), str(self._root), recursive=True, event_filter=_EVENTS
            )
            self._observer.start()
        except OSError as error:
            self.problem = (
                f"The repository cannot be watched ({error.strerror or error}); it is rescanned from time to time instead. "
                "To see changes at once, raise fs.inotify.max_user_watches and max_user_instances with sysctl."
            )

    def stop(self) -> None:
        _overflow_logger().removeHandler(self._overflow)
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def ask_rescan(self) -> None:
        """Makes `next()` return a batch with `rescan`, as soon as it can. Any thread may call it."""
        self._paths.put(None)

    def next(self, timeout: float) -> Batch | None:
        """The next burst, after a short silence or when it has lasted too long; None when nothing happens for `timeout`."""
        try:
            first = self._paths.get(timeout=max(timeout, 0))
        except queue.Empty:
            return None
        paths = {first}
        deadline = time.monotonic() + self._settings.patience_seconds
        while None not in paths and time.monotonic() < deadline:
            wait = min(self._settings.quiet_seconds, deadline - time.monotonic())
            try:
                paths.add(self._paths.get(timeout=max(wait, 0)))
            except queue.Empty:
                break
        return self._batch(paths)

    def _batch(self, paths: set[str | None]) -> Batch:
        changes = []
        rescan = None in paths
        for path in sorted(path for path in paths if path is not None):
            if _changes_rules(path):
                rescan = True
            elif path.endswith("/"):
                rescan = rescan or not self._rules.ignored(path[:-1], directory=True)
            elif not self._rules.ignored(path):
                changes.append(_change(self._root, path))
        return Batch(tuple(changes), rescan)


class _Handler(FileSystemEventHandler):
    """Runs on watchdog's thread, so it does next to nothing: paths into the queue."""

    def __init__(self, root: Path, paths: "queue.SimpleQueue[str | None]") -> None:
        self._prefix = os.path.join(os.path.abspath(root), "")
        self._paths = paths

    def on_any_event(self, event: FileSystemEvent) -> None:
        for path in (event.src_path, event.dest_path):
            name = os.fsdecode(path)
            if not name.startswith(self._prefix):
                continue
            relative = name[len(self._prefix) :]
            if relative.startswith(".git/") and not _changes_rules(relative):
                continue
            self._paths.put(f"{relative}/" if event.is_directory else relative)


class _OverflowListener(logging.Handler):
    """watchdog repairs its watches after the kernel dropped events, but tells nobody, except its log."""

    def __init__(self, paths: "queue.SimpleQueue[str | None]") -> None:
        super().__init__(logging.WARNING)
        self._paths = paths

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            self._paths.put(None)


def count_directories(root: Path) -> int:
    """Directories under `root`, ignored ones too: watchdog watches them all."""
    return sum(1 for _ in os.walk(root))


def _overflow_logger() -> logging.Logger:
    return logging.getLogger("watchdog.observers.inotify_c")


def _changes_rules(path: str) -> bool:
    """True for an ignore file, and for a `.git` that makes or unmakes a nested repository."""
    name = path.rpartition("/")[2]
    return name == IGNORE_FILE or path == ".git/info/exclude" or (name == ".git" and path != ".git")


def _change(root: Path, path: str) -> FileChange:
    # The order of events does not matter: what counts is whether the file is there now. A link is as good as gone.
    there = not (root / path).is_symlink() and (root / path).exists()
    return FileChange(path=path, kind=ChangeKind.WRITTEN if there else ChangeKind.DELETED)


def _kernel_limit() -> int | None:
    try:
        return int(_WATCH_LIMIT.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _too_many(directories: int, limit: int) -> str:
    return (
        f"The repository has {directories:,} directories and this system watches at most {limit:,}; it is rescanned from "
        f"time to time instead. To see changes at once: sudo sysctl fs.inotify.max_user_watches={2 * directories}"
    )
