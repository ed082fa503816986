"""Journals of what turns touched, each a file `undo/<repository key>/<number>` of its own under the vault.

A journal is a row of entries, each a record in JSON and content of any size, in frames (frames.py). An entry is written to the
file before `add` returns, so the end of this program at any moment loses no entry that was added; a power cut may lose the last
ones, until the journal is closed. What shows is how many journals there are, when they were written and how long each entry is.

Whoever writes a journal holds a flock(2) on its file, which goes with the process. Reading takes none.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from offline_agent.errors import StorageError, VaultDamaged, VaultError, VaultInUse, VaultTooNew
from offline_agent.vault.files import advice_on, make_private
from offline_agent.vault.frames import LONGEST, PIECE, RECORD, Frames
from offline_agent.vault.header import sync_directory
from offline_agent.vault.secret import Secret, derive

DIRECTORY = "undo"
"""Where a vault has them, each repository's in a directory that is named by its key."""

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


class SealedJournal:
    """A Journal in the file `path`. `key` is 32 bytes. For any thread."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.number = int(path.name)
        self._path = path
        self._key = key
        self._lock = threading.Lock()
        self._descriptor: int | None = None  # open for writing
        self._frames: Frames | None = None  # what is behind it, up to `_end`
        self._end = 0

    def add(self, record: Mapping[str, Any], content: Iterable[bytes] = ()) -> None:
        """Content that cannot be read to its end, or stored, leaves the journal as it was. Raises StorageError, VaultInUse while
        somebody else writes this journal, VaultDamaged where it cannot be continued, and what `content` raises."""
        with self._lock:
            frames = self._writing()
            try:
                self._end = self._write(frames, json.dumps(record).encode(), iter(content))
            except BaseException:
                self._frames = None  # the next one cuts what this one left, where that fails here
                with self._explained("written"):
                    os.ftruncate(self._held, self._end)
                raise

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Raises StorageError and VaultDamaged. Content is not read: damage in there shows when it is."""
        with self._reading() as frames:
            record = None
            for frame in frames.whole():
                if frame.kind == RECORD:
                    record = frame
                if frame.last and record is not None:
                    yield record.place, json.loads(frames.plain(record))
                    record = None

    def content(self, place: int) -> Iterator[bytes]:
        """Raises StorageError and VaultDamaged; what was given until then is authentic."""
        with self._reading() as frames:
            entry = frames.whole(place)
            frame = next(entry, None)
            while frame is None or not frame.last:
                frame = next(entry, None)
                if frame is None:
                    raise VaultDamaged("It ends before its content does.")
                yield frames.plain(frame)

    def check(self) -> None:
        """Reads all of it. Raises StorageError and VaultDamaged."""
        with self._reading() as frames:
            for frame in frames.whole():
                frames.plain(frame)

    @property
    def size(self) -> int:
        """In bytes on the disk. Raises StorageError."""
        with self._explained("read"):
            return self._path.stat().st_size

    def close(self) -> None:
        """What was added survives a power cut from here on, and others may write it. It can be added to again. Raises
        StorageError."""
        with self._lock:
            descriptor, self._descriptor, self._frames = self._descriptor, None, None
            if descriptor is None:
                return
            try:
                with self._explained("written"):
                    os.fsync(descriptor)
                    sync_directory(self._path.parent)
            finally:
                os.close(descriptor)

    def take(self, new: bool = False) -> bool:
        """Holds it for writing until `close`. Returns whether nobody else does and, where it must be `new`, no such file was there.
        Raises StorageError."""
        make = os.O_CREAT | os.O_EXCL if new else 0
        with self._explained("written"):
            try:
                descriptor = os.open(self._path, os.O_RDWR | make | _FLAGS, 0o600)
            except FileExistsError:
                return False
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
        self._descriptor = descriptor
        return True

    def _writing(self) -> Frames:
        """The file, held for writing and without what a crash left of an entry."""
        if self._descriptor is None and not self.take():
            raise VaultInUse(
                f"Another offline-agent process is writing what undoes turn {self.number}. Try again when it has finished."
            )
        if self._frames is None:
            with self._explained("continued"):
                frames = Frames(self._held, self._key, self._context)
                self._end = frames.end_of_entries()
                os.ftruncate(self._held, self._end)
            self._frames = frames
        return self._frames

    def _write(self, frames: Frames, record: bytes, content: Iterator[bytes]) -> int:
        """Returns where the entry ends. It is one frame behind, since the last one says that it is the last."""
        end, kind, plain = self._end, RECORD, memoryview(record)
        for piece in _cut(content):
            with self._explained("written"):
                end = frames.add(end, kind, plain, last=False)
            kind, plain = PIECE, piece
        with self._explained("written"):
            return frames.add(end, kind, plain, last=True)

    @property
    def _held(self) -> int:
        assert self._descriptor is not None
        return self._descriptor

    @property
    def _context(self) -> bytes:
        return f"{self._path.parent.name}/{self._path.name}".encode()

    @contextmanager
    def _reading(self) -> Iterator[Frames]:
        with self._explained("read"):
            descriptor = os.open(self._path, os.O_RDONLY | _FLAGS)
            try:
                yield Frames(descriptor, self._key, self._context)
            finally:
                os.close(descriptor)

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        what = f"What undoes turn {self.number}, {self._path},"
        try:
            yield
        except FileNotFoundError:
            raise StorageError(
                f"Turn {self.number} cannot be undone any more: it was forgotten to make room."
            ) from None
        except OSError as error:
            raise StorageError(f"{what} cannot be {done}: {error.strerror}. {advice_on(error)}") from None
        except VaultDamaged as error:
            raise VaultDamaged(f"{what} is damaged. {error} Other turns are not concerned: remove it.") from None
        except VaultTooNew as error:
            raise VaultTooNew(f"{what} cannot be {done}. {error}") from None


class SealedJournals:
    """The Journals in `directory`, whose name is the repository's key. `key`, of 32 bytes, is the vault's for blobs. The directory
    is made with the first journal."""

    def __init__(self, directory: Path, key: bytes) -> None:
        self._directory = directory
        self._key = derive(Secret(key), "undo journals")

    def begin(self) -> SealedJournal:
        """Held for writing until it is closed. Raises a StorageError."""
        make_private(self._directory)
        number = max(self.numbers(), default=0)
        while True:
            number += 1
            journal = self.open(number)
            if journal.take(new=True):
                return journal

    def open(self, number: int) -> SealedJournal:
        """Whether there is one shows with the first use of it."""
        return SealedJournal(self._directory / str(number), self._key.reveal())

    def numbers(self) -> list[int]:
        """Raises a StorageError."""
        try:
            return sorted(int(name) for name in os.listdir(self._directory) if name.isascii() and name.isdecimal())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"{self._directory} cannot be read: {error.strerror}. {advice_on(error)}") from None

    def remove(self, number: int) -> None:
        """Raises VaultInUse while it is being written, and StorageError."""
        path = self._directory / str(number)
        journal = self.open(number)
        if not path.exists():
            return
        if not journal.take():
            raise VaultInUse(
                f"Turn {number} is being written by an offline-agent process. Try again when it has finished."
            )
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{path} cannot be removed: {error.strerror}. {advice_on(error)}") from None
        finally:
            journal.close()

    def prune(self, turns: int, size: int) -> int:
        """Removes the oldest until at most `turns` are left, of `size` bytes together; the newest stays where it may, and what is
        being written does. Returns the bytes of what was removed. Raises a StorageError."""
        sizes = {number: self.open(number).size for number in self.numbers()}
        total = sum(sizes.values())
        for number in list(sizes):
            if len(sizes) <= turns and (sum(sizes.values()) <= size or len(sizes) == 1):
                break
            with suppress(VaultInUse):
                self.remove(number)
                del sizes[number]
        return total - sum(sizes.values())

    def verify(self) -> Iterator[str]:
        """A sentence for each journal that is not as it was written. Reads all there is."""
        for number in self.numbers():
            try:
                self.open(number).check()
            except VaultError as error:
                if number in self.numbers():  # else it was removed meanwhile
                    yield str(error)

    def copy_to(self, directory: Path, key: bytes) -> None:
        """Every journal again, with the same number, sealed under `key` in the new `directory`, whose name must be this one's. What
        a crash left unfinished is left out. Raises StorageError and VaultDamaged."""
        copies = SealedJournals(directory, key)
        make_private(directory)
        for number in self.numbers():
            journal, copy = self.open(number), copies.open(number)
            copy.take(new=True)
            for place, record in journal.records():
                copy.add(record, journal.content(place))
            copy.close()


def each_repository(directory: Path, key: bytes) -> Iterator[tuple[str, SealedJournals]]:
    """The journals of every repository that has some in `directory`, by the repository's key."""
    for path in sorted(directory.glob("*")):
        if path.is_dir():
            yield path.name, SealedJournals(path, key)


def _cut(content: Iterator[bytes]) -> Iterator[memoryview]:
    for piece in content:
        whole = memoryview(piece)
        yield from (whole[start : start + LONGEST] for start in range(0, len(whole), LONGEST))
