"""The files that a bundle is written to: FILE, or its parts. They are named `.partial` until all of it is on the disk."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from offline_agent.bundle.bootstrap.parts import MOST, is_part, part_names, parts_beside
from offline_agent.errors import InUse, StorageError, UsageError

PARTIAL = ".partial"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Volumes:
    """`size` bytes at `out`, in parts of at most `split` bytes where it is given.

    Raises UsageError where a bundle of that name is there already and `replace` is not set, for the name of a part and for parts
    that are too many; StorageError where there is not room enough.
    """

    def __init__(self, out: Path, size: int, split: int | None, replace: bool) -> None:
        if is_part(out.name):
            raise UsageError(
                f"{out.name} is named as a part of a bundle. Give the name of the whole: parts are numbered by themselves."
            )
        self._out = out
        self._split = split or size
        self.paths = tuple(out.with_name(name) for name in part_names(out.name, self._count(size)))
        self._older = _parts_there(out)
        if self._older and not replace:
            raise UsageError(f"{self._older[0]} is there already. Give another name, or --replace to have it replaced.")
        self._check_room(size)
        self._files: list[int] = []

    @contextmanager
    def filled(self) -> Iterator[None]:
        """In the block the bytes are written. When it ends, the files get their names; where it raises, they are removed, and what
        was there before is as it was. Raises StorageError, InUse where another process writes the same bundle."""
        try:
            self._open()
            yield
            self._publish()
        except BaseException:
            self._abandon()
            raise
        finally:
            self._close()

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Writes so that `data` begins at byte `offset` of the bundle. Raises StorageError."""
        rest = memoryview(data)
        while rest:
            number, at = divmod(offset, self._split)
            with self._explained():
                count = os.pwrite(self._files[number], rest[: self._split - at], at)
            offset, rest = offset + count, rest[count:]

    def _count(self, size: int) -> int:
        count = -(-size // self._split)
        if count > MOST:
            raise UsageError(
                f"{size:,} bytes make {count:,} parts of {self._split:,}, and {MOST} is the most. Give larger parts."
            )
        return count

    def _check_room(self, size: int) -> None:
        with self._explained():
            status = os.statvfs(self._out.parent)
        free = status.f_bavail * status.f_frsize
        if free < size:
            raise StorageError(
                f"{self._out.parent} has room for {free:,} bytes and the bundle takes {size:,}. Make room there."
            )

    def _open(self) -> None:
        for path in self.paths:
            with self._explained():
                self._files.append(os.open(_partial(path), _NEW, 0o666))
                self._lock(path)
                os.ftruncate(self._files[-1], 0)  # what a killed process left

    def _lock(self, path: Path) -> None:
        try:
            fcntl.flock(self._files[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()  # so that nothing of the other's is removed
            raise InUse(f"Another process is writing {path}. Wait for it, or give another name.") from None

    def _publish(self) -> None:
        """The first part last: who sees it can rely on the others. Older parts go before: mixed with new ones, they look whole."""
        with self._explained():
            for file in self._files:
                os.fsync(file)
            for path in self._older if len(self.paths) > 1 else ():
                path.unlink()
            for path in reversed(self.paths):
                os.replace(_partial(path), path)
            for path in set(self._older) - set(self.paths):
                path.unlink(missing_ok=True)
            _sync_directory(self._out.parent)

    def _abandon(self) -> None:
        for path, _ in zip(self.paths, self._files, strict=False):
            with suppress(OSError):
                _partial(path).unlink()

    def _close(self) -> None:
        while self._files:
            os.close(self._files.pop())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise StorageError(f"There is no directory {self._out.parent}. Make it, or write elsewhere.") from None
        except OSError as error:
            raise StorageError(
                f"{self._out} cannot be written: {error.strerror}. Check the disk and who may write there; "
                "a FAT32 stick takes no file of 4 GiB, but --split 4G does."
            ) from None


def _partial(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL)


def _parts_there(out: Path) -> list[Path]:
    """The files of bundles of that name, whole or in parts."""
    parts = [
        out.with_name(part_names(out.name, count)[number - 1])
        for count, numbers in sorted(parts_beside(out).items())
        for number in sorted(numbers)
        if 1 <= number <= count > 1
    ]
    return [out, *parts] if os.path.lexists(out) else parts


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
