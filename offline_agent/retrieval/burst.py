"""What was seen to change since it was last asked for: the one place where the kernel's thread and the indexing one meet."""

import threading
import time
from typing import NamedTuple

_MOST_PATHS = 20_000  # beyond them a rescan costs less than they do


class Seen(NamedTuple):
    """Relative paths, with a final slash for directories. With `everything`, they are not all."""

    paths: frozenset[str]
    everything: bool


class Burst:
    """Gathers changes. Any thread adds, hurries and waits to be caught up with; one takes."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._paths: set[str] = set()
        self._everything = False
        self._hurried = False
        # Changes are counted: all up to `taken` are in the taker's hands, all up to `done` are dealt with.
        self._added = self._taken = self._done = 0
        self.last = 0.0
        """When something was last seen, on the monotonic clock."""
        self.git = 0.0
        """When git last began or ended something."""

    # --- adding ---

    def add(self, path: str) -> None:
        with self._news:
            self._paths.add(path)
            if len(self._paths) > _MOST_PATHS:
                self._everything = True
                self._paths.clear()
            self._note()

    def add_everything(self) -> None:
        """Nobody knows what changed."""
        with self._news:
            self._everything = True
            self._note()

    def git_moved(self) -> None:
        """Git began or ended something: what it does comes as one burst. It begins none by itself."""
        with self._news:
            self.git = self.last = time.monotonic()

    def hurry(self) -> None:
        """Somebody waits: silence is not waited for."""
        with self._news:
            self._hurried = True
            self._news.notify_all()

    def _note(self) -> None:
        self._added += 1
        self.last = time.monotonic()
        # Once a burst, not once an event: the taker looks at the clock anyway.
        if self._added == self._taken + 1 or self._everything:
            self._news.notify_all()

    # --- taking ---

    @property
    def everything(self) -> bool:
        return self._everything

    @property
    def hurried(self) -> bool:
        return self._hurried

    def begun(self, timeout: float) -> bool:
        """Waits for the first change. Whoever asks has dealt with what was taken before."""
        with self._news:
            self._done = self._taken
            self._news.notify_all()
            return self._news.wait_for(lambda: self._added > self._taken, timeout)

    def pause(self, seconds: float) -> None:
        """Waits, unless somebody hurries."""
        with self._news:
            self._news.wait_for(lambda: self._hurried or self._everything, seconds)

    def take(self) -> Seen:
        with self._news:
            seen = Seen(frozenset(self._paths), self._everything)
            self._paths.clear()
            self._everything = self._hurried = False
            self._taken = self._added
            return seen

    def caught_up(self, seconds: float) -> bool:
        """True when all that was added before the call is dealt with, which it hurries; False when `seconds` were not enough."""
        with self._news:
            wanted = self._added
            if self._done >= wanted:
                return True
            self._hurried = True
            self._news.notify_all()
            return self._news.wait_for(lambda: self._done >= wanted, seconds)
