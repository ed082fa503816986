"""What may reach a terminal. Answers and search results quote files, and a file can hold escape sequences."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from offline_agent.errors import UsageError

# C0 and C1 controls but for tab and newline, and the characters that reorder text (https://trojansource.codes).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` without anything that moves the cursor, changes colours, sets titles or reorders what is read."""
    return _UNSAFE.sub("", text)


def readable(text: str) -> str:
    """`text` from a command line, a pipe or a keyboard, with a mark where bytes were no UTF-8: nothing behind can store those."""
    return text.encode("utf-8", "replace").decode("utf-8")


def emit(text: str) -> None:
    """Prints `text`; for a terminal made printable, for a file or another program as it is."""
    print(printable(text) if sys.stdout.isatty() else text)


def local_time(at: float, spec: str = "seconds") -> str:
    """`at`, in seconds since 1970, by the clock on the wall: 2026-11-22 10:00:00. `spec` as for datetime.isoformat."""
    return datetime.fromtimestamp(at).isoformat(" ", spec)


def file_size(count: int) -> str:
    """Bytes as people read them, in powers of a thousand."""
    if count < 1_000_000:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.1f} MB" if count < 1_000_000_000 else f"{count / 1e9:.1f} GB"


def counted(count: int, one: str, more: str = "") -> str:
    """`3 sessions`; `more` where an s does not make the plural."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def confirmed(question: str, expected: str, yes: bool) -> bool:
    """Whether the person types `expected`, or has said --yes. Raises UsageError where there is no terminal to ask at."""
    if yes:
        return True
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise UsageError(
            "This cannot be undone, and there is no terminal to ask at. Say --yes to do it without a question."
        )
    print(f"{printable(question)} ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() == expected


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
