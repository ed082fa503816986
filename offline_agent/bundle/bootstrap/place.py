"""New files below a directory, reached step by step without following a symbolic link, and made under another name until whole."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from offline_agent.errors import StorageError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Place:
    """Names are paths below `directory`, which is there, with forward slashes; names.py has checked them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made: list[tuple[str, bool]] = []  # the name, and whether it is a directory

    def check_room(self, size: int) -> None:
        """Raises StorageError where so many bytes do not fit."""
        with self._explained(""):
            status = os.statvfs(self._directory)
        free = status.f_bavail * status.f_frsize
        if free < size:
            raise StorageError(
                f"{self._directory} has room for {free:,} bytes and {size:,} are needed. Make room and try again."
            )

    @contextmanager
    def new(self, name: str) -> Iterator[BinaryIO]:
        """A file to write to. It gets its name when the block ends, replacing what had it, and is on the disk then; where the block
        raises, nothing of it stays. Raises StorageError."""
        last = name.rsplit("/", 1)[-1]
        temporary = f".{secrets.token_hex(8)}.partial"
        with self._explained(name), self._parent_of(name) as parent:
            try:
                with open(os.open(temporary, _NEW, 0o666, dir_fd=parent), "wb", buffering=0) as file:
                    yield file
                    os.fsync(file.fileno())
                os.replace(temporary, last, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=parent)
                raise
        self._made.append((name, False))

    def undo(self) -> None:
        """Removes what was made here. What cannot be removed stays."""
        while self._made:
            name, is_directory = self._made.pop()
            with suppress(OSError, StorageError), self._parent_of(name) as parent:
                remove = os.rmdir if is_directory else os.unlink
                remove(name.rsplit("/", 1)[-1], dir_fd=parent)

    @contextmanager
    def _parent_of(self, name: str) -> Iterator[int]:
        """The directory that `name` is in, opened; made where it is not there."""
        steps = name.split("/")[:-1]
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for count, step in enumerate(steps, 1):
                below = self._down(descriptor, step, "/".join(steps[:count]))
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def _down(self, parent: int, step: str, path: str) -> int:
        with suppress(FileExistsError):
            os.mkdir(step, dir_fd=parent)
            self._made.append((path, True))
        return os.open(step, _DIRECTORY, dir_fd=parent)

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"{self._directory / name} cannot be written: {error.strerror}. Make room, or check who may write there."
            ) from None
