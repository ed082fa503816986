"""What may reach a terminal. Answers and search results quote files, and a file can hold escape sequences."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# C0 and C1 controls but for tab and newline, and the characters that reorder text (https://trojansource.codes).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` without anything that moves the cursor, changes colours, sets titles or reorders what is read."""
    return _UNSAFE.sub("", text)


def readable(text: str) -> str:
    """`text` from a command line, a pipe or a keyboard, with a mark where bytes were no UTF-8: nothing behind can store those."""
    return text.encode("utf-8", "replace").decode("utf-8")


@contextmanager
def progress_line(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A counter on standard error, `reading 120 of 300 files`, wiped at the end; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    written = 0

    def show(done: int, total: int) -> None:
        nonlocal written
        line = f"{what} {done} of {total}"
        sys.stderr.write(f"\r{line:<{written}}")
        sys.stderr.flush()
        written = len(line)

    try:
        yield show
    finally:
        sys.stderr.write("\r" + " " * written + "\r" if written else "")
        sys.stderr.flush()
