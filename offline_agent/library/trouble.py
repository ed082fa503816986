"""What goes wrong on the way to a server and may go right a little later, and how often it is tried again."""

import time
from collections.abc import Callable

from offline_agent.errors import PullError

LONGEST_WAIT = 300.0
"""Seconds. A server that wants a longer pause is left alone: what was fetched stays."""

_FIRST_WAIT = 1.0
_LONGEST_BACKOFF = 30.0
_TICK = 0.25
_SHOWN = 200  # characters of what a server says


class Interrupted(Exception):
    """A connection brought nothing, or no more. `sentence` says why, as the rest of a sentence that begins with the server; `wait`
    is the pause that the server asks for, in seconds; with `anew`, what is there of the file is no good to go on from."""

    def __init__(self, sentence: str, wait: float | None = None, anew: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.wait = wait
        self.anew = anew


class Patience:
    """Tries again, `attempts` times in a row at most, with pauses of `first_wait` seconds, twice as long each time. `tell` gets,
    while it waits, why and how many seconds are left."""

    def __init__(self, attempts: int, tell: Callable[[str, float], None], first_wait: float = _FIRST_WAIT) -> None:
        self._attempts = attempts
        self._tell = tell
        self._first_wait = first_wait
        self._failed = 0

    def progressed(self) -> None:
        """The last connection brought something."""
        self._failed = 0

    def wait(self, trouble: Interrupted, resumes: bool = False) -> None:
        """Waits before the next attempt. Raises PullError when there is to be none; `resumes` tells whether one may go on later."""
        self._failed += 1
        later = "What was fetched is kept: pull again to go on." if resumes else "Try again later."
        if trouble.wait is not None and trouble.wait > LONGEST_WAIT:
            raise PullError(f"{trouble.sentence} and asks to wait for {trouble.wait / 60:.0f} minutes. {later}")
        if self._failed >= self._attempts:
            times = f", {self._failed} times in a row" if self._failed > 1 else ""
            raise PullError(f"{trouble.sentence}{times}. {later}")
        backoff = min(_LONGEST_BACKOFF, self._first_wait * 2 ** (self._failed - 1))
        self._sleep(trouble.sentence, backoff if trouble.wait is None else trouble.wait)

    def _sleep(self, why: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._tell(why, left)
            time.sleep(min(left, _TICK))


def printable(text: str, longest: int = _SHOWN) -> str:
    """What a stranger wrote, on one line, without what a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text).strip()[:longest]
