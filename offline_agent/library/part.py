"""The part of a file that is there, and how it grows by what servers answer."""

import os
import re
from collections.abc import Callable, Iterator
from itertools import chain

from offline_agent.errors import ModelMismatch, PullError, StorageError
from offline_agent.library.hashes import Hashes
from offline_agent.library.kinds import ENOUGH, fault_of_start
from offline_agent.library.network import Answer, Network
from offline_agent.library.plan import Wanted
from offline_agent.library.progress import Meter
from offline_agent.library.trouble import Interrupted, Patience, printable

NEARLY_FULL = 100_000_000
"""Bytes. With less free on its disk, a machine has other troubles than a model that is not there yet."""

_FLUSH = 8 << 20
"""Bytes after which the kernel is told to begin writing. Else all of it waits for the fsync at the end: measured with 500 MB, a
fifth of the time."""
_LOOK = 64 << 20  # bytes after which the free space of the disk is looked at again
_WORTH_IT = 1 << 16
"""Bytes that a connection must bring to count as progress: a server that sends one and hangs up would be asked for ever."""
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_ANOTHER = "sends another part of {name} than was asked for"


class Part:
    """Of the file `wanted`, open as `descriptor` for reading and writing. It grows at its end, and is hashed as it grows; `free`
    gives the bytes that its disk still takes."""

    def __init__(self, descriptor: int, wanted: Wanted, hashes: Hashes, meter: Meter, free: Callable[[], int]) -> None:
        self._descriptor = descriptor
        self._wanted = wanted
        self._hashes = hashes
        self._meter = meter
        self._free = free
        self._size = 0
        self._until_look = 0
        self._flushed = 0

    def complete(self, network: Network, patience: Patience) -> int:
        """Fetches what is missing; returns the size of the file in bytes. Raises OSError of the disk, and as Transfer does."""
        self._take_up()
        whole = bool(self._wanted.size) and self._size == self._wanted.size
        if whole and self._hashes.fault():  # the disk damaged it, or it was another file
            self._begin_anew()
            whole = False
        while not whole:
            before = self._size
            try:
                self._ask(network)
                whole = True
            except Interrupted as trouble:
                if self._size - before >= _WORTH_IT:
                    patience.progressed()
                if trouble.anew or not self._wanted.identity:
                    self._begin_anew()
                patience.wait(trouble, resumes=self._size > 0)
        return self._size

    def _take_up(self) -> None:
        """Hashes what is there."""
        there = os.fstat(self._descriptor).st_size
        if self._wanted.size and there > self._wanted.size:
            os.ftruncate(self._descriptor, 0)
        elif there:
            self._meter.enter("hashing what is there")
        while count := os.readv(self._descriptor, [room := self._hashes.room()]):
            self._count(room[:count])
        self._flushed = self._size

    def _ask(self, network: Network) -> None:
        """For what is missing: where no hash will tell in the end, only if the file is still the same."""
        headers = {"Range": f"bytes={self._size}-"} if self._size else {}
        if self._size and not (self._wanted.sha256 or self._wanted.blob):
            headers["If-Range"] = self._wanted.version
        with network.follow(self._wanted.url, headers=headers) as answer:
            if answer.status == 416:
                raise Interrupted(f"{_where(answer)} {_ANOTHER.format(name=self._wanted.name)}", anew=True)
            network.raise_for(answer, self._wanted.name)
            self._append(answer)

    def _append(self, answer: Answer) -> None:
        """What an answer brings, once its beginning has shown that it may be the file: what is there is not given up before. Raises
        Interrupted when it ends early."""
        offset = self._offset(answer)
        left = self._left(answer, offset)
        pieces = self._pieces(answer)
        self._meter.enter("fetching")
        if offset == 0:
            pieces = chain([self._start(answer, pieces)], pieces)
            self._begin_anew()
        for piece in pieces:
            if left is not None:
                left -= len(piece)
                if left < 0:
                    self._begin_anew()
                    raise self._mismatch(answer, "more")
            self._write(piece)
        if left:
            raise Interrupted(f"{_where(answer)} broke the connection off in the middle of {self._wanted.name}")

    def _pieces(self, answer: Answer) -> Iterator[bytes | memoryview]:
        """What comes, each piece good until it is hashed."""
        while count := answer.read_into(room := self._hashes.room()):
            yield room[:count]

    def _offset(self, answer: Answer) -> int:
        """Where in the file the answer begins: where the part ends, or at 0 when the server knows no ranges, or has something else
        by now. Raises Interrupted for anything in between."""
        if answer.status == 200:
            return 0
        found = _RANGE.fullmatch(answer.headers.get("content-range", "").strip())
        if answer.status != 206 or found is None or int(found[1]) != self._size or not self._size:
            raise Interrupted(f"{_where(answer)} {_ANOTHER.format(name=self._wanted.name)}", anew=True)
        return self._size

    def _left(self, answer: Answer, offset: int) -> int | None:
        """How many bytes are to come; None where their end will tell. Raises ModelMismatch for a file of another size, and
        PullError for one whose end nobody could tell from a connection that broke."""
        length = answer.number("content-length")
        found = _RANGE.fullmatch(answer.headers.get("content-range", "").strip()) if offset else None
        total = int(found[3]) if found and found[3] != "*" else None if length is None else offset + length
        if total is None and "chunked" not in answer.headers.get("transfer-encoding", "").lower():
            raise PullError(
                f"{_where(answer)} does not say how long {self._wanted.name} is, so nobody could tell whether all of it came. "
                "Choose another source."
            )
        if total is not None and self._wanted.size not in (0, total):
            if self._size:  # it was another when the part was fetched, and may be again
                raise Interrupted(
                    f"{_where(answer)} has {total} bytes for {self._wanted.name} in place of {self._wanted.size}"
                )
            raise self._mismatch(answer, str(total))
        known = self._wanted.size or total
        return None if known is None else known - offset

    def _start(self, answer: Answer, pieces: Iterator[bytes | memoryview]) -> bytes:
        """The beginning of the file. Raises PullError for what is none."""
        start = b""
        while len(start) < ENOUGH and (piece := next(pieces, b"")):
            start += piece
        if len(start) < min(ENOUGH, self._wanted.size):
            raise Interrupted(f"{_where(answer)} broke the connection off at the beginning of {self._wanted.name}")
        if fault := fault_of_start(self._wanted.name, start, answer.headers.get("content-type", "")):
            raise PullError(f"{_where(answer)} {fault}: {self._wanted.name} was not fetched. Choose another source.")
        return start

    def _mismatch(self, answer: Answer, sent: str) -> ModelMismatch:
        return ModelMismatch(
            f"{_where(answer)} has {sent} bytes for {self._wanted.name} in place of {self._wanted.size}. It was not kept; choose "
            "another source."
        )

    def _write(self, piece: bytes | memoryview) -> None:
        self._until_look -= len(piece)
        if self._until_look < 0:
            self._until_look = _LOOK
            if self._free() < NEARLY_FULL:
                raise StorageError(
                    "The disk is nearly full, so fetching stopped. Free some space and pull again: what was fetched is kept."
                )
        view = memoryview(piece)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._count(piece)
        if self._size - self._flushed >= _FLUSH:
            # What is still being written stays in memory: the advice to forget it does nothing but begin.
            os.posix_fadvise(self._descriptor, self._flushed, self._size - self._flushed, os.POSIX_FADV_DONTNEED)
            self._flushed = self._size

    def _count(self, piece: bytes | memoryview) -> None:
        self._hashes.add(piece)
        self._size += len(piece)
        self._meter.move(len(piece))

    def _begin_anew(self) -> None:
        if self._size:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            self._hashes.reset()
            self._meter.move(-self._size)
            self._size = self._flushed = 0


def _where(answer: Answer) -> str:
    return printable(str(answer.origin))
