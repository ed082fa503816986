"""Whether a model of the library is still what was admitted.

Damage and careless programs are found. Who may write to the library can change a model and its record alike: whether the record is
what the catalogue says is another question, which is asked at every start.
"""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from offline_agent.errors import StorageError
from offline_agent.library import tree
from offline_agent.library.digest import hash_file
from offline_agent.library.record import HOLDING
from offline_agent.library.store import Library
from offline_agent.models import HeldFile, Holding

_AGAIN = "Import or pull the model again."


class Drift(NamedTuple):
    """What is not as it was: the file's path in the model's directory, and a sentence."""

    file: str
    sentence: str


def verify(
    library: Library, holding: Holding, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Drift]:
    """Reads every file of the model and compares; says all that differs, what is missing and what was added. `progress` gets the
    bytes that are done, and of how many. Raises StorageError where the model's directory cannot be read."""
    directory = library.directory_of(holding.name)
    done = 0
    found: list[Drift] = []
    for file in holding.files:
        before = done

        def seen(count: int) -> None:
            nonlocal done
            done += count
            progress(min(done, holding.size), holding.size)

        sentence = _fault_of(directory / file.name, file, seen)
        if sentence:
            found.append(Drift(file.name, f"{file.name} {sentence} {_AGAIN}"))
        done = before + file.size
        progress(done, holding.size)
    return [*found, *_added(directory, holding)]


def _fault_of(path: Path, file: HeldFile, seen: Callable[[int], None]) -> str:
    """What is wrong with the file, as the rest of a sentence; empty where nothing is."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return "is no regular file."
        if status.st_size != file.size:
            return f"has {status.st_size:,} bytes in place of {file.size:,}."
        if hash_file(path, seen) != file.sha256:
            return "has another content: its SHA-256 is not the one that it had."
    except (FileNotFoundError, NotADirectoryError):
        return "is missing."
    except OSError as error:
        return f"cannot be read ({error.strerror})."
    return ""


def _added(directory: Path, holding: Holding) -> Iterator[Drift]:
    known = {HOLDING, *(file.name for file in holding.files)}
    try:
        there = [os.fsencode(name).decode("utf-8", "replace") for name, _ in tree.files_below(directory)]
    except OSError as error:
        raise StorageError(f"{directory} cannot be read ({error.strerror}). Check its owner and mode.") from None
    for name in there:
        if name not in known:
            yield Drift(name, f"{name} is no file of the model. Remove it, or the model.")
