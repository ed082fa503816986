"""How far it is, on standard error: bars with the time left on a terminal, elsewhere a line for each round."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Meter:
    """Use it as a context manager. `total` is how many questions there are."""

    def __init__(self, total: int) -> None:
        console = Console(stderr=True)
        self._silent = not console.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=console, disable=self._silent, transient=True)
        self._total, self._done = total, 0
        self._questions = self._bars.add_task("questions", total=total)
        self._work = self._bars.add_task("", total=None, visible=False)
        self._kind = ""

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, subject: str, count: int) -> None:
        """A round with `count` questions."""
        self._bars.update(self._questions, description=subject)
        if self._silent:
            last = self._done + count
            print(f"{subject}: questions {self._done + 1} to {last} of {self._total}", file=sys.stderr, flush=True)

    def work(self, kind: str, done: int, total: int) -> None:
        """What has to be done before the next question."""
        if self._kind != kind or done == 0:
            self._bars.reset(self._work, description=kind, total=total, visible=True)
            self._kind = kind
        self._bars.update(self._work, completed=done, total=total, visible=done < total)
        if done == total:
            self._kind = ""

    def asked(self) -> None:
        self._done += 1
        self._bars.update(self._questions, completed=self._done)
