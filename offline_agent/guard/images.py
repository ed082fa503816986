"""Takes an image of a path, and makes the path as an image says.

No symbolic link is followed on the way (beneath.py) or at the end. Nothing that is opened can block or has an effect by being
opened: only regular files are.

An image does not hold extended attributes, ACLs, which names are hard links of one file, and the owner where it is not passed on.
"""

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from offline_agent.actions import FileImage
from offline_agent.errors import GuardError
from offline_agent.guard.beneath import (
    DOWN,
    READ,
    ThroughLink,
    existing,
    explained,
    parent_of,
    relative,
    shown,
    status_in,
)

PIECE = 1024 * 1024
"""Bytes that are read at once."""

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "it is a named pipe"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
)


class FileChanged(GuardError):
    """A file was written while it was read. Try again."""


class Captured(NamedTuple):
    """An image, what the file has in it, and its owner and group. `why` says, of an image that is lost, what keeps its content from
    being kept. `inode` is a file's. The content is read when it is iterated, which raises FileChanged where it is no longer that of
    the image."""

    image: FileImage
    content: Iterable[bytes] = ()
    owner: tuple[int, int] = (-1, -1)
    why: str = ""
    inode: int = 0


def capture(root: Path, path: str, longest: int) -> Captured:
    """What is at `path`, below `root`. A file of more than `longest` bytes is lost, as is what is neither file, directory nor link.

    Raises GuardError where the way leads through a symbolic link or cannot be gone.
    """
    path = relative(path)
    with explained("read", path), parent_of(root, path) as (parent, name):
        status = status_in(parent, name)
        if status is None:
            return Captured(FileImage(path=path, kind="absent"))
        if stat.S_ISREG(status.st_mode):
            return _file(root, path, parent, name, status, longest)
        return Captured(_special(parent, path, name, status), (), _owner(status), _why(status))


def look(root: Path, path: str, longest: int) -> Captured:
    """As `capture`, but that beyond a symbolic link there is nothing."""
    try:
        return capture(root, path, longest)
    except ThroughLink:
        return Captured(FileImage(path=path, kind="absent"))


def restore(root: Path, image: FileImage, content: Iterable[bytes] = (), owner: tuple[int, int] | None = None) -> None:
    """Makes the path as `image` says, mode and mtime included. A file or a link is made beside and then put in place, in one step;
    of a directory nothing below is changed. `owner` is kept as far as this process may.

    Raises GuardError where the way leads through a symbolic link, where something is in the way (a directory where a file belongs,
    a directory that is not empty where nothing does) and where it cannot be written.
    """
    with explained("restored", image.path), parent_of(root, image.path) as (parent, name):
        match image.kind:
            case "absent":
                _remove(parent, name)
            case "directory":
                _make_directory(parent, name, image, owner)
            case "symlink" | "file":
                _replace(parent, name, image, content, owner)


def sweep(root: Path, path: str) -> None:
    """Removes what a `restore` of that path left behind when it was killed. Raises GuardError."""
    with explained("restored", path), suppress(FileNotFoundError, ThroughLink), parent_of(root, path) as (parent, _):
        os.unlink(_beside(path), dir_fd=existing(parent))


def _file(root: Path, path: str, parent: int, name: str, status: os.stat_result, longest: int) -> Captured:
    image = FileImage(
        path=path,
        kind="file",
        mode=stat.S_IMODE(status.st_mode),
        mtime_ns=status.st_mtime_ns,
        size=status.st_size,
        lost=True,
    )
    if status.st_size > longest:
        return Captured(image, (), _owner(status), f"it has {status.st_size:,} bytes, more than is kept")
    try:
        descriptor = _open_file(parent, name)
    except PermissionError:
        return Captured(image, (), _owner(status), "it may not be read")
    with open(descriptor, "rb", buffering=0) as file:
        first = file.read(PIECE) or b""
        digest, size = hashlib.sha256(first), len(first)
        while piece := file.read(PIECE):
            digest.update(piece)
            size += len(piece)
    known = image.model_copy(update={"size": size, "sha256": digest.hexdigest(), "lost": False})
    content = (first,) if size == len(first) else _Content(root, known)
    return Captured(known, content, _owner(status), "", status.st_ino)


class _Content:
    """The content of a long file, read when it is asked for."""

    def __init__(self, root: Path, image: FileImage) -> None:
        self._root = root
        self._image = image

    def __iter__(self) -> Iterator[bytes]:
        path, digest = self._image.path, hashlib.sha256()
        with explained("read", path), self._opened() as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                yield piece
        if digest.hexdigest() != self._image.sha256:
            raise FileChanged(f"{shown(path)} is being written while it is read. Try again when that has ended.")

    def _opened(self) -> io.FileIO:
        with parent_of(self._root, self._image.path) as (parent, name):
            return io.FileIO(_open_file(parent, name))


def _open_file(parent: int, name: str) -> int:
    """Raises FileChanged for what is no regular file any more."""
    descriptor = os.open(name, READ, dir_fd=parent)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise FileChanged(f"{shown(name)} is being replaced while it is read. Try again when that has ended.")


def _special(parent: int, path: str, name: str, status: os.stat_result) -> FileImage:
    """The image of what is no regular file."""
    mode, time = stat.S_IMODE(status.st_mode), status.st_mtime_ns
    if stat.S_ISDIR(status.st_mode):
        return FileImage(path=path, kind="directory", mode=mode, mtime_ns=time)
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(name, dir_fd=parent)
        return FileImage(path=path, kind="symlink", mode=mode, mtime_ns=time, target=target)
    return FileImage(path=path, kind="file", mode=mode, mtime_ns=time, lost=True)


def _why(status: os.stat_result) -> str:
    return next((why for fits, why in _SPECIAL if fits(status.st_mode)), "")


def _owner(status: os.stat_result) -> tuple[int, int]:
    return status.st_uid, status.st_gid


def _remove(parent: int, name: str) -> None:
    status = status_in(parent, name)
    if status is None:
        return
    if stat.S_ISDIR(status.st_mode):
        os.rmdir(name, dir_fd=parent)
    else:
        os.unlink(name, dir_fd=parent)


def _make_directory(parent: int, name: str, image: FileImage, owner: tuple[int, int] | None) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=existing(parent))
        _own(parent, name, owner)
    descriptor = os.open(name, DOWN, dir_fd=parent)
    try:
        # By this way, since a descriptor that is a place only has no fchmod(2), and another takes leave to read.
        os.chmod(f"/proc/self/fd/{descriptor}", image.mode)
        os.utime(f"/proc/self/fd/{descriptor}", ns=(_accessed(parent, name), image.mtime_ns))
    finally:
        os.close(descriptor)


def _replace(parent: int, name: str, image: FileImage, content: Iterable[bytes], owner: tuple[int, int] | None) -> None:
    beside = _beside(image.path)
    with suppress(FileNotFoundError):
        os.unlink(beside, dir_fd=existing(parent))  # of one that was killed
    try:
        if image.kind == "symlink":
            os.symlink(image.target, beside, dir_fd=parent)
            _own(parent, beside, owner)
        else:
            _write(parent, beside, image, content, owner)
        os.utime(beside, ns=(image.mtime_ns, image.mtime_ns), dir_fd=parent, follow_symlinks=False)
        os.rename(beside, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside, dir_fd=parent)
        raise


def _write(parent: int, name: str, image: FileImage, content: Iterable[bytes], owner: tuple[int, int] | None) -> None:
    descriptor = os.open(name, _WRITE, 0o600, dir_fd=parent)
    with open(descriptor, "wb", buffering=0) as file:
        for piece in content:
            left = memoryview(piece)
            while left:
                left = left[file.write(left) :]
        _own(parent, name, owner)
        os.fchmod(descriptor, image.mode)  # last: a new owner takes the set-user-id bit away


def _own(parent: int, name: str, owner: tuple[int, int] | None) -> None:
    if owner is not None:
        with suppress(PermissionError):  # only root may give files away
            os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)


def _accessed(parent: int, name: str) -> int:
    return os.stat(name, dir_fd=parent, follow_symlinks=False).st_atime_ns


def _beside(path: str) -> str:
    """The name under which a path is made before it is put in place: always the same, so that what a kill leaves is found."""
    return f".offline-agent-{hashlib.sha256(os.fsencode(path)).hexdigest()[:24]}"
