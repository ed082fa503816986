"""Reading a text file, and replacing it whole or not at all.

A path here is absolute and has no symbolic links in it: whoever decided about it resolved it. Every directory on the way is opened
without following links, so that one which was put there since leads nowhere.

A file is replaced by another under its name, made beside it. Mode, owner and extended attributes are the old one's. A hard link is
broken by that, on purpose: the other name may be outside the repository, where nothing may change.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from offline_agent.actions import FileText
from offline_agent.errors import EditError, GuardError
from offline_agent.textfile import described, file_text

_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a fifo that took the file's place must not block.
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_MAKING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ANY_WRITE = 0o222


def read_bytes(path: Path, limit: int, shown: str = "") -> bytes:
    """The bytes of a regular file of at most `limit`. `shown` is what messages call it. Raises GuardError."""
    shown = shown or str(path)
    with _explained(shown, "read", GuardError), _parent(path) as directory:
        descriptor = os.open(path.name, _READING, dir_fd=directory)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise GuardError(f"{shown} is a directory. List it, or name a file in it.")
            if not stat.S_ISREG(status.st_mode):
                raise GuardError(f"{shown} is no regular file. Name another.")
            data = file.read(limit + 1) if status.st_size <= limit else b""
    if max(len(data), status.st_size) > limit:
        raise GuardError(
            f"{shown} has {status.st_size:,} bytes, and at most {limit:,} can be read. Search it with grep or run a command."
        )
    return data


def read_text(path: Path, limit: int, shown: str = "") -> FileText:
    """The text of a file of at most `limit` bytes; its path is `shown`. Raises GuardError, which says what it is where it is no
    text."""
    data = read_bytes(path, limit, shown)
    text = file_text(data, shown or str(path))
    if text is None:
        raise GuardError(f"{shown or path} is {described(data)} of {len(data):,} bytes, not text. Name a text file.")
    return text


def write_atomic(path: Path, data: bytes, mode: int | None = None, shown: str = "") -> None:
    """Makes or replaces a regular file. `mode` is for one that is not there yet; by default what the umask leaves of 0666.

    It is on disk when this returns. Raises EditError, and then all is as it was: where the file or its directory is read-only,
    where the directory is gone, where the disk is full, and where its owner could not be kept.
    """
    shown = shown or str(path)
    with _explained(shown, "written", EditError), _parent(path) as directory:
        before = _status(path.name, directory)
        if before is not None:
            _must_be_writable(path.name, directory, before, shown)
        temporary = f".offline-agent-{secrets.token_hex(8)}"
        try:
            _make(temporary, directory, data, path.name if before else "", mode)
            os.rename(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise
        _sync(path.parent.name, directory)


def _make(name: str, directory: int, data: bytes, like: str, mode: int | None) -> None:
    """A new file on disk with the mode, owner and attributes of the file `like`, or with `mode`."""
    with open(os.open(name, _MAKING, 0o666, dir_fd=directory), "wb", buffering=0) as file:
        _write_all(file.fileno(), data)
        if like:
            with open(os.open(like, _READING, dir_fd=directory), "rb", buffering=0) as old:
                _dress(file.fileno(), old.fileno())
        elif mode is not None:
            os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _dress(new: int, old: int) -> None:
    """Gives one open file what the other has besides content."""
    status = os.fstat(old)
    own = os.fstat(new)
    if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
        os.fchown(new, status.st_uid, status.st_gid)
    if hasattr(os, "listxattr"):  # only on Linux
        for name in filter(_kept, os.listxattr(old)):
            os.setxattr(new, name, os.getxattr(old, name))
    os.fchmod(new, stat.S_IMODE(status.st_mode))  # last: a change of owner takes bits away


def _kept(attribute: str) -> bool:
    """A person's own, and who else may have the file. The kernel gives a new file the labels of its own that it needs."""
    return attribute.startswith("user.") or attribute == "system.posix_acl_access"


def _must_be_writable(name: str, directory: int, status: os.stat_result, shown: str) -> None:
    """Renaming over a file asks nobody whether that file may be written."""
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise EditError(f"{shown} is {kind}. Nothing was written. Name another.")
    # For the superuser, too, who may write anything: whoever took these bits away meant it.
    if not status.st_mode & _ANY_WRITE or not os.access(name, os.W_OK, dir_fd=directory, effective_ids=True):
        raise EditError(f"{shown} is read-only. Nothing was written. Ask the user to make it writable, or leave it.")


def _status(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


@contextmanager
def _parent(path: Path) -> Iterator[int]:
    """A descriptor of the directory that `path` is in, reached without following a link. Raises an OSError."""
    descriptor = os.open(path.anchor, _DIRECTORY)
    try:
        for part in path.parts[1:-1]:
            below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(name: str, directory: int) -> None:
    """The new name is on disk. A directory that may be searched but not read cannot be waited for."""
    with suppress(PermissionError):
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _explained(shown: str, done: str, kind: type[GuardError]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        written = " Nothing was written." if done == "written" else ""
        raise kind(f"{shown} cannot be {done}: {_reason(error)}.{written} {_advice(error)}") from None


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ELOOP:
            return "it is a symbolic link, or one leads to it"
        case errno.ENOENT:
            return "there is no such file or directory"
        case errno.ENOTDIR:
            return "a file, or a symbolic link, stands where a directory should"
        case _:
            return (error.strerror or str(error)).lower()


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return "Ask the user to free some space."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "Ask the user for leave to it, or use another file."
        case errno.ENOENT | errno.ENOTDIR:
            return "Look at what is there with list or glob."
        case _:
            return "Name another file."
