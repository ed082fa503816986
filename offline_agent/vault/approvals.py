"""What a person approved for good, by repository."""

import time
from collections.abc import Callable

from offline_agent.actions import Approval
from offline_agent.protocols import Database
from offline_agent.vault.erase import erasing
from offline_agent.vault.schema import MAIN, storable

_FIELDS = ("id", "permission", "pattern", "at")


class SealedApprovals:
    """The Approvals of one repository, `repository` being its key. One per thread, like the database `main` it is made of."""

    def __init__(self, database: Database, repository: str, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._repository = repository
        self._clock = clock
        database.migrate(MAIN)

    def all(self) -> list[Approval]:
        """Oldest first."""
        rows = self._database.execute(
            "SELECT id, permission, pattern, at FROM approvals WHERE repository = ? ORDER BY id", (self._repository,)
        )
        return [Approval(**dict(zip(_FIELDS, row, strict=True))) for row in rows]

    def add(self, permission: str, pattern: str) -> Approval:
        """The approval, the earlier one where there is such a one. Raises a StorageError; then nothing is approved."""
        values = (self._repository, storable(permission), storable(pattern))
        self._database.execute(
            "INSERT INTO approvals (repository, permission, pattern, at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (repository, permission, pattern) DO NOTHING",
            (*values, self._clock()),
        )
        [row] = self._database.execute(
            "SELECT id, permission, pattern, at FROM approvals WHERE repository = ? AND permission = ? AND pattern = ?",
            values,
        )
        return Approval(**dict(zip(_FIELDS, row, strict=True)))

    def revoke(self, number: int) -> bool:
        """Erases it, where this repository has it."""
        if all(approval.id != number for approval in self.all()):
            return False
        with erasing(self._database):
            self._database.execute("DELETE FROM approvals WHERE id = ? AND repository = ?", (number, self._repository))
        return True

    def clear(self) -> None:
        """Erases all of this repository."""
        with erasing(self._database):
            self._database.execute("DELETE FROM approvals WHERE repository = ?", (self._repository,))
