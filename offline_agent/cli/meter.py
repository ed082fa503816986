"""A line on standard error that says how far something is: a bar, bytes, the rate, and the time that is left."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from offline_agent.cli.terminal import file_size

_OFTEN = 0.1  # seconds between two lines
_BAR = range(8, 31)  # columns; none where there is no room for the least
_MINUTE, _HOUR = 60, 3600

Progress = Callable[[int, int], None]
"""Gets the bytes that are done, and of how many."""


class Meter:
    """One line, written over and over. Nothing is written where standard error is no terminal."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._shown = sys.stderr.isatty()
        self._began = self._last = time.monotonic()
        self._first: int | None = None
        self._written = 0

    def move(self, done: int, total: int) -> None:
        """So many bytes are done, of so many; ten times a second at most."""
        now = time.monotonic()
        self._first = done if self._first is None else self._first
        if now - self._last < _OFTEN and done < total:
            return
        self._last = now
        rate = (done - self._first) / (now - self._began) if now > self._began else 0.0
        left = (total - done) / rate if rate and total else None
        self.show(done, total, rate, left)

    def show(self, done: int, total: int, rate: float = 0.0, left: float | None = None, note: str = "") -> None:
        """The same, as measured elsewhere."""
        if self._shown:
            columns = shutil.get_terminal_size().columns - 1
            text = line(self._title, done, total, rate, left, note, columns)
            # No blanks behind it but over the last one: the ^C of a person is to stand on the same line, or it is not wiped.
            sys.stderr.write(f"\r{text:<{min(self._written, columns)}}")
            sys.stderr.flush()
            self._written = len(text)

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r")
            sys.stderr.flush()


@contextmanager
def meter(title: str) -> Iterator[Meter]:
    """A meter whose line is wiped at the end."""
    made = Meter(title)
    try:
        yield made
    finally:
        made.clear()


def line(title: str, done: int, total: int, rate: float, left: float | None, note: str, columns: int) -> str:
    """What fits in so many columns: the title, then a bar where there is room for one, then the numbers, which are never cut."""
    numbers = "  ".join(_numbers(done, total, rate, left, note))
    room = columns - len(title) - len(numbers) - 4
    bar = f"[{_filled(done, total, min(room, _BAR.stop) - 2)}]  " if total and room >= _BAR.start else ""
    return f"{title}  {bar}{numbers}"[-columns:]


def _numbers(done: int, total: int, rate: float, left: float | None, note: str) -> Iterator[str]:
    if total:
        yield f"{100 * done // total:>3} %"
    yield f"{file_size(done)} of {file_size(total)}" if total else file_size(done)
    if rate:
        yield f"{file_size(int(rate))}/s"
    if left is not None and not note:
        yield f"{duration(left)} left"
    if note:
        yield note


def duration(seconds: float) -> str:
    """`12 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def _filled(done: int, total: int, width: int) -> str:
    full = min(width, width * done // total)
    return "#" * full + "." * (width - full)
