"""Frames: a sealed file that only ever grows, of which nothing is lost but what was not written to its end.

    offset  size
         0     8  magic, the ASCII letters OAframes
         8     2  format version, big-endian: 1
        10    32  salt, random for every file
        42        frames, one after the other

    A frame:
         0     1  kind: 1 a record, 2 a piece of the content that goes with the record before it; 128 more for the last of an entry
         1     4  length n of the sealed piece, big-endian
         5    12  nonce, random
        17     4  CRC-32 of the frame's offset in the file (8 bytes, big-endian) and its bytes 0 to 16, big-endian
        21     n  the sealed piece: its ciphertext (AES-256-GCM, as long as the plaintext, 1 MiB at most), then its tag of 16 bytes

The cipher key is HKDF-SHA256 (RFC 5869) over the key that is passed in, with the salt, and an info of this format's own that ends
with what the file is. Associated data of a frame are its offset, the 16 bytes of the file before it and its bytes 0 to 16. Those
before it are the tag of the last frame, so each frame vouches for all that went before: none can be changed, left out, repeated,
moved or taken from another file. The end can be cut off unseen, by whole entries: it has to be possible, since a crash does it.

The nonce is random, and no counter, because a place may be written twice: what a crash left unfinished is cut and written anew.

An end that is torn is told from damage by the checksum. A frame whose start is whole but which goes beyond the end of the file was
being written, and so was a start that is not all there, or is nothing but zeros to the end, which a power cut leaves. The checksum
finds accidents only: who can forge it can as well cut the file. An entry without its last frame counts as torn as a whole.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from offline_agent.errors import VaultDamaged, VaultTooNew

RECORD, PIECE = 1, 2
LONGEST = 1024 * 1024
"""The most bytes of plaintext in one frame."""

_MAGIC = b"OAframes"
_VERSION = 1
_SALT, _TAG, _NONCE = 32, 16, 12
_START = len(_MAGIC) + 2 + _SALT
_LAST = 128
_HEAD = struct.Struct(f">BI{_NONCE}s")
_CRC = struct.Struct(">I")
_OFFSET = struct.Struct(">Q")
_AHEAD = _HEAD.size + _CRC.size
_INFO = b"offline-agent frames 1 "


class Frame(NamedTuple):
    """Where a frame is, and what its start says. `place` is the offset of its first byte, `end` that of the byte after it."""

    place: int
    kind: int
    last: bool
    head: bytes
    nonce: bytes
    end: int


class Frames:
    """The frames in the file of `descriptor`, which stays the caller's. `key` is 32 bytes; `context` says what the file is. A file
    that is empty, or ends before its salt does, gets its start when the first frame is added.

    Every method may raise OSError. Raises VaultDamaged for another kind of file and VaultTooNew for a later format.
    """

    def __init__(self, descriptor: int, key: bytes, context: bytes) -> None:
        self._descriptor = descriptor
        self._key = key
        self._context = context
        start = os.pread(descriptor, _START, 0)
        self._cipher = self._derive(start) if len(start) == _START else None

    def whole(self, place: int = _START) -> Iterator[Frame]:
        """The frames from `place` on, up to the end or to where it is torn. Raises VaultDamaged."""
        size = os.fstat(self._descriptor).st_size
        while (frame := self._frame(place, size)) is not None:
            yield frame
            place = frame.end

    def plain(self, frame: Frame) -> bytes:
        """Raises VaultDamaged."""
        sealed = os.pread(self._descriptor, frame.end - frame.place - _AHEAD, frame.place + _AHEAD)
        if self._cipher is None:
            raise _damaged(frame.place)
        try:
            return self._cipher.decrypt(frame.nonce, sealed, self._bound(frame.place, frame.head))
        except InvalidTag:
            raise _damaged(frame.place) from None

    def end_of_entries(self) -> int:
        """The offset after the last entry that is whole. Raises VaultDamaged."""
        end = _START if self._cipher is not None else 0
        for frame in self.whole():
            if frame.last:
                end = frame.end
        return end

    def add(self, place: int, kind: int, plain: bytes | memoryview, last: bool) -> int:
        """Writes a frame at `place`, which is the end of the file; returns the end there is then."""
        if self._cipher is None:
            place = self._begin()
        assert self._cipher is not None
        nonce = os.urandom(_NONCE)
        head = _HEAD.pack(kind | (_LAST if last else 0), len(plain) + _TAG, nonce)
        sealed = self._cipher.encrypt(nonce, plain, self._bound(place, head))
        return self._write(place, head + _CRC.pack(_check(place, head)) + sealed)

    def _begin(self) -> int:
        os.ftruncate(self._descriptor, 0)
        start = _MAGIC + _VERSION.to_bytes(2, "big") + os.urandom(_SALT)
        end = self._write(0, start)
        self._cipher = self._derive(start)
        return end

    def _write(self, place: int, data: bytes) -> int:
        left = memoryview(data)
        while left:
            count = os.pwrite(self._descriptor, left, place)
            place, left = place + count, left[count:]
        return place

    def _frame(self, place: int, size: int) -> Frame | None:
        """The frame at `place` of a file of `size` bytes; None at the end, or where it is torn."""
        if size - place < _AHEAD:
            return None
        ahead = os.pread(self._descriptor, _AHEAD, place)
        head = ahead[: _HEAD.size]
        kind, length, nonce = _HEAD.unpack(head)
        if ahead[_HEAD.size :] != _CRC.pack(_check(place, head)):
            if self._only_zeros(place):
                return None
            raise _damaged(place)
        end = place + _AHEAD + length
        return Frame(place, kind & ~_LAST, bool(kind & _LAST), head, nonce, end) if end <= size else None

    def _only_zeros(self, place: int) -> bool:
        while piece := os.pread(self._descriptor, LONGEST, place):
            if piece.strip(b"\0"):
                return False
            place += len(piece)
        return True

    def _bound(self, place: int, head: bytes) -> bytes:
        return _OFFSET.pack(place) + os.pread(self._descriptor, _TAG, place - _TAG) + head

    def _derive(self, start: bytes) -> AESGCM:
        if not start.startswith(_MAGIC):
            raise _damaged(0)
        version = int.from_bytes(start[len(_MAGIC) : -_SALT], "big")
        if version > _VERSION:
            raise VaultTooNew(
                f"It is of format {version}, known here up to {_VERSION}: a newer version of offline-agent wrote it. "
                "Update offline-agent."
            )
        if version < _VERSION:
            raise _damaged(len(_MAGIC))
        return AESGCM(HKDF(SHA256(), length=32, salt=start[-_SALT:], info=_INFO + self._context).derive(self._key))


def _check(place: int, head: bytes) -> int:
    return zlib.crc32(head, zlib.crc32(_OFFSET.pack(place)))


def _damaged(place: int) -> VaultDamaged:
    return VaultDamaged(f"It is not what was written, from byte {place} on.")
