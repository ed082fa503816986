"""One process at a time fills, replaces or removes a model."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from offline_agent.errors import InUse, StorageError


@contextmanager
def held(path: Path, name: str) -> Iterator[None]:
    """Holds the lock in the file `path`, which is there for so long; a process that was killed holds nothing.

    Raises InUse, naming the model `name`, where another process or thread holds it, and StorageError.
    """
    descriptor = _lock(path, name)
    try:
        yield
    finally:
        with suppress(OSError):  # who waits for it finds out that the file is no more
            path.unlink()
        os.close(descriptor)


def _lock(path: Path, name: str) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise _unusable(path, error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                _sign(descriptor)
                return descriptor
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise InUse(
                f"Another process (pid {holder}) is busy with the model {name}. Wait for it, or end it, and try again."
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise _unusable(path, error) from None
        os.close(descriptor)  # whose it was has just removed it


def _sign(descriptor: int) -> None:
    with suppress(OSError):  # a full disk: the number is for people only
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _unusable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"The lock {path} cannot be had ({error.strerror}). Check that you may write in its directory.")
