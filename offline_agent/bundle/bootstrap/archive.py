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
from offline_agent.bundle.bootstrap.layout import Layout
from offline_agent.bundle.bootstrap.manifest import LARGEST, MANIFEST, SIGNATURE, Manifest, Member, parse
from offline_agent.bundle.bootstrap.names import shown
from offline_agent.bundle.bootstrap.parts import Parts, open_parts
from offline_agent.bundle.bootstrap.place import Place
from offline_agent.bundle.bootstrap.tar import BLOCK, Entry, describe
from offline_agent.errors import BundleBroken, BundleError

Progress = Callable[[int], None]
"""Is told how many bytes were done since the last time."""
_PIECE = 1024 * 1024


def _silent(count: int) -> None:
    """For who does not look."""


class Bundle:
    """For `with`, or `close` it. `open` makes one; by itself it takes a manifest, and how many bytes that has, for verified."""

    def __init__(self, path: Path, parts: Parts, manifest: Manifest, manifest_size: int) -> None:
        self._path = path
        self._parts = parts
        self.manifest = manifest
        sizes = [(member.name, member.size) for member in manifest.members]
        self._layout = Layout(path, parts, [*_first(manifest_size), *sizes])
        self._layout.check()
        self._layout.check_end()

    @classmethod
    def open(cls, path: Path, key: PublicKey) -> "Bundle":
        """Checks the signature, then all that is no content: a moment, for any size. `path` is FILE, or one of its parts.

        Raises BundleError where there is no bundle or a later program made it, BundleUntrusted where it is not signed by `key`,
        BundleBroken where it is damaged, StorageError where it cannot be read.
        """
        parts = open_parts(path)
        try:
            data = _signed_manifest(path, parts, key)
            return cls(path, parts, parse(data), len(data))
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

    def _contents(self, member: Member, progress: Progress) -> Generator[memoryview, None, None]:
        """The content in pieces, each good until the next. It is right once this has ended by itself; else BundleBroken."""
        entry = self._layout.entries[member.name]
        hasher, known = Hasher(self.manifest.stretch), 0
        buffer = memoryview(bytearray(_PIECE))
        self._parts.seek(entry.start)
        left = entry.size
        while left:
            piece = buffer[: self._parts.readinto(buffer[: min(left, _PIECE)])]
            if not piece:
                raise self._layout.cut_short(member.name)
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
        return self._layout.broken(
            start, stop, f"{entry.name} is not as it was signed, somewhere in bytes {start:,} to {stop:,}"
        )


def _signed_manifest(path: Path, parts: Parts, key: PublicKey) -> bytes:
    """The bytes of the manifest, once its signature was checked."""
    kind, name, size = describe(parts.read(BLOCK))
    if (kind, name) != ("a file", MANIFEST) or not 0 <= size <= LARGEST:
        raise BundleBroken(f"{path} does not begin as a bundle does. Give the file that `bundle create` made.")
    layout = Layout(path, parts, _first(size))
    layout.check()
    data, text = (layout.read(entry.start, entry.size) for entry in layout.entries.values())
    check_signature(key, data, text, str(path))
    return data


def _first(manifest_size: int) -> list[tuple[str, int]]:
    """The members that the manifest does not list, and their sizes."""
    return [(MANIFEST, manifest_size), (SIGNATURE, SIGNATURE_FILE_SIZE)]
