"""Fetches one file into quarantine, over as many connections as it takes, and hashes it on the way.

    FILE.part        a true beginning of the file, however the last attempt ended
    FILE             all of it, with the right hash
    .pull.json       what each of them is the content of (`Wanted.identity`), so that nothing else is joined to it

After an interruption the part is hashed again from the disk: some of it could be from before a power cut.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from offline_agent.errors import ModelMismatch, StorageError
from offline_agent.library.hashes import Hashes
from offline_agent.library.network import Network
from offline_agent.library.part import Part
from offline_agent.library.plan import Wanted
from offline_agent.library.progress import Meter
from offline_agent.library.trouble import Patience
from offline_agent.models import HeldFile

NOTES = ".pull.json"
PART = ".part"


class Transfer:
    """Into the quarantine `directory`. `free` gives the bytes that the disk still takes; each file has a `patience` of its own."""

    def __init__(
        self,
        directory: Path,
        network: Network,
        meter: Meter,
        patience: Callable[[], Patience],
        free: Callable[[], int],
    ) -> None:
        self._directory = directory
        self._network = network
        self._meter = meter
        self._patience = patience
        self._free = free

    def fetch(self, wanted: Wanted) -> HeldFile:
        """The whole file, with the right hash, under its name. What there is of it already is used.

        Raises PullError, HubRefused, Denied, UsageError, StorageError; and ModelMismatch for a file that is not what was announced,
        which is gone then. After everything else what was fetched stays.
        """
        path = self._directory / wanted.name
        part = _part_of(path)
        with _explained(path):
            self._prepare(path, part, wanted)
            with Hashes(wanted) as hashes:
                with open(_opened(part), "r+b", buffering=0) as file:
                    growing = Part(file.fileno(), wanted, hashes, self._meter, self._free)
                    size = growing.complete(self._network, self._patience())
                if fault := hashes.fault():
                    part.unlink()
                    raise ModelMismatch(f"{fault} It was not kept. Pull again, or choose another source.")
                part.rename(path)
                return HeldFile(name=wanted.name, size=size, sha256=hashes.sha256())

    def _prepare(self, path: Path, part: Path, wanted: Wanted) -> None:
        """What there is of something else goes; what there is of this file becomes the part."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _is_of_use(self._directory, wanted):
            path.unlink(missing_ok=True)
            part.unlink(missing_ok=True)
        if path.exists():  # a kill came between the end of this file and that of the model
            path.rename(part)
        notes = _notes(self._directory)
        if notes.get(wanted.name) != wanted.identity:
            new = self._directory / f"{NOTES}.new"
            new.write_text(json.dumps(notes | {wanted.name: wanted.identity}), encoding="utf-8")
            new.replace(self._directory / NOTES)


def fetched(directory: Path, wanted: Wanted) -> int:
    """Bytes of the file that are in quarantine already and of use."""
    if not _is_of_use(directory, wanted):
        return 0
    path = directory / wanted.name
    there = max((place.stat().st_size for place in (path, _part_of(path)) if place.is_file()), default=0)
    return there if not wanted.size or there <= wanted.size else 0


def _is_of_use(directory: Path, wanted: Wanted) -> bool:
    """Whether what there is may be of that file. The notes tell; where a kill came while the model was admitted they are gone, and
    a whole file whose hash is known is worth hashing."""
    noted = _notes(directory).get(wanted.name)
    if noted is None:
        path = directory / wanted.name
        return bool(wanted.sha256) and path.is_file() and path.stat().st_size == wanted.size
    return bool(wanted.identity) and noted == wanted.identity


def _part_of(path: Path) -> Path:
    return path.with_name(path.name + PART)


def _opened(part: Path) -> int:
    return os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


def _notes(directory: Path) -> dict[str, str]:
    """What the files are the content of, by name. Notes that cannot be read say nothing: the files are fetched anew."""
    with suppress(OSError, ValueError, RecursionError):
        notes = json.loads((directory / NOTES).read_text(encoding="utf-8"))
        if isinstance(notes, dict):
            return {name: text for name, text in notes.items() if isinstance(text, str)}
    return {}


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}. Free some space, or see that you may write there, and pull again: what "
            "was fetched is kept."
        ) from None
