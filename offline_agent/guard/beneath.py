"""The way from a root down to a path below it, on which no symbolic link is followed.

Each step is opened by itself, as a place only, so that nobody who changes the tree meanwhile can lead out of it.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from offline_agent.errors import GuardError

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""How to open what may be anything: nothing blocks."""
DOWN = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How to open a directory to go on from there, for which it need not be readable."""


class ThroughLink(GuardError):
    """The way to a path leads through a symbolic link, so nothing in the tree has that path."""


def relative(path: str) -> str:
    """The path in the one way that it is written here. Raises GuardError for one that leads out of the root."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise GuardError(f"{path!a} is no name that a file can have. Look at what the directory has.") from None
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise GuardError(f"{shown(path)} is no path below the repository. Give it relative to the repository's root.")
    return str(pure)


def shown(path: str) -> str:
    """A path as a terminal and JSON can take it: names need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def names_in(root: Path, path: str) -> list[str]:
    """The paths of what is in the directory `path`, in order; none where it is no directory, or beyond a symbolic
    link. Raises GuardError."""
    with suppress(ThroughLink), explained("read", path), parent_of(root, path) as (parent, name):
        if parent < 0:
            return []
        try:
            descriptor = os.open(name, READ | os.O_DIRECTORY, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            return sorted(below if path == "." else f"{path}/{below}" for below in os.listdir(descriptor))
        finally:
            os.close(descriptor)
    return []


def status_of(root: Path, path: str) -> os.stat_result | None:
    """What lstat(2) says; None where there is nothing, as beyond a symbolic link. Raises GuardError."""
    with suppress(ThroughLink), explained("read", path), parent_of(root, path) as (parent, name):
        return status_in(parent, name)
    return None


@contextmanager
def parent_of(root: Path, path: str) -> Iterator[tuple[int, str]]:
    """The directory that `path` is in, opened as a place only, and the last name. The descriptor is -1 where there is no such
    directory. Raises GuardError where the way leads through a symbolic link."""
    *steps, name = path.split("/")
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for step in steps:
            below = _down(descriptor, step, path)
            os.close(descriptor)
            descriptor = below
            if below < 0:
                break
        yield descriptor, name
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _down(descriptor: int, step: str, path: str) -> int:
    try:
        return os.open(step, DOWN, dir_fd=descriptor)
    except FileNotFoundError:
        return -1
    except NotADirectoryError:
        status = status_in(descriptor, step)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise ThroughLink(
                f"{shown(path)} leads through the symbolic link {shown(step)}, which may lead anywhere. Name the place itself."
            ) from None
        return -1


def status_in(parent: int, name: str) -> os.stat_result | None:
    """What lstat(2) says of a name in the directory of that descriptor; None where there is nothing. Raises OSError."""
    if parent < 0:
        return None
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def existing(parent: int) -> int:
    """The descriptor. Raises FileNotFoundError where there is no such directory."""
    if parent < 0:
        raise FileNotFoundError(2, "there is no such directory to be in")
    return parent


@contextmanager
def explained(done: str, path: str) -> Iterator[None]:
    """An OSError becomes a GuardError, which says what cannot be `done`."""
    try:
        yield
    except OSError as error:
        raise GuardError(
            f"{shown(path)} cannot be {done}: {error.strerror}. Check what is there, and that you may write there."
        ) from None
