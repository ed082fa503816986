"""Which repository each directory of the vault belongs to. The directories' names can be seen by anybody, so they are random."""

import os
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from offline_agent.protocols import Database
from offline_agent.vault.erase import erasing
from offline_agent.vault.schema import MAIN


class Repository(NamedTuple):
    """`key` names its directory; `root` is its path, `opened` the last time it was, in seconds since 1970."""

    key: str
    root: str
    opened: float


class Repositories:
    """The repositories that were opened. One per thread, like the database `main` it is made of."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        database.migrate(MAIN)

    def key(self, root: str) -> str:
        """16 hex digits, random and kept from the first time on; all who ask at once get the same."""
        path = os.fsencode(root)
        known = self._key(path)
        if known is not None:
            return known  # the usual case must not wait for a writer
        # 64 random bits: among a million repositories, two get the same with a chance of 1 in 37 million.
        row = (secrets.token_hex(8), path, self._clock())
        self._database.execute("INSERT INTO repositories VALUES (?, ?, ?) ON CONFLICT (root) DO NOTHING", row)
        made = self._key(path)
        assert made is not None
        return made

    def touch(self, key: str) -> None:
        """It was opened now."""
        self._database.execute("UPDATE repositories SET opened = ? WHERE key = ?", (self._clock(), key))

    def all(self) -> list[Repository]:
        """Last opened first."""
        rows = self._database.execute("SELECT key, root, opened FROM repositories ORDER BY opened DESC, key")
        return [Repository(key, os.fsdecode(root), opened) for key, root, opened in rows]

    def forget(self, key: str) -> None:
        """The path is erased, and asking for it again gives another key. What lies under the old key is the caller's to destroy."""
        with erasing(self._database):
            self._database.execute("DELETE FROM repositories WHERE key = ?", (key,))

    def _key(self, path: bytes) -> str | None:
        rows = list(self._database.execute("SELECT key FROM repositories WHERE root = ?", (path,)))
        return rows[0][0] if rows else None
