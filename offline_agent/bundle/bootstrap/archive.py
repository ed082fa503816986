"""A bundle, opened: nothing in it is believed before its signature is checked, and nothing is handed out before its hash is.

    manifest.json -> manifest.sig -> signature -> names, sizes, hashes -> where every byte has to be -> headers -> contents

Only the first header is read to learn something from it: how long the manifest is. From there on everything follows from what was
signed (see tar.py), so this never extracts what a tar says it holds; it looks up what the manifest says it holds.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

from offline_agent.bundle.bootstrap.hashing import Hasher
from offline_agent.bundle.bootstrap.key import SIGNATURE_FILE_SIZE, PublicKey, check_signature
from offline_agent.bundle.bootstrap.manifest import LARGEST, MANIFEST, SIGNATURE, Manifest, Member, parse
from offline_agent.bundle.bootstrap.names import shown
from offline_agent.bundle.bootstrap.parts import Parts, open_parts
from offline_agent.bundle.bootstrap.place import Place
from offline_agent.bundle.bootstrap.tar import BLOCK, END, Entry, describe, lay_out
from offline_agent.errors import BundleBroken, BundleError

Progress = Callable[[int], None]
"""Is told how many bytes were done since the last time."""
_PIECE = 1024 * 1024
_AGAIN = "Copy it again, or get it anew."


def _silent(count: int) -> None:
    """For who does not look."""


class Bundle:
    """For `with`, or `close` it. `path` is FILE, or the name of one of its parts."""

    def __init__(self, path: Path, parts: Parts, key: PublicKey) -> None:
        self._path = path
        self._parts = parts
        self.manifest: Manifest = self._verified(key)
        sizes = [(member.name, member.size) for member in self.manifest.members]
        self._entries = list(lay_out([(MANIFEST, self._manifest_size), (SIGNATURE, SIGNATURE_FILE_SIZE), *sizes]))
        self._by_name = {entry.name: entry for entry in self._entries}
        self._check_layout()

    @classmethod
    def open(cls, path: Path, key: PublicKey) -> "Bundle":
        """Checks the signature, then all that is no content: seconds for any size. Raises BundleError where there is no bundle or a
        later program made it, BundleUntrusted where it is not signed by `key`, BundleBroken where it is damaged, StorageError where
        it cannot be read."""
        parts = open_parts(path)
        try:
            return cls(path, parts, key)
        except BaseException:
            parts.close()
            raise

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._parts.close()

    @property
    def size(self) -> int:
        """Bytes of the bundle, all parts together."""
        return self._parts.size

    def size_of(self, wanted: Callable[[str], bool]) -> int:
        """Bytes of the members that are wanted."""
        return sum(member.size for member in self.manifest.members if wanted(member.name))

    def check(self, progress: Progress = _silent) -> None:
        """Hashes every member. Raises BundleBroken, which names the member, and the part where the bundle is split, and
        StorageError."""
        for member in self.manifest.members:
            for _ in self._contents(member, progress):
                pass

    def read(self, name: str, most: int = LARGEST) -> bytes:
        """The content of a small member, checked. Raises BundleError where there is none of that name or it has more than `most`
        bytes, BundleBroken, StorageError."""
        member = next((each for each in self.manifest.members if each.name == name and each.size <= most), None)
        if member is None:
            raise BundleError(f"{self._path} has no {shown(name)} that could be used. Get another bundle.")
        return b"".join(map(bytes, self._contents(member, _silent)))

    def extract(
        self, directory: Path, wanted: Callable[[str], bool], progress: Progress = _silent, below: str = ""
    ) -> tuple[Path, ...]:
        """Writes the members whose names are wanted into `directory`, which is there, and returns their paths. With `below`, such
        as "models/NAME/", only those whose names begin so, and without it.

        A file appears once it is whole and its hash is right; one that had its name is replaced. Whatever goes wrong, what this
        call wrote is removed. Raises BundleBroken, and StorageError, also for a disk without room for all of them, which is looked
        at first.
        """
        members = [each for each in self.manifest.members if each.name.startswith(below) and wanted(each.name)]
        place = Place(directory)
        place.check_room(sum(member.size for member in members))
        try:
            for member in members:
                with (
                    place.new(member.name.removeprefix(below)) as file,
                    closing(self._contents(member, progress)) as contents,
                ):
                    for piece in contents:
                        while piece:  # a file without a buffer may take less
                            piece = piece[file.write(piece) :]
        except BaseException:
            place.undo()
            raise
        return tuple(directory / member.name.removeprefix(below) for member in members)

    # --- opening -------------------------------------------------------------------------------------------------

    def _verified(self, key: PublicKey) -> Manifest:
        """The manifest, once its signature was checked."""
        block = self._read(0, BLOCK)
        kind, name, size = describe(block)
        if (kind, name) != ("a file", MANIFEST) or not 0 <= size <= LARGEST:
            raise BundleBroken(
                f"{self._path} does not begin as a bundle does. Give the file that `bundle create` made."
            )
        self._manifest_size = size
        first, second = lay_out([(MANIFEST, size), (SIGNATURE, SIGNATURE_FILE_SIZE)])
        if self.size < second.end:
            raise self._cut_short(MANIFEST)
        data = self._read(first.start, size)
        check_signature(key, data, self._read(second.start, SIGNATURE_FILE_SIZE), str(self._path))
        return parse(data)

    def _check_layout(self) -> None:
        """Raises BundleBroken where a byte that is no content is not what it has to be."""
        for entry in self._entries:
            if self.size < entry.end:
                self._check_header(entry, self._read(entry.at, min(len(entry.header), self.size - entry.at)))
                raise self._cut_short(entry.name)
            self._check_header(entry, self._read(entry.at, len(entry.header)))
            if any(self._read(entry.stop, entry.end - entry.stop)):
                raise self._broken(
                    entry.stop, entry.end, f"what comes after {entry.name} up to the next block is not zero"
                )
        self._check_end(self._entries[-1].end)

    def _check_header(self, entry: Entry, found: bytes) -> None:
        if found == entry.header[: len(found)]:
            return
        starts = range(0, len(found), BLOCK)
        first = next(at for at in starts if found[at : at + BLOCK] != entry.header[at : at + BLOCK][: len(found) - at])
        fault = self._fault_of(entry, *describe(found[first : first + BLOCK]))
        raise self._broken(entry.at, entry.start, fault)

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
                "is there twice or in the wrong place" if name in self._by_name else "is not in its list of contents"
            )
            return f"{shown(name)} comes where {entry.name} should be, and {listed}"
        if size != entry.size:
            return f"{name} has {size:,} bytes by its header and {entry.size:,} by the list of contents"
        return f"the header of {name} is changed"

    def _check_end(self, at: int) -> None:
        if self.size < at + len(END):
            raise self._cut_short(self._entries[-1].name)
        found = self._read(at, len(END))
        if any(found):
            kind, name, _ = describe(found[:BLOCK] if any(found[:BLOCK]) else found[BLOCK:])
            what = f"{kind}, {shown(name)}," if name else "something"
            raise self._broken(
                at,
                at + len(END),
                f"{what} comes after {self._entries[-1].name}, which is the last in its list of contents",
            )
        if self.size > at + len(END):
            raise self._broken(at, self.size, f"it goes on after its end, for {self.size - at - len(END):,} bytes")

    # --- reading -------------------------------------------------------------------------------------------------

    def _contents(self, member: Member, progress: Progress) -> Generator[memoryview, None, None]:
        """The content in pieces, each good until the next. It is right once this has ended by itself; else BundleBroken."""
        entry = self._by_name[member.name]
        hasher, known = Hasher(self.manifest.stretch), 0
        buffer = memoryview(bytearray(_PIECE))
        self._parts.seek(entry.start)
        left = entry.size
        while left:
            piece = buffer[: self._parts.readinto(buffer[: min(left, _PIECE)])]
            if not piece:
                raise self._cut_short(member.name)
            hasher.update(piece)
            self._check_marks(entry, member, hasher.marks, known)
            known = len(hasher.marks)
            left -= len(piece)
            progress(len(piece))
            yield piece
        if hasher.hexdigest() != member.sha256:
            raise self._changed(entry, known)

    def _check_marks(self, entry: Entry, member: Member, marks: list[str], known: int) -> None:
        for number in range(known, len(marks)):
            if marks[number] != member.marks[number]:
                raise self._changed(entry, number)

    def _changed(self, entry: Entry, stretch: int) -> BundleBroken:
        start = entry.start + stretch * self.manifest.stretch
        stop = min(start + self.manifest.stretch, entry.stop)
        return self._broken(
            start, stop, f"{entry.name} is not as it was signed, somewhere in bytes {start:,} to {stop:,}"
        )

    def _read(self, at: int, size: int) -> bytes:
        """So many bytes, of which it is known that they are there."""
        self._parts.seek(at)
        data = bytearray()
        while len(data) < size:
            piece = bytearray(min(size - len(data), _PIECE))
            count = self._parts.readinto(memoryview(piece))
            if not count:
                raise self._cut_short(MANIFEST)
            data += piece[:count]
        return bytes(data)

    def _cut_short(self, name: str) -> BundleBroken:
        where = self._parts.short_parts() or self._path
        return BundleBroken(f"{where} is cut short: the bundle ends in {name}. {_AGAIN}")

    def _broken(self, start: int, stop: int, what: str) -> BundleBroken:
        where = self._parts.names_of(start, stop) or self._path
        return BundleBroken(f"{where} is damaged: {what}. {_AGAIN}")
