"""Who may have the vault open: many who use it, or one who changes what it is.

Every process that has the vault open holds the lock shared. Making, rotating and destroying hold it alone. The lock is a flock(2)
on a file of its own: it goes with the process, however that ends. It cannot be turned from shared into exclusive, since Linux lets
go of the one before it asks for the other; whoever needs it alone takes it alone from the start.
"""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from offline_agent.errors import StorageError, VaultInUse

_PAUSE = 0.02  # seconds between two tries


class Held:
    """A lock that is held until `close`, or to the end of a `with`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> "Held":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def shared(path: Path, patience: float = 0.0) -> Held:
    """Holds the lock in the file `path` along with others. Raises VaultInUse when somebody holds it alone and still does after
    `patience` seconds, and StorageError."""
    return _take(
        path,
        fcntl.LOCK_SH,
        patience,
        "Another offline-agent process is making, rotating or removing the vault. Try again when it has finished.",
    )


def exclusive(path: Path, patience: float = 0.0) -> Held:
    """Holds the lock in the file `path` alone. Raises VaultInUse when others still hold it after `patience` seconds, and
    StorageError."""
    return _take(
        path,
        fcntl.LOCK_EX,
        patience,
        "Another offline-agent process has the vault open. End it and try again.",
    )


def _take(path: Path, kind: int, patience: float, in_use: str) -> Held:
    give_up = time.monotonic() + patience
    try:
        while (descriptor := _try(path, kind)) is None:
            if time.monotonic() >= give_up:
                raise VaultInUse(in_use)
            time.sleep(_PAUSE)
    except OSError as error:
        raise StorageError(
            f"The lock {path} cannot be taken: {error.strerror}. Check that you own the directory."
        ) from None
    return Held(descriptor)


def _try(path: Path, kind: int) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        # Who destroyed the vault held the lock while its file went: what was locked here may have no name any more.
        if _is_at(path, descriptor):
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
