"""How far a pull is, in numbers that are fit to be shown."""

import math
import time
from collections.abc import Callable
from typing import Literal

from offline_agent.types import Value

Phase = Literal["hashing what is there", "fetching", "waiting", "checking"]

_INTERVAL = 0.1  # seconds between two reports
_MEMORY = 3.0  # seconds; what was measured so long ago counts a third of what is measured now


class Pulled(Value):
    """`done` of `total` bytes of all files; a `total` of 0 is not known. `rate` is in bytes a second, and 0 where none is
    measured. `seconds_left` is of the phase, None where it cannot be told. `note` says what is waited for."""

    phase: Phase
    done: int
    total: int
    rate: float = 0.0
    seconds_left: float | None = None
    note: str = ""


class Meter:
    """Reports at most ten times a second, and each time that the phase changes."""

    def __init__(self, total: int, tell: Callable[[Pulled], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._tell = tell
        self._clock = clock
        self._done = 0
        self._phase: Phase = "fetching"
        self._told_at = -math.inf
        self._since = 0
        self._rate = 0.0

    def enter(self, phase: Phase) -> None:
        """Another phase begins: its rate is its own."""
        if phase != self._phase or self._told_at < 0:
            self._phase, self._rate, self._since = phase, 0.0, 0
            self._report("", None)

    def move(self, count: int) -> None:
        """So many more bytes are done; fewer where some were no good."""
        self._done += count
        self._since += max(count, 0)
        elapsed = self._clock() - self._told_at
        if elapsed < _INTERVAL:
            return
        now = self._since / elapsed
        weight = 1 - math.exp(-elapsed / _MEMORY) if self._rate else 1.0
        self._rate += weight * (now - self._rate)
        left = (self._total - self._done) / self._rate if self._total and self._rate else None
        self._report("", left)

    def wait(self, note: str, seconds: float) -> None:
        """For something, and so long."""
        self._phase, self._rate = "waiting", 0.0
        self._report(note, seconds)

    def _report(self, note: str, left: float | None) -> None:
        self._told_at, self._since = self._clock(), 0
        self._tell(
            Pulled(phase=self._phase, done=self._done, total=self._total, rate=self._rate, seconds_left=left, note=note)
        )
