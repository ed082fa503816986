"""The bytes of a bundle that are no content: each has to be what the names and sizes of the members make it (see tar.py)."""

from collections.abc import Iterable
from pathlib import Path

from offline_agent.bundle.bootstrap.names import shown
from offline_agent.bundle.bootstrap.parts import Parts
from offline_agent.bundle.bootstrap.tar import BLOCK, END, Entry, describe, lay_out
from offline_agent.errors import BundleBroken

_AGAIN = "Copy it again, or get it anew."
_PIECE = 1024 * 1024


class Layout:
    """The members of a bundle by name, each with its place. `path` is for error messages."""

    def __init__(self, path: Path, parts: Parts, sizes: Iterable[tuple[str, int]]) -> None:
        self._path = path
        self._parts = parts
        self.entries = {entry.name: entry for entry in lay_out(sizes)}
        self._last = list(self.entries.values())[-1]

    def check(self) -> None:
        """Reads every header and all that is between the contents. Raises BundleBroken, saying what it found instead."""
        for entry in self.entries.values():
            self._check_entry(entry)

    def check_end(self) -> None:
        """Raises BundleBroken where the last member is not followed by the end of a tar, and that by nothing."""
        at, size = self._last.end, self._parts.size
        found = self.read(at, min(len(END), size - at))
        block = found[:BLOCK] if any(found[:BLOCK]) else found[BLOCK:]
        if any(block):
            kind, name, _ = describe(block)
            what = f"{kind}, {shown(name)}," if name else "something"
            raise self.broken(at, size, f"{what} comes after {self._last.name}, the last in its list of contents")
        if len(found) < len(END):
            raise self.cut_short(self._last.name)
        if size > at + len(END):
            raise self.broken(at, size, f"it goes on after its end, for {size - at - len(END):,} bytes")

    def read(self, at: int, size: int) -> bytes:
        """So many bytes from there on. Raises BundleBroken where there are not so many, StorageError."""
        self._parts.seek(at)
        data = bytearray()
        while len(data) < size:
            piece = bytearray(min(size - len(data), _PIECE))
            count = self._parts.readinto(memoryview(piece))
            if not count:
                raise self.cut_short(self._last.name)
            data += piece[:count]
        return bytes(data)

    def cut_short(self, name: str) -> BundleBroken:
        where = self._parts.short_parts() or self._path
        return BundleBroken(f"{where} is cut short: the bundle ends in {name}. {_AGAIN}")

    def broken(self, start: int, stop: int, what: str) -> BundleBroken:
        """`what` is wrong with the bytes from `start` up to `stop`."""
        where = self._parts.names_of(start, stop) or self._path
        return BundleBroken(f"{where} is damaged: {what}. {_AGAIN}")

    def _check_entry(self, entry: Entry) -> None:
        there = max(0, min(len(entry.header), self._parts.size - entry.at))
        found = self.read(entry.at, there)
        for at in range(0, there, BLOCK):
            block, right = found[at : at + BLOCK], entry.header[at : at + BLOCK]
            if block != right[: len(block)]:
                raise self.broken(entry.at, entry.start, self._fault_of(entry, *describe(block)))
        if self._parts.size < entry.end:
            raise self.cut_short(entry.name)
        if any(self.read(entry.stop, entry.end - entry.stop)):
            raise self.broken(entry.stop, entry.end, f"what fills the last block of {entry.name} is not zero")

    def _fault_of(self, entry: Entry, kind: str, name: str, size: int) -> str:
        """What it is that comes in the place of a member, for people."""
        if kind == "the end":
            return f"it ends before {entry.name}"
        if kind == "no header":
            return f"what should be the header of {entry.name} is none"
        if kind != "a file":
            return f"it has {kind}, {shown(name)}, where {entry.name} should be"
        if name != entry.name:
            listed = (
                "is there twice or in the wrong place" if name in self.entries else "is not in its list of contents"
            )
            return f"{shown(name)} comes where {entry.name} should be, and {listed}"
        if size != entry.size:
            return f"{name} has {size:,} bytes by its header and {entry.size:,} by the list of contents"
        return f"the header of {name} is changed"
