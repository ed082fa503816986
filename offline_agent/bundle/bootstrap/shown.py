"""Progress on a terminal: a line that is written over."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _unseen(count: int) -> None:
    """For standard error that is no terminal."""


@contextmanager
def percentage(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """What to call with the bytes that were done since the last time; `checking: 40 %` on standard error, wiped at the end."""
    if not sys.stderr.isatty():
        yield _unseen
        return
    done, last = 0, -1

    def show(count: int) -> None:
        nonlocal done, last
        done += count
        share = 100 * done // max(total, 1)
        if share != last:
            sys.stderr.write(f"\r{what}: {share} %")
            sys.stderr.flush()
            last = share

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
