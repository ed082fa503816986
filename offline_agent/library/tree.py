"""Directories of models as a whole: what is in one, what does not belong, what lasts. Symbolic links are looked at, never
followed. Everything raises OSError."""

import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

PRIVATE = 0o700
_ROOT = 0
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def listed(directory: Path) -> list[Path]:
    """What is in the directory, by name; nothing where it is not there."""
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []


def files_below(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below that is no directory, as a path with forward slashes and what lstat(2) says, by path."""
    for place in listed(directory):
        status = place.lstat()
        if stat.S_ISDIR(status.st_mode):
            yield from ((f"{place.name}/{name}", below) for name, below in files_below(place))
        else:
            yield place.name, status


def bytes_below(directory: Path) -> int:
    """Bytes of the files that go with the directory: one that has another name elsewhere does not."""
    return sum(status.st_size for _, status in files_below(directory) if status.st_nlink == 1)


def make(directory: Path) -> None:
    """Makes `directory` and what is missing above it, for its owner alone: the umask would leave them readable to others."""
    missing = [step for step in (directory, *directory.parents) if not step.exists()]
    for step in reversed(missing):
        step.mkdir(PRIVATE, exist_ok=True)


def own(directory: Path, owner: int) -> None:
    """Makes `directory` as `make` does, or sees that the one that is there may be worked in: that it is no link, that it belongs to
    this user, to root or to `owner`, and that nobody else may write to it. Else who may write above it could have us write, or
    remove, in a directory of their choice, and could change a file after it was hashed. Raises OSError where it may not be."""
    make(directory)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), _ROOT, owner):
        raise PermissionError(errno.EPERM, "it is a link, or belongs to somebody else", str(directory))
    if status.st_uid == os.geteuid() and status.st_mode & _OTHERS_WRITE:
        os.chmod(directory, PRIVATE)  # a file system without modes stays as it was mounted


def clear_links(directory: Path) -> None:
    """Removes what is below and no regular file: what is written there would go through a link."""
    for name, status in list(files_below(directory)):
        if not stat.S_ISREG(status.st_mode):
            (directory / name).unlink()


def clear(directory: Path) -> None:
    """Removes `directory` with everything in it, where it is there; of a link, the link."""
    if directory.is_symlink() or directory.is_file():
        directory.unlink()
    elif directory.exists():
        shutil.rmtree(directory)


def keep_only(directory: Path, names: Collection[str]) -> None:
    """Removes the other files, and directories that are then empty."""
    for name, _ in list(files_below(directory)):
        if name not in names:
            (directory / name).unlink()
    for above, _, _ in os.walk(directory, topdown=False):
        if Path(above) != directory and not os.listdir(above):
            os.rmdir(above)


def share(directory: Path, mode: int) -> None:
    """Gives the directory and those below it that mode."""
    for above, _, _ in os.walk(directory):
        os.chmod(above, mode)


def make_last(directory: Path) -> None:
    """What is in the directory, and in those below, survives a power cut."""
    for above, _, files in os.walk(directory):
        for name in files:
            sync(Path(above, name))
        sync(Path(above))


def sync(path: Path) -> None:
    """Makes the content of a file last, or what was created, renamed or removed in a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
