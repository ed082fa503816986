"""The kernel's side of watching: one watch a directory, all on one inotify instance and one thread.

watchdog's observers take a thread for each directory, or watch the ignored ones too; below them its `InotifyFD` does neither.
A watch belongs to a directory, not to its path: who moves directories must tell here, by watching them again under their new
paths (see `Watches.watch`) and forgetting what was not watched again (`forget`).
"""

import errno
import itertools
import os
import sys
import threading
from pathlib import Path
from typing import NamedTuple, Protocol

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

# Reads are left out: ours would come back as events, and a large tree would livelock.
_CHANGES = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
)
_MOVED_AWAY = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF | InotifyConstants.IN_UNMOUNT
_MARK_SECONDS = 0.1  # an event takes a tenth of a millisecond


class Listener(Protocol):
    """Told on the kernel's thread, so it does next to nothing."""

    def changed(self, path: str, directory: bool) -> None:
        """Something is new, other or gone at `path`, which is relative to the root."""

    def uprooted(self) -> None:
        """The root itself was moved or deleted."""

    def lost(self) -> None:
        """The kernel dropped events."""


class _Watched(NamedTuple):
    path: str
    callback: CallbackId
    round: int


class Watches:
    """Watches at most `most` directories below `root` until `close()`. Opening raises an OSError: EMFILE where there are no more
    instances.

    One thread calls `watch` and `forget`, any thread `mark`.
    """

    def __init__(self, root: Path, listener: Listener, most: int = sys.maxsize) -> None:
        self._prefix = os.path.join(root, "")
        self._listener = listener
        self._most = most
        self._lock = threading.Lock()
        self._watched: dict[WatchDescriptor, _Watched] = {}
        self._callbacks = itertools.count()
        self._round = 0
        self._marking = threading.Lock()
        self._marked = threading.Event()
        self._inotify = InotifyFD()
        self._inotify.start()
        self._mark = self._open_mark()

    def close(self) -> None:
        self._inotify.stop()
        self._inotify.join()
        os.close(self._mark)

    def begin(self) -> None:
        """A new round: `forget` is about what is not watched again from now on."""
        self._round += 1

    def watch(self, path: str, absolute: Path | None = None) -> None:
        """Watches the directory `path`, from now on under this path. What cannot be entered is left out, as the scan leaves it out.

        `absolute` is for a directory that is not below the root. Raises an OSError: ENOSPC where there are no more watches.
        """
        name = os.fsencode(absolute or self._prefix + path)
        if len(self._watched) >= self._most:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with self._lock:  # an event may come before the watch has its path
            callback = CallbackId(next(self._callbacks))
            try:
                number = self._inotify.add_callback(name, _CHANGES, self, callback)
            except (FileNotFoundError, NotADirectoryError):
                return
            known = self._watched.pop(number, None)
            unreadable = number == -1  # watchdog makes no error of it
            if not unreadable:
                self._watched[number] = _Watched(path, callback, self._round)
        if unreadable:
            self._inotify.remove_callbacks([(number, callback)])
        elif known is not None:
            self._inotify.remove_callbacks([(number, known.callback)])

    def forget(self, under: str = "") -> None:
        """Stops watching what is at or below `under` and was not watched in this round."""
        with self._lock:
            old = [
                number
                for number, one in self._watched.items()
                if one.round != self._round and (not under or one.path == under or one.path.startswith(f"{under}/"))
            ]
            gone = [(number, self._watched.pop(number).callback) for number in old]
        self._inotify.remove_callbacks(gone)

    def __len__(self) -> int:
        return len(self._watched)

    # --- a mark in the stream of events ---

    def mark(self) -> bool:
        """Returns when every event from before the call was told. False where the kernel does not answer in time."""
        with self._marking:
            self._marked.clear()
            os.utime(self._mark)
            return self._marked.wait(_MARK_SECONDS)

    def _open_mark(self) -> int:
        """A file in memory that is watched too: events come in order, so the one of its new time comes after all before it."""
        descriptor = os.memfd_create("mark")
        name = os.fsencode(f"/proc/self/fd/{descriptor}")
        self._inotify.add_callback(name, InotifyConstants.IN_ATTRIB, _Mark(self._marked), CallbackId(-1))
        return descriptor

    # --- watchdog's WatchCallback ---

    def on_event(self, event: InotifyEvent) -> None:
        with self._lock:
            watched = self._watched.get(event.wd)
        if watched is None:
            return
        if event.mask & _MOVED_AWAY:
            if not watched.path:  # of all others the directory above tells
                self._listener.uprooted()
        elif event.name:
            name = os.fsdecode(event.name)
            path = f"{watched.path}/{name}" if watched.path else name
            if not (event.is_directory and event.is_attrib):
                self._listener.changed(path, event.is_directory)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        with self._lock:
            self._watched.pop(wd, None)

    def on_queue_overflow(self) -> None:
        self._listener.lost()


class _Mark:
    """The WatchCallback of the mark."""

    def __init__(self, marked: threading.Event) -> None:
        self._marked = marked

    def on_event(self, event: InotifyEvent) -> None:
        self._marked.set()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None: ...

    def on_queue_overflow(self) -> None:
        self._marked.set()
