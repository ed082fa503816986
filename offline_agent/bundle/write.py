"""Writes a bundle: a plain tar, of which the same contents and key always make the same bytes.

    manifest.json          every other member but the next, with its size and hash  (bootstrap/manifest.py)
    manifest.sig           the signature of these bytes                             (bootstrap/key.py)
    install.pyz            what reads the rest where nothing is installed
    catalogue/models.toml  \\
    models/NAME/FILE        |  by name: each where the manifest's sizes say
    sbom.cdx.json           |                                                       (bootstrap/tar.py)
    wheels/NAME.whl        /
    1024 zeros             nothing comes after them

Contents are read once: hashed while they are copied. How long the manifest gets is known before its hashes are, so its place is
left free and filled at the end.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace as with_values
from io import FileIO
from pathlib import Path

from offline_agent.bundle.bootstrap.hashing import Hasher, count_marks
from offline_agent.bundle.bootstrap.key import SIGNATURE_FILE_SIZE, signature_text
from offline_agent.bundle.bootstrap.manifest import MANIFEST, SIGNATURE, Manifest, Member, check_members, in_order
from offline_agent.bundle.bootstrap.tar import END, Entry, lay_out
from offline_agent.bundle.keys import public_of, sign
from offline_agent.bundle.volumes import Volumes
from offline_agent.errors import BundleError

Content = Path | bytes
"""A file, or what would be in it."""
_PIECE = 1024 * 1024
_UNKNOWN = "0" * 64


def _silent(count: int) -> None:
    """For who does not look."""


def member_of(name: str, content: Content, progress: Callable[[int], None] = _silent) -> Member:
    """What the manifest says of a member. Raises BundleError where it cannot be read."""
    hasher, size = Hasher(), 0
    for piece in _pieces(name, content):
        hasher.update(piece)
        size += len(piece)
        progress(len(piece))
    return Member(name, size, hasher.hexdigest())


def write_bundle(
    out: Path,
    manifest: Manifest,
    contents: Mapping[str, Content],
    key: bytes,
    split: int | None = None,
    progress: Callable[[int], None] = _silent,
    replace: bool = False,
) -> tuple[Path, ...]:
    """Writes a bundle of what `manifest` lists and `contents` has, signed by the private half `key`, and returns its files: `out`,
    or its parts of at most `split` bytes. `progress` is told the bytes that were written since the last time.

    Nothing has its name before all is on the disk. Raises BundleError where a content is not what the manifest says (it changed
    since) or has a name that no bundle has, UsageError where the bundle is there already and `replace` is not set, StorageError
    where the disk is full or cannot be written, InUse.
    """
    manifest = _prepared(manifest)
    if {member.name for member in manifest.members} != set(contents):
        raise BundleError("The manifest of a bundle and what goes into it are not of the same names. Make both anew.")
    first, second, *entries = _entries(manifest)
    end = entries[-1].end if entries else second.end
    volumes = Volumes(out, end + len(END), split, replace)
    with volumes.filled():
        members = []
        for member, entry in zip(manifest.members, entries, strict=True):
            marks = _copy(member, entry, contents[member.name], volumes, manifest.stretch, progress)
            members.append(with_values(member, marks=marks))
        volumes.write_at(end, END)
        data = with_values(manifest, members=tuple(members)).to_bytes()
        _put(volumes, first, data)
        _put(volumes, second, signature_text(public_of(key), sign(key, data)))
    return volumes.paths


def _prepared(manifest: Manifest) -> Manifest:
    """The members in order, with as many marks as they will have. Raises BundleError."""
    members = (
        with_values(member, marks=(_UNKNOWN,) * count_marks(member.size, manifest.stretch))
        for member in manifest.members
    )
    prepared = with_values(manifest, members=in_order(members))
    check_members(prepared)
    return prepared


def _entries(manifest: Manifest) -> list[Entry]:
    sizes = [(member.name, member.size) for member in manifest.members]
    return list(lay_out([(MANIFEST, len(manifest.to_bytes())), (SIGNATURE, SIGNATURE_FILE_SIZE), *sizes]))


def _put(volumes: Volumes, entry: Entry, content: bytes) -> None:
    assert len(content) == entry.size
    volumes.write_at(entry.at, entry.header + content + bytes(entry.end - entry.stop))


def _copy(
    member: Member, entry: Entry, content: Content, volumes: Volumes, stretch: int, progress: Callable[[int], None]
) -> tuple[str, ...]:
    """Writes header, content and padding; the marks."""
    hasher, at = Hasher(stretch), entry.start
    volumes.write_at(entry.at, entry.header)
    for piece in _pieces(member.name, content):
        if at + len(piece) > entry.stop:
            raise _changed(member)
        hasher.update(piece)
        volumes.write_at(at, piece)
        at += len(piece)
        progress(len(piece))
    if at != entry.stop or hasher.hexdigest() != member.sha256:
        raise _changed(member)
    volumes.write_at(entry.stop, bytes(entry.end - entry.stop))
    return tuple(hasher.marks)


def _pieces(name: str, content: Content) -> Iterator[memoryview]:
    """The content in pieces, each good until the next is asked for."""
    if isinstance(content, bytes):
        yield memoryview(content)
        return
    buffer = memoryview(bytearray(_PIECE))
    try:
        with FileIO(content, opener=_opener) as file:
            while count := file.readinto(buffer):
                yield buffer[:count]
    except OSError as error:
        raise BundleError(
            f"{content}, which is to be {name} in the bundle, cannot be read: {error.strerror}."
        ) from None


def _opener(path: str, flags: int) -> int:
    """Non-blocking: a pipe in the place of a file must not keep the program waiting."""
    return os.open(path, flags | os.O_NONBLOCK)


def _changed(member: Member) -> BundleError:
    return BundleError(
        f"What is to be {member.name} in the bundle is not what it was when it was listed. Verify it and try again."
    )
