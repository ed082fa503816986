"""One owner per index: two that watch and embed the same files would do everything twice and wait for each other."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from offline_agent.errors import IndexUnavailable

LOCK_FILE = "owner.lock"


class AlreadyOwned(IndexUnavailable):
    """Another process holds the lock."""


@contextmanager
def owned(directory: Path, patience: float = 0.0) -> Iterator[None]:
    """Holds the index in `directory`. Raises AlreadyOwned when another process still does after `patience` seconds. A killed
    owner holds nothing."""
    path = directory / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise IndexUnavailable(
            f"The lock {path} cannot be opened ({error.strerror}). Check that you own the directory."
        ) from None
    try:
        give_up = time.monotonic() + patience
        while not _locked(descriptor):
            if time.monotonic() > give_up:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
                raise AlreadyOwned(
                    f"Another process (pid {holder}) is indexing this repository. Wait for it, or end it, and try again."
                )
            time.sleep(0.02)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
