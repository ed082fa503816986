"""Secret settings: the tokens and passwords of providers. They stand here and in no file, and no message tells one."""

import time
from collections.abc import Callable

from offline_agent.errors import UsageError
from offline_agent.protocols import Database
from offline_agent.vault.erase import erasing
from offline_agent.vault.schema import MAIN, storable


class Credentials:
    """Names and their values. One per thread, like the database `main` it is made of."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        database.migrate(MAIN)

    def set(self, name: str, value: str) -> None:
        """Keeps `value`; an earlier one of that name is erased. Raises UsageError for what is not UTF-8: a secret stored
        with a character replaced would be another secret."""
        if storable(name) != name or storable(value) != value:
            raise UsageError(
                "A credential's name and value must be UTF-8, and these are not. Give them again as plain text."
            )
        with erasing(self._database):
            self._database.execute(
                "INSERT INTO credentials VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed = excluded.changed",
                (name, value, self._clock()),
            )

    def get(self, name: str) -> str | None:
        rows = list(self._database.execute("SELECT value FROM credentials WHERE name = ?", (storable(name),)))
        return rows[0][0] if rows else None

    def names(self) -> list[str]:
        return [name for (name,) in self._database.execute("SELECT name FROM credentials ORDER BY name")]

    def remove(self, name: str) -> bool:
        """Erases it; False when there was none."""
        if self.get(name) is None:
            return False
        with erasing(self._database):
            self._database.execute("DELETE FROM credentials WHERE name = ?", (storable(name),))
        return True
