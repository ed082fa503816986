"""Approvals that are forgotten at the end: for a repository without a vault, and for tests."""

import time
from collections.abc import Callable

from offline_agent.actions import Approval


class MemoryApprovals:
    """The Approvals of one repository, in memory. The same pattern twice is one approval."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._approvals: list[Approval] = []
        self._clock = clock
        self._last = 0

    def all(self) -> list[Approval]:
        return list(self._approvals)

    def add(self, permission: str, pattern: str) -> Approval:
        for one in self._approvals:
            if (one.permission, one.pattern) == (permission, pattern):
                return one
        self._last += 1
        made = Approval(id=self._last, permission=permission, pattern=pattern, at=self._clock())
        self._approvals.append(made)
        return made

    def revoke(self, number: int) -> bool:
        kept = [one for one in self._approvals if one.id != number]
        revoked = len(kept) < len(self._approvals)
        self._approvals = kept
        return revoked
