"""Names to private places on disk. What is under `root` is for its owner alone (mode 0700)."""

import errno
import os
import shutil
from pathlib import Path, PurePosixPath

from offline_agent.errors import StorageError

HEADER_FILE, LOCK_FILE = "vault.header", "vault.lock"
_ELSEWHERE = "Check its owner and mode, or set XDG_DATA_HOME to a directory of your own."


class Files:
    def __init__(self, root: Path) -> None:
        self._root = root

    def database(self, name: str) -> Path:
        """Where the database of that name is; what is above it exists afterwards. Raises a StorageError."""
        path = self.path(name)
        make_private(path.parent)
        return path.with_name(f"{path.name}.db")

    def directory(self, name: str) -> Path:
        """The directory of that name, made on first use. Raises a StorageError."""
        path = self.path(name)
        make_private(path)
        return path

    def destroy(self, name: str) -> None:
        """Removes the directory of that name with everything in it. Raises a StorageError."""
        path = self.path(name)
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"Cannot remove {path}: {error.strerror}. Check its owner and mode.") from error

    def path(self, name: str) -> Path:
        """Raises ValueError for a name that would lead outside."""
        parts = PurePosixPath(name).parts
        if not parts or any(part in ("..", "/") for part in parts):
            raise ValueError(f"not a name inside the vault: {name!r}")
        return self._root.joinpath(*parts)


def make_private(path: Path) -> None:
    """Makes `path` and what is missing above it, all private: the umask alone would leave them readable to others.

    Raises a StorageError where that cannot be, or where nothing can be written in it."""
    missing = [step for step in (path, *path.parents) if not step.exists()]
    try:
        for step in reversed(missing):
            step.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(f"Cannot make {path}: {error.strerror}. {_ELSEWHERE}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise StorageError(f"Cannot write in {path}. {_ELSEWHERE}")


def advice_on(error: OSError) -> str:
    """What to do about a file of the vault that cannot be read or written."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "Free some disk space and try again; nothing stored is lost."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "Check that you own it and may write there."
        case _:
            return "See `offline-agent doctor`."
