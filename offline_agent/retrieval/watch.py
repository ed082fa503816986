"""Sees what is saved: the kernel's events, filtered and gathered into one batch a burst.

Only directories that a scan enters are watched, each before it is listed: what is written later comes as an event, what was there
before is in the list, and nothing falls between the two. So watching costs no walk of its own, and a directory that appears,
moves or is made anew is simply scanned. Everything is scanned where events are lost or ignore files change.

Where the kernel cannot watch, `problem` says why and how to mend it, the repository is scanned every few seconds, and watching is
tried again from time to time.
"""

import contextlib
import errno
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from offline_agent.retrieval.burst import Burst, Seen
from offline_agent.retrieval.git import at_work, common_directory, git_directory
from offline_agent.retrieval.ignore import IGNORE_FILE, Entering, IgnoreRules, identity
from offline_agent.retrieval.inotify import Listener, Watches
from offline_agent.settings import IndexSettings
from offline_agent.types import ChangeKind, FileChange

log = logging.getLogger(__name__)

OpenWatches = Callable[[Path, Listener], Watches]

_LIMITS = Path("/proc/sys/fs/inotify")
_GIT_PATIENCE = 10.0  # seconds that one work of git may hold a batch together
_GIT_LOOK = 0.02  # seconds between two looks at its lock
_POLL_SECONDS = 2.0
_POLL_SHARE = 10  # polling takes a tenth of one core at most
_MOST_SUBTREES = 50  # a burst with more new directories is scanned as a whole


class Batch(NamedTuple):
    """What happened in one burst: files, and directories whose files are to be looked at, all below them included.

    With `rescan`, nobody knows what changed.
    """

    changes: tuple[FileChange, ...] = ()
    directories: tuple[str, ...] = ()
    rescan: bool = False


RESCAN = Batch(rescan=True)


class Watcher:
    """Watches what scans enter, until `close()`. One thread scans and calls `next()`; any thread may ask and hurry it."""

    def __init__(
        self, root: Path, rules: IgnoreRules, settings: IndexSettings, open_watches: OpenWatches = Watches
    ) -> None:
        self._root = root
        self._rules = rules
        self._settings = settings
        self._open_watches = open_watches
        self._burst = Burst()
        self._watches: Watches | None = None
        self._refused_until = 0.0
        self._poll_seconds = _POLL_SECONDS
        self._git = git_directory(root)
        self._identity: tuple[int, int] | None = None
        self.problem = ""
        """In a sentence or two, why changes are not seen at once; else empty."""

    def close(self) -> None:
        watches, self._watches = self._watches, None
        if watches is not None:
            watches.close()

    # --- scanning ---

    @contextlib.contextmanager
    def covering(self, *under: str) -> Iterator[Entering]:
        """For a scan of these directories, or of the whole repository: gives what the scan calls with each directory before it
        lists it. What it did not enter is watched no more."""
        began = time.monotonic()
        if not under:
            self._open()
            self._identity = identity(self._root)
        if self._watches is not None:
            self._watches.begin()
        if not under:
            self._watch_git()
        yield self._watch
        if self._watches is not None:
            for directory in under or ("",):
                self._watches.forget(directory)
            if not under:
                self.problem = ""
                log.debug("%d directories are watched", len(self._watches))
        if not under:
            self._poll_seconds = max(_POLL_SECONDS, _POLL_SHARE * (time.monotonic() - began))

    def _open(self) -> None:
        if self._watches is None and time.monotonic() >= self._refused_until:
            try:
                self._watches = self._open_watches(self._root, _Listener(self._burst))
            except OSError as error:
                self._refuse(error)

    def _watch(self, directory: str, absolute: Path | None = None) -> None:
        if self._watches is not None:
            try:
                self._watches.watch(directory, absolute)
            except OSError as error:
                self._refuse(error)

    def _watch_git(self) -> None:
        git = self._git = git_directory(self._root)
        if git is not None:
            self._watch(".git", git)
            self._watch(".git/info", common_directory(git) / "info")

    def _refuse(self, error: OSError) -> None:
        """Does without the kernel for a while. Its watches are given back: other programs of this person need some too."""
        self.problem = _why_not(error)
        self._refused_until = time.monotonic() + self._settings.rescan_seconds
        self.close()

    # --- asking ---

    def ask_rescan(self) -> None:
        """Makes `next()` return a batch with `rescan`, as soon as it can."""
        self._burst.add_everything()

    def catch_up(self, seconds: float) -> bool:
        """True when what was saved before the call is dealt with: at once as a rule. False where that takes longer than `seconds`,
        or cannot be known because nothing is watched."""
        watches = self._watches
        try:
            return watches is not None and watches.mark() and self._burst.caught_up(seconds)
        except OSError:
            return False  # closed meanwhile

    # --- batches ---

    def next(self, timeout: float) -> Batch | None:
        """The next burst, after a short silence or when it has lasted too long; None when nothing happens for `timeout`.

        What git does is one burst: its lock and its silence are waited for with more patience.
        """
        if not self._burst.begun(timeout if self._watches is not None else min(timeout, self._poll_seconds)):
            self._settle(time.monotonic())  # a scan that is due does not look at half a branch either
            return None
        self._settle(time.monotonic())
        return self._batch(self._burst.take())

    def _settle(self, began: float) -> None:
        while (wait := self._unsettled(began)) > 0:
            self._burst.pause(wait)

    def _unsettled(self, began: float) -> float:
        """Seconds to wait before asking again; none or less when the burst is over."""
        burst, now = self._burst, time.monotonic()
        if burst.everything or now > began + _GIT_PATIENCE:
            return 0.0
        if self._git is not None and at_work(self._git, _GIT_PATIENCE):
            return _GIT_LOOK
        quiet = 0.0 if burst.hurried else self._settings.quiet_seconds
        latest = max(began, burst.git) + self._settings.patience_seconds
        return min(burst.last + quiet, latest) - now

    def _batch(self, seen: Seen) -> Batch:
        if seen.everything or identity(self._root) != self._identity or any(map(_changes_rules, seen.paths)):
            return RESCAN
        directories = _outermost({path[:-1] for path in seen.paths if path.endswith("/")})
        if len(directories) > _MOST_SUBTREES:
            return RESCAN
        if directories:
            self._rules.forget()  # what was a repository of its own, or had an ignore file, may have been replaced
        files = sorted(path for path in seen.paths if not path.endswith("/") and not _within(path, directories))
        return Batch(
            tuple(_change(self._root, path) for path in files if not self._rules.ignored(path)),
            tuple(path for path in directories if not self._rules.ignored(path, directory=True)),
        )


class _Listener:
    """From the kernel's thread into the burst."""

    def __init__(self, burst: Burst) -> None:
        self._burst = burst

    def changed(self, path: str, directory: bool) -> None:
        if path.startswith(".git/") and path != ".git/info/exclude":
            if path in (".git/index.lock", ".git/HEAD", ".git/ORIG_HEAD"):
                self._burst.git_moved()
        else:
            self._burst.add(f"{path}/" if directory else path)

    def uprooted(self) -> None:
        self._burst.add_everything()

    def lost(self) -> None:
        log.info("the kernel dropped events: everything is looked at again")
        self._burst.add_everything()


def _changes_rules(path: str) -> bool:
    """True for an ignore file, and for a `.git` that makes or unmakes a repository."""
    name = path.rstrip("/").rpartition("/")[2]
    return name in (IGNORE_FILE, ".git") or path == ".git/info/exclude"


def _outermost(directories: set[str]) -> list[str]:
    """Without those below another one."""
    kept: list[str] = []
    for directory in sorted(directories, key=lambda path: path.split("/")):
        if not kept or not directory.startswith(f"{kept[-1]}/"):
            kept.append(directory)
    return kept


def _within(path: str, directories: list[str]) -> bool:
    return any(path.startswith(f"{directory}/") for directory in directories)


def _change(root: Path, path: str) -> FileChange:
    # The order of events does not matter: what counts is whether the file is there now. A link is as good as gone.
    there = not (root / path).is_symlink() and (root / path).exists()
    return FileChange(path=path, kind=ChangeKind.WRITTEN if there else ChangeKind.DELETED)


def _why_not(error: OSError) -> str:
    meanwhile = "so the repository is looked through every few seconds instead. To see changes at once: sudo sysctl"
    if error.errno == errno.ENOSPC:
        limit = _limit("max_user_watches")
        return (
            f"There are more directories to watch than this system lets one user have (fs.inotify.max_user_watches is {limit:,}), "
            f"{meanwhile} fs.inotify.max_user_watches={max(524_288, 2 * limit)}"
        )
    if error.errno == errno.EMFILE:
        limit = _limit("max_user_instances")
        return (
            f"Too many programs of this user watch files already (fs.inotify.max_user_instances is {limit:,}), "
            f"{meanwhile} fs.inotify.max_user_instances={max(1024, 2 * limit)}"
        )
    return f"The repository cannot be watched ({error.strerror or error}), so it is looked through every few seconds instead."


def _limit(name: str) -> int:
    """0 where the kernel does not tell."""
    try:
        return int((_LIMITS / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
