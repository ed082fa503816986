"""What leaves the vault: it is in clear from there on, and whoever asked for it is told so."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from offline_agent.cli.options import tell
from offline_agent.cli.terminal import emit, readable
from offline_agent.errors import StorageError, UsageError


def write_clear(lines: Callable[[], Iterable[str]], out: Path | None) -> None:
    """Writes `lines`, each with a line end, to the new file `out`, for its owner alone, or to standard output.

    They are asked for when the file is there: what is recorded about them is then true. Raises UsageError for a file that exists,
    and StorageError; a file that could not be written to its end is removed.
    """
    if out is None:
        for line in lines():
            emit(line)
        if not sys.stdout.isatty():
            tell("What was written is in clear.")
        return
    _write_new(out, lines)
    tell(f"{readable(str(out))} is in clear, outside the vault. Remove it when it is no longer needed.")


def _write_new(out: Path, lines: Callable[[], Iterable[str]]) -> None:
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(f"{readable(str(out))} exists. Remove it first, or name another file with --out.") from None
    except OSError as error:
        raise _failed(out, error) from None
    try:
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines())
    except BaseException as error:
        out.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _failed(out, error) from None
        raise


def _failed(out: Path, error: OSError) -> StorageError:
    return StorageError(f"{readable(str(out))} cannot be written: {error.strerror}. Name another place with --out.")
