"""A vault that does not encrypt: private directories and plain SQLite, until the sealed one takes its place.

Everything is under one directory of mode 0700, so other users of the machine cannot read it; a stolen disk can be read.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from offline_agent.errors import StorageError

_PATIENCE = 10.0  # seconds to wait for another process that writes
_ELSEWHERE = "Check its owner and mode, or set XDG_DATA_HOME to a directory of your own."


class PlainVault:
    """Databases and private directories under `root`. Names are relative paths such as `repos/flask-1a2b3c/index`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def database(self, name: str) -> "PlainDatabase":
        path = self._path(name).with_suffix(".sqlite3")
        self._make(path.parent)
        return PlainDatabase(path)

    def directory(self, name: str) -> Path:
        path = self._path(name)
        self._make(path)
        return path

    def destroy(self, name: str) -> None:
        try:
            shutil.rmtree(self._path(name))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"Cannot remove {self._path(name)}: {error.strerror}.") from error

    def _path(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or any(part in ("..", "/") for part in parts):
            raise ValueError(f"not a name inside the vault: {name!r}")
        return self._root.joinpath(*parts)

    def _make(self, path: Path) -> None:
        """Makes `path` and what is missing above it, all private. The umask alone would leave them readable to others."""
        missing = [step for step in (path, *path.parents) if not step.exists()]
        try:
            for step in reversed(missing):
                step.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StorageError(f"Cannot make {path}: {error.strerror}. {_ELSEWHERE}") from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise StorageError(f"Cannot write in {path}. {_ELSEWHERE}")


class PlainDatabase:
    """One connection to one SQLite file, for the thread that opened it.

    WAL lets others read while one writes; a writer waits up to ten seconds for another.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._translated():
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
            self._switch_to_wal()
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA temp_store = MEMORY")
            os.chmod(path, 0o600)

    def _switch_to_wal(self) -> None:
        """SQLite does not wait for the lock that making a WAL takes, so two processes that open a new database must take turns."""
        give_up = time.monotonic() + _PATIENCE
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > give_up:
                    raise
                time.sleep(0.01)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._translated():
            return self._connection.execute(sql, parameters).fetchall()

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._translated():
            self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._connection.in_transaction:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def close(self) -> None:
        self._connection.close()

    def _roll_back(self) -> None:
        # A full disk makes SQLite roll back by itself; asking again would hide the first error behind a second.
        if self._connection.in_transaction:
            with self._translated():
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageError(f"The database {self._path} failed: {error}. {_advice(str(error))}") from error


def _advice(message: str) -> str:
    if "full" in message:
        return "Free some disk space and try again; nothing stored is lost."
    if "readonly" in message or "unable to open" in message or "ermission" in message:
        return "Check that you own it and may write there."
    if "malformed" in message or "not a database" in message:
        return "It is damaged: `offline-agent index clear` removes it, and the next command builds it anew."
    if "locked" in message:
        return "Another process is writing; try again in a moment."
    return "See `offline-agent doctor`."
