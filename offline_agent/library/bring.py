"""One file from anywhere on this machine into quarantine: shared where the file system can, linked where that is safe, else copied.

A clone shares the blocks until one side is written to: it costs nothing, and is ours alone. A hard link is the same file under
another name: whoever may write to it changes the model. So only a file is linked that belongs to this user or to root and that
nobody else may write to. Programs that keep models replace whole files, which leaves the other name alone; what writes into one
all the same is found by `models verify`.

What changes while it is read is refused: sizes and times are compared before and after.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Literal, NamedTuple

from offline_agent.errors import ModelMismatch, ModelMissing, StorageError
from offline_agent.library.digest import copy_open, hash_file

_FICLONE = 0x40049409
"""ioctl_ficlone(2), from linux/fs.h; x86-64 and aarch64."""
_ROOT = 0
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH
_ADVICE = {
    errno.ENOSPC: "Free some disk space and try again; nothing was lost.",
    errno.EDQUOT: "Free some disk space and try again; nothing was lost.",
    errno.EFBIG: "That file system takes no files so large: name another place in [library] directory.",
}


class Placed(NamedTuple):
    """What became of a file without its bytes being copied; for "copy", why they have to be, in words."""

    way: Literal["clone", "link", "copy"]
    why: str = ""


class Original:
    """A file to bring, open; a context manager. Raises ModelMissing and StorageError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise ModelMissing(f"{shown(path)} is not there. Check the path, and that its disk is mounted.") from None
        except OSError as error:
            raise StorageError(
                f"{shown(path)} cannot be read ({error.strerror}). Check that it may be read, and its disk."
            ) from None
        self._status = os.fstat(descriptor)
        if not stat.S_ISREG(self._status.st_mode):
            os.close(descriptor)
            raise StorageError(f"{shown(path)} is not a regular file. Name a file with a model.")
        self._file = FileIO(descriptor)

    def __enter__(self) -> "Original":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def size(self) -> int:
        return self._status.st_size

    def place(self, target: Path, link: bool, shared: int) -> Placed:
        """Makes the new `target` a clone or link of the file, or says why it has to be copied. `link` allows links. `shared` is the
        mode of the library: who may read that must be able to read the file. Raises StorageError."""
        with _explained(self._path, target):
            if self._cloned(target):
                return Placed("clone")
            if why := self._unsafe(target, shared) if link else "no link is wanted":
                return Placed("copy", why)
            return Placed("link") if self._linked(target) else Placed("copy", "its file system does not allow a link")

    def copy(self, target: Path, seen: Callable[[int], None]) -> str:
        """Copies the file to the new `target`; returns the SHA-256 of what was written. Raises StorageError and ModelMismatch."""
        with _explained(self._path, target), _created(target) as written:
            sha256 = copy_open(self._file, written, seen)
        self._check_unchanged(target)
        return sha256

    def hash(self, target: Path, seen: Callable[[int], None]) -> str:
        """The SHA-256 of what `place` made. Raises StorageError and ModelMismatch."""
        with _explained(self._path, target):
            sha256 = hash_file(target, seen)
        self._check_unchanged(target)
        return sha256

    def _cloned(self, target: Path) -> bool:
        with _created(target) as clone, suppress(OSError):  # of another disk, or a file system that cannot
            fcntl.ioctl(clone.fileno(), _FICLONE, self._file.fileno())
            return True
        target.unlink()
        return False

    def _linked(self, target: Path) -> bool:
        with suppress(OSError):  # fs.protected_hardlinks, a file system without links, or the file is gone
            os.link(self._path.resolve(), target)
            if os.path.samestat(target.lstat(), self._status):
                return True
            target.unlink()  # another file has taken its name
        return False

    def _unsafe(self, target: Path, shared: int) -> str:
        """Why the file should not be the model itself; empty where nothing is against it."""
        mode, owner = self._status.st_mode, self._status.st_uid
        if self._status.st_dev != target.parent.stat().st_dev:
            return "it lies on another disk"
        if owner not in (os.geteuid(), _ROOT):
            return "it belongs to somebody else, who could change it"
        if mode & _OTHERS_WRITE:
            return "others may write to it"
        if shared & _OTHERS_READ & ~mode:
            return "not all who may use the library may read it"
        return ""

    def _check_unchanged(self, target: Path) -> None:
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns, target.lstat().st_size) != (self.size, self._status.st_mtime_ns, self.size):
            raise ModelMismatch(
                f"{shown(self._path)} changed while it was read. Wait until what writes it is done, and import it again."
            )


def shown(path: Path) -> str:
    """A path as a terminal and JSON can take it: names need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace").replace("\0", "\\0")


def _created(target: Path) -> FileIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    return open(os.open(target, flags, 0o644), "wb", buffering=0)


@contextmanager
def _explained(path: Path, target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(
            error.errno or 0, "Check both disks, and that you may read the one and write to the other."
        )
        raise StorageError(
            f"{shown(path)} cannot be brought to {shown(target.parent)} ({error.strerror}). {advice}"
        ) from None
