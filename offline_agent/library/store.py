"""The model library: a directory of models, which are files that anybody can have and so are not encrypted.

    NAME/<files as at their source>     a model that was admitted
    NAME/holding.json                   its Holding
    .incoming/NAME/                     quarantine: what is being fetched or copied. It survives a kill, so that it is resumed
    .incoming/NAME.lock                 held by who fills it
    .replaced/NAME/                     the older model, in the moment in which a newer one takes its place
    .removed/NAME/                      what is just being removed

A model is admitted whole, by the rename of a directory (places.py). What a kill leaves is put right by whoever fills that name
next. The library may belong to somebody else: what is in it can be listed and used without writing a byte.
"""

import errno
import re
import shutil
import stat
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from offline_agent.errors import ModelMismatch, StorageError, UsageError
from offline_agent.library import tree
from offline_agent.library.lock import held
from offline_agent.library.places import Places
from offline_agent.library.record import HOLDING, fault_of, read_holding, write_holding
from offline_agent.models import Holding, Kind

__all__ = ["HOLDING", "Check", "Library", "holding_name"]

Check = Callable[[Kind, Path], None]
"""Looks at a model before it is admitted: at the first file of a "chat" model, at the directory of any other. Raises ModelBroken or
EmbedderError."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_LONGEST = 100
_LOCK = ".lock"
_LOOKS = 3
"""A model that is just being replaced may move between finding its directory and reading what is in it."""
_NO_PART_OF_A_NAME = re.compile(r"(\.gguf|-\d{5}-of-\d{5}|\.lock|[._-])+$")


class Library:
    """The models in `directory`, which need not be there yet. Names are told apart without regard to case; what is no name raises
    UsageError, what the disk refuses StorageError. `check` sees every model before it is admitted."""

    def __init__(self, directory: Path, check: Check) -> None:
        self._directory = directory
        self._places = Places(directory)
        self._check = check
        self._filling: set[str] = set()

    def all(self) -> list[Holding]:
        """What there is, by name. A directory without a holding.json that can be believed is no model: see `faults`."""
        return [entry for entry in self._entries() if isinstance(entry, Holding)]

    def faults(self) -> list[str]:
        """A sentence for each directory that has the place of a model and is none."""
        return [str(entry) for entry in self._entries() if isinstance(entry, StorageError)]

    def find(self, name: str) -> Holding | None:
        """The model of that name; None where there is none, or none that can be used."""
        entry = self._entry(name.lower()) if _is_name(name.lower()) else None
        return entry if isinstance(entry, Holding) else None

    def directory_of(self, name: str) -> Path:
        """Where the files of that model are, or would be."""
        with _explained("read", self._directory):
            return self._places.model(_checked(name))

    def path_of(self, holding: Holding) -> Path:
        """What is loaded: the first file of a chat model, the directory of any other."""
        return _loaded(self.directory_of(holding.name), holding)

    def examine(self, kind: Kind, path: Path) -> None:
        """What every model has to pass before it is admitted, for one that lies elsewhere: the check that was given."""
        self._check(kind, path)

    def mode(self) -> int:
        """The mode of the library's directory, which is also that of the models' in it: who may look into one."""
        with _explained("read", self._directory):
            return stat.S_IMODE(self._directory.stat().st_mode)

    def free(self) -> int:
        """Bytes that may still be written to the disk of the library."""
        with _explained("read", self._directory):
            there = next(place for place in (self._directory, *self._directory.absolute().parents) if place.exists())
            return shutil.disk_usage(there).free

    def unfinished(self) -> dict[str, int]:
        """What lies in quarantine, by name: bytes that are on the disk already. Nothing where it is somebody else's."""
        sizes: dict[str, int] = {}
        with _explained("read", self._places.incoming()), suppress(PermissionError):
            for path in tree.listed(self._places.incoming()):
                with suppress(FileNotFoundError):  # it was just admitted
                    if _is_name(path.name) and path.is_dir():
                        sizes[path.name] = tree.bytes_below(path)
        return sizes

    @contextmanager
    def incoming(self, name: str) -> Iterator[Path]:
        """The quarantine of that name, for this process and thread alone; what is left in it stays. Raises InUse when somebody else
        fills it, and StorageError."""
        name = _checked(name)
        with _explained("written", self._places.incoming()):
            self._places.own()
        with held(self._places.incoming() / (name + _LOCK), name):
            with _explained("written", self._places.quarantine(name)):
                quarantine = self._places.open(name)
                (quarantine / HOLDING).unlink(missing_ok=True)  # of a kill just before it was admitted
            self._filling.add(name)
            try:
                yield quarantine
            finally:
                self._filling.discard(name)
                with suppress(OSError):  # it is not empty, or was admitted
                    quarantine.rmdir()

    def admit(self, holding: Holding) -> None:
        """Makes what is in quarantine a model, inside `incoming(holding.name)`. An older one of that name is replaced: at every
        moment, after a kill too, one of the two is found, and is whole. Files that `holding` does not name are removed.

        Raises what the check does, ModelMismatch where a file is missing or has another size, and UsageError for files that cannot
        be a model's. The model's files stay in quarantine then.
        """
        if holding.name not in self._filling:
            raise ValueError(f"{holding.name!r} is admitted outside of `incoming`")
        if fault := fault_of(holding):
            raise UsageError(f"The model {holding.name} cannot be kept: {fault}. Correct it where it comes from.")
        quarantine = self._places.quarantine(holding.name)
        with _explained("read", quarantine):
            _require(quarantine, holding)
            tree.keep_only(quarantine, {file.name for file in holding.files})
        self._check(holding.kind, _loaded(quarantine, holding))
        with _explained("written", quarantine):
            write_holding(quarantine, holding)
            tree.share(quarantine, self.mode())
            tree.make_last(quarantine)
            self._places.replace(holding.name)

    def discard(self, name: str) -> None:
        """Empties the quarantine of that name, inside `incoming(name)` or not. Raises InUse when somebody else fills it."""
        name = _checked(name)
        quarantine = self._places.quarantine(name)
        if name in self._filling:
            with _explained("removed", quarantine):
                tree.clear(quarantine)
                tree.make(quarantine)
        elif quarantine.exists():
            with self.incoming(name):
                self.discard(name)

    def remove(self, name: str) -> int:
        """Removes the model of that name, whole or not, and what is in its quarantine; returns the bytes that the disk has more.
        Raises UsageError where there is no such model, and InUse when somebody else fills it."""
        name = _checked(name)
        if not self.directory_of(name).exists():
            raise UsageError(
                f"There is no model {name} in {self._directory}: `offline-agent models list` says what is."
            )
        with self.incoming(name) as quarantine, _explained("removed", quarantine):
            place = self._places.model(name)
            freed = tree.bytes_below(place) + tree.bytes_below(quarantine)
            self._places.remove(name)
            self.discard(name)
        return freed

    def _entries(self) -> Iterator[Holding | StorageError]:
        with _explained("read", self._directory):
            names = self._places.names()
        for name in sorted(filter(_is_name, names)):
            if (entry := self._entry(name)) is not None:
                yield entry

    def _entry(self, name: str) -> Holding | StorageError | None:
        """None where no directory has that name."""
        entry: StorageError | None = None
        for _ in range(_LOOKS):
            try:
                place = self.directory_of(name)
                if place.is_dir():
                    return read_holding(place)
            except StorageError as error:
                entry = error
        return entry


def holding_name(text: str) -> str:
    """A name that a model of the library can have, made of that of a file or repository: what is before its last slash, and `.gguf`
    or the number of a part at its end, are no part of it. Raises UsageError."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower().rstrip("/")
    plain = re.sub(r"[^a-z0-9._-]+", "-", plain.rsplit("/", 1)[-1])
    name = _NO_PART_OF_A_NAME.sub("", _NO_PART_OF_A_NAME.sub("", plain).lstrip("._-")[:_LONGEST])
    if not _is_name(name):
        raise UsageError(
            f"No name for a model can be made of {text!a}. Give it one with letters or digits: --name NAME."
        )
    return name


def _is_name(text: str) -> bool:
    # A name that ends like a lock's would have its quarantine where another's lock is.
    return _NAME.fullmatch(text) is not None and not text.endswith(_LOCK)


def _checked(name: str) -> str:
    if not _is_name(name.lower()):
        raise UsageError(
            f"{name!a} is no name that a model can have: up to {_LONGEST} letters, digits and . _ -, the first a letter or digit."
        )
    return name.lower()


def _loaded(directory: Path, holding: Holding) -> Path:
    return directory / holding.files[0].name if holding.kind == "chat" else directory


def _require(quarantine: Path, holding: Holding) -> None:
    there = dict(tree.files_below(quarantine))
    for file in holding.files:
        status = there.get(file.name)
        if status is None or not stat.S_ISREG(status.st_mode):
            raise ModelMismatch(f"The model {holding.name} lacks its file {file.name}. Pull or import it again.")
        if status.st_size != file.size:
            raise ModelMismatch(
                f"{file.name} of the model {holding.name} has {status.st_size} bytes in place of {file.size}. "
                "Pull or import it again."
            )


@contextmanager
def _explained(done: str, place: Path) -> Iterator[None]:
    """An OSError becomes a StorageError, which says what cannot be `done`."""
    try:
        yield
    except OSError as error:
        advice = (
            "Free some disk space and try again; what is there already is kept."
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "Check its owner and mode, or name a directory of your own in [library] directory."
        )
        raise StorageError(f"{error.filename or place} cannot be {done}: {error.strerror}. {advice}") from None
