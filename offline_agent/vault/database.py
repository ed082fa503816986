"""One connection to one SQLite file, by apsw: the build with SQLite3 Multiple Ciphers, whose pages may be encrypted.

WAL lets others read while one writes; a writer waits up to ten seconds for another. Temporary tables stay in memory: SQLite would
write them to a file of their own.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from offline_agent.errors import StorageError, VaultDamaged, VaultTooNew

_PATIENCE = 10.0  # seconds to wait for another process that writes
# URI: for the target of VACUUM INTO. An absolute path is never taken for one.
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI


class ApswDatabase:
    """A Database in the file `path`. `unlock` is called with the new connection before anything is read."""

    def __init__(self, path: Path, durable: bool, unlock: Callable[[apsw.Connection], None]) -> None:
        self._path = path
        with self._translated():
            self._connection = apsw.Connection(os.fspath(path.absolute()), flags=_FLAGS)
            try:
                unlock(self._connection)
                self._connection.set_busy_timeout(int(_PATIENCE * 1000))
                self._connection.pragma("temp_store", "memory")
                self._connection.pragma("secure_delete", "fast")
                self._switch_to_wal()
                self._connection.pragma("synchronous", "full" if durable else "normal")
                os.chmod(path, 0o600)
            except BaseException:
                self._connection.close()
                raise

    def _switch_to_wal(self) -> None:
        """SQLite does not wait for the lock that making a WAL takes, so two processes that open a new database must take turns."""
        give_up = time.monotonic() + _PATIENCE
        while True:
            try:
                self._connection.pragma("journal_mode", "wal")
                return
            except apsw.BusyError:
                if time.monotonic() > give_up:
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

    def migrate(self, steps: Sequence[Sequence[str]]) -> None:
        if self._version() == len(steps):
            return  # the usual case must not wait for a writer
        with self.transaction():
            version = self._version()
            if version > len(steps):
                raise VaultTooNew(
                    f"{self._path} was written by a newer version of offline-agent (format {version}, known here up to "
                    f"{len(steps)}). Update offline-agent."
                )
            for statement in (statement for step in steps[version:] for statement in step):
                self.execute(statement)
            self.execute(f"PRAGMA user_version = {len(steps)}")

    def close(self) -> None:
        self._connection.close()

    def _version(self) -> int:
        return int(self.execute("PRAGMA user_version")[0][0])

    def _roll_back(self) -> None:
        # A full disk makes SQLite roll back by itself; asking again would hide the first error behind a second.
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (apsw.Error, OSError) as error:
            damaged = isinstance(error, apsw.CorruptError | apsw.NotADBError)
            kind = VaultDamaged if damaged else StorageError
            # Not chained: the statement that gives the key would be in its frames.
            raise kind(f"The database {self._path} failed: {error}. {_advice(error)}") from None


def _advice(error: apsw.Error | OSError) -> str:
    match error:
        case apsw.FullError():
            return "Free some disk space and try again; nothing stored is lost."
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError() | PermissionError():
            return "Check that you own it and may write there."
        case apsw.CorruptError() | apsw.NotADBError():
            return "`offline-agent vault verify` tells what else is. A damaged index is built anew after `index clear`."
        case apsw.IOError():  # a full disk too, where it was the write-ahead log's index that found no room
            return "Look whether the disk is full or failing, and try again; nothing stored is lost."
        case apsw.BusyError() | apsw.LockedError():
            return "Another process is writing; try again in a moment."
        case _:
            return "See `offline-agent doctor`."
