"""The files of a found model, brought into one directory and hashed. What has to be copied is copied only if all of it fits."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple

from offline_agent.errors import ModelMismatch, StorageError
from offline_agent.library import tree
from offline_agent.library.bring import Original, shown
from offline_agent.library.found import Found, FoundFile, is_name
from offline_agent.models import HeldFile

Progress = Callable[[int, int], None]
"""Gets the bytes that are done, and of how many."""


class Room(NamedTuple):
    """The library that files are for: its directory's `mode`, and the bytes that are `free` on its disk."""

    mode: int
    free: Callable[[], int]


class Staged(NamedTuple):
    """What was brought, and how: "copy" where any file had to be, and `why`."""

    files: tuple[HeldFile, ...]
    way: Literal["clone", "link", "copy"]
    why: str = ""


def stage(found: Found, directory: Path, room: Room, link: bool, progress: Progress) -> Staged:
    """Brings the model into the new `directory`; `link` allows hard links.

    Raises ModelMissing, ModelMismatch for a file that changes meanwhile or is not what its place claims, and StorageError, before a
    byte is copied where not all fit.
    """
    with ExitStack() as opened:
        tree.make(directory)
        names = [_name_of(found, file, directory) for file in found.files]
        originals = [opened.enter_context(Original(file.path)) for file in found.files]
        for name in names:
            tree.make((directory / name).parent)
        placed = [
            original.place(directory / name, link, room.mode) for name, original in zip(names, originals, strict=True)
        ]
        _check_room(
            found, [one.size for one, where in zip(originals, placed, strict=True) if where.way == "copy"], room
        )
        count = _Count(sum(original.size for original in originals), progress)
        files = [
            _hashed(original, directory, name, where.way == "copy", count)
            for name, original, where in zip(names, originals, placed, strict=True)
        ]
    _check_claims(found, files)
    last = next((where for where in placed if where.way == "copy"), placed[0])
    return Staged(tuple(files), last.way, last.why)


class _Count:
    """Bytes that are done."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def __call__(self, count: int) -> None:
        self._done += count
        self._progress(self._done, self._total)


def _name_of(found: Found, file: FoundFile, directory: Path) -> str:
    """The file's name in the library: as it is where it can be, for a single file after the model where it cannot."""
    named = found.kind != "chat" or len(found.files) > 1 or (is_name(file.name) and file.name.endswith(".gguf"))
    return file.name if named else f"{directory.parent.name}.gguf"


def _check_room(found: Found, sizes: list[int], room: Room) -> None:
    needed, free = sum(sizes), room.free()
    if needed > free:
        raise StorageError(
            f"{found.origin} takes {needed:,} bytes, and the disk of the library has {free:,} free. Free some space, or name "
            "another disk in [library] directory."
        )


def _hashed(original: Original, directory: Path, name: str, copy: bool, count: _Count) -> HeldFile:
    act = original.copy if copy else original.hash
    return HeldFile(name=name, sha256=act(directory / name, count), size=original.size)


def _check_claims(found: Found, files: list[HeldFile]) -> None:
    for file, held in zip(found.files, files, strict=True):
        if file.sha256 and file.sha256 != held.sha256:
            raise ModelMismatch(
                f"{shown(file.path)} is damaged: it has another SHA-256 than it is kept under. Fetch it again with the program "
                "that keeps it."
            )
