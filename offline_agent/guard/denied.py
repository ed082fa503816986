"""Every file of the repository that may not be read, so that the sandbox can leave it out for whatever a command does.

It is asked for before each command, so a directory is listed again only when it changed: its inode and its change time tell, which
no process can set back as it can the time of modification. A change in the same instant as the listing would not be seen, so a
directory that had only just changed is listed again, as git does with its index.

Also found: hard links of a denied file, whatever they are called, and what a symbolic link with a denied name leads to.
"""

import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from offline_agent.guard.permissions import denies_read, read_denials
from offline_agent.guard.policy import Policy

_JUST_NS = (
    50_000_000  # a clock tick of the kernel is 1 to 10 ms; two seconds on FAT, which has no change time to trust anyway
)
_GIT = ".git"
# Of a git directory, all that grows with the history: names there are hashes, or branches that may be called anything.
_GIT_HISTORY = frozenset({"objects", "refs", "logs", "lfs", "rr-cache"})
_GIT_CONFIG = frozenset({"config", "config.worktree"})
_LARGEST_CONFIG = 1_000_000  # bytes; a larger one is taken to hold a credential
# An address with a password, or with so long a user that it is a token; and the headers and helpers that hold one.
_CREDENTIAL = re.compile(
    rb"https?://[^/\s\"@]*(?::[^/\s\"@]+|[^/\s\"@:]{20,})@|extraheader|(?:pass|token|secret)\w*\s*=",
    re.IGNORECASE,
)


class _Listing(NamedTuple):
    """What a directory had. `denied` and `links` are paths, `inodes` of every file by path, for hard links."""

    identity: tuple[int, int, int]
    directories: tuple[str, ...]
    denied: tuple[str, ...]
    links: tuple[str, ...]
    inodes: tuple[tuple[int, str], ...]
    whole: bool
    settled: bool


class DeniedFiles:
    """The files below `root` that `policy` denies to read. One per thread."""

    def __init__(self, root: Path, policy: Policy, clock: Callable[[], int] = time.time_ns) -> None:
        self._root = os.fspath(root)
        self._prefix = os.path.join(self._root, "")
        self._denial = read_denials(policy)
        self._clock = clock
        self._listings: dict[str, _Listing] = {}
        self.listed = 0
        """How many directories were listed so far."""
        self._configs: dict[str, tuple[tuple[int, int, int], bool]] = {}

    def now(self) -> tuple[str, ...]:
        """Their paths, relative to the root and sorted, of what exists at this moment. A directory that cannot be listed is among
        them as a whole."""
        current = dict(self._walk())
        self._listings = current
        named = [path for listing in current.values() for path in self._of(listing)]
        return tuple(sorted({*named, *self._other_names(named)}))

    def holds(self, path: str) -> bool:
        """Whether the file at `path`, relative to the root and resolved, is one of them, by this name or another."""
        return path in self.now()

    def _walk(self) -> Iterator[tuple[str, _Listing]]:
        """Every directory below the root, the root itself as the empty path."""
        stack = [""]
        while stack:
            directory = stack.pop()
            listing = self._listing(directory)
            if listing is not None:
                yield directory, listing
                stack.extend(listing.directories)

    def _listing(self, directory: str) -> _Listing | None:
        """None for a directory that is gone."""
        path = self._prefix + directory
        try:
            identity = _identity(os.lstat(path))
            known = self._listings.get(directory)
            if known is not None and known.identity == identity and known.settled:
                return known
            settled = abs(self._clock() - identity[2]) > _JUST_NS
            with os.scandir(path) as entries:
                self.listed += 1
                return self._listed(directory, list(entries), identity, settled)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:  # its owner could open it up, with a command
            return _Listing((0, 0, 0), (), (directory or ".",), (), (), whole=True, settled=False)

    def _listed(
        self, directory: str, entries: "Sequence[os.DirEntry[str]]", identity: tuple[int, int, int], settled: bool
    ) -> _Listing:
        directories, denied, links, inodes = [], [], [], []
        inside_git = _GIT in directory.lower().split("/")
        history = _GIT_HISTORY if inside_git and any(entry.name == "HEAD" for entry in entries) else frozenset()
        for entry in entries:
            path = f"{directory}/{entry.name}" if directory else entry.name
            if entry.is_symlink():
                links.append(path)
            elif entry.is_dir(follow_symlinks=False):
                directories += [] if entry.name in history else [path]
            else:
                inodes.append((entry.inode(), path))
                denied += [path] if self._denial(path) else []
        return _Listing(
            identity, tuple(directories), tuple(denied), tuple(links), tuple(inodes), whole=False, settled=settled
        )

    def _of(self, listing: _Listing) -> Iterator[str]:
        for path in listing.denied:
            if listing.whole or not _is_git_config(path) or self._holds_a_credential(path):
                yield path
        for link in listing.links:
            yield from self._led_to(link)

    def _led_to(self, link: str) -> Iterator[str]:
        """What a symbolic link leads to below the root, where its own name is denied, or whatever is below it as a directory."""
        if not self._is_named(link) and not self._is_named(f"{link}/\0"):  # a name that no pattern has
            return
        real = os.path.realpath(self._prefix + link)
        name = f"{link}/\0" if os.path.isdir(real) else link
        if real.startswith(self._prefix) and os.path.lexists(real) and self._is_named(name):
            yield real.removeprefix(self._prefix)

    def _is_named(self, path: str) -> bool:
        """Whether a rule denies it that names something. One that denies all but what others allow does not mean what a link leads
        to: that is decided by its own name."""
        verdict = self._denial(path)
        return verdict is not None and verdict.rule is not None and bool(verdict.rule.pattern.strip("*?"))

    def _other_names(self, named: Sequence[str]) -> Iterator[str]:
        """Hard links of the files that are denied."""
        wanted = {identity for path in named if (identity := self._linked(path))}
        if not wanted:
            return
        inodes = {inode for _, inode in wanted}
        for listing in self._listings.values():
            for inode, path in listing.inodes:
                if inode in inodes and self._linked(path) in wanted:
                    yield path

    def _linked(self, path: str) -> tuple[int, int] | None:
        """Which file it is, where it has more than one name."""
        try:
            status = os.lstat(self._prefix + path)
        except OSError:
            return None
        return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 else None

    def _holds_a_credential(self, path: str) -> bool:
        """Without its configuration git does not know the repository, so a command is denied it only where there is a secret."""
        try:
            identity = _identity(os.lstat(self._prefix + path))
            known = self._configs.get(path)
            if known is None or known[0] != identity:
                with open(self._prefix + path, "rb") as file:
                    text = file.read(_LARGEST_CONFIG + 1)
                known = identity, len(text) > _LARGEST_CONFIG or _CREDENTIAL.search(text) is not None
                self._configs[path] = known
        except OSError:
            return True
        return known[1]


def hidden_files(root: Path, policy: Policy) -> Callable[[str], bool]:
    """Tells of a path, relative to the root and resolved, whether it may not be read, by this name or by another one that the file
    has: to whoever reads without a sandbox, hard links are files like any other."""
    denied, files = denies_read(policy), DeniedFiles(root, policy)
    return lambda path: denied(path) or (has_other_names(root / path) and files.holds(path))


def has_other_names(path: Path) -> bool:
    try:
        return os.lstat(path).st_nlink > 1
    except OSError:
        return False


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _is_git_config(path: str) -> bool:
    return _GIT in path.split("/") and path.rpartition("/")[2] in _GIT_CONFIG
