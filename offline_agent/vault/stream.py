"""The sealed stream: any number of bytes, encrypted and authenticated in chunks, so that memory stays constant.

    offset  size
         0     8  magic, the ASCII letters OAsealed
         8     2  format version, big-endian: 1
        10    32  salt, random for every stream
        42    32  binding: HMAC-SHA256 by the binding key over bytes 0 to 41 and then the context
        74        chunks: every one but the last holds 1 MiB of plaintext, the last less, down to nothing;
                  a chunk is its ciphertext (AES-256-GCM, as long as the plaintext), then its tag of 16 bytes

The cipher key and the binding key are 32 bytes each, one after the other, of HKDF-SHA256 (RFC 5869) over the key that is passed
in, with the salt and an info of this format's own. The nonce of chunk i is i as 11 bytes, big-endian, and one byte that is 1 for
the last chunk, else 0: the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance", 2015) as age has it, but that the last chunk is the one that is short: nobody needs to look
ahead, and n bytes are written in one way only. Bytes 0 to 41 are associated data of every chunk. So no chunk can be changed, left
out, repeated, moved or taken from another stream, and no end cut off or added.

The context says what the stream is, so that who can write the disk cannot pass one sealed file off as another. It may follow from
the plaintext, which is why no chunk authenticates it directly: the binding ties it to the salt, and the salt, through the key, to
every chunk. Whoever wants these chunks under another context must forge an HMAC. The binding is checked first: not a byte
of a wrong file is handed out. What shows is how long the plaintext is.

1 MiB is measured: with 64 KiB, sealing takes a third longer, and more than 1 MiB gains nothing.
"""

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from offline_agent.errors import VaultDamaged, VaultTooNew

CHUNK = 1024 * 1024
_MAGIC = b"OAsealed"
_VERSION = 1
_SALT, _BINDING, _TAG = 32, 32, 16
_PREFIX = len(_MAGIC) + 2 + _SALT
_INFO = b"offline-agent sealed stream 1"


class Source(Protocol):
    """Where bytes come from: a file opened for reading, io.BytesIO, or a class of one's own."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fills the front of the buffer and returns how much of it; 0 at the end. Less than asked for is no end."""


class _Keys(NamedTuple):
    cipher: AESGCM
    binding: bytes


def seal(
    source: Source | bytes, sink: BinaryIO, key: bytes, context: bytes | Callable[[], bytes], chunk: int = CHUNK
) -> int:
    """Writes what `source` has left to `sink`, which can seek; returns the bytes of plaintext. What is in `sink` opens only once
    this has returned.

    `key` is 32 bytes. A context that follows from the plaintext is a function, called when all of that was read. `chunk`, in
    bytes, is for tests: who opens must give the same. Errors of the two files pass through.
    """
    prefix = _MAGIC + _VERSION.to_bytes(2, "big") + os.urandom(_SALT)
    keys = _derive(key, prefix)
    start = sink.tell()
    sink.write(prefix + bytes(_BINDING))
    sealed = memoryview(bytearray(chunk + _TAG))
    size = 0
    for number, plain in enumerate(_pieces(source, chunk)):
        piece = sealed[: len(plain) + _TAG]
        keys.cipher.encrypt_into(_nonce(number, len(plain) < chunk), plain, prefix, piece)
        sink.write(piece)
        size += len(plain)
    end = sink.tell()
    sink.seek(start + _PREFIX)
    sink.write(_bind(keys, prefix, context if isinstance(context, bytes) else context()).finalize())
    sink.seek(end)
    return size


def opened(source: Source, key: bytes, context: bytes, chunk: int = CHUNK) -> Iterator[bytes]:
    """The plaintext that `seal` was given, in pieces of at most `chunk` bytes, each checked before it is yielded.

    Raises VaultDamaged where a byte, the key or the context is not the one it was sealed with, VaultTooNew for a later format;
    the call itself raises what is wrong with the start. A cut or changed end shows when the iterator gets there: until it
    stops by itself, what it gave is authentic but perhaps not all.
    """
    header = memoryview(bytearray(_PREFIX + _BINDING))
    filled = _fill(source, header)
    prefix = bytes(header[:_PREFIX])
    _check_format(prefix)
    keys = _derive(key, prefix)
    try:
        _bind(keys, prefix, context).verify(bytes(header[_PREFIX:filled]))
    except InvalidSignature:
        raise _damaged("its header is changed, or it is another file's or under another key") from None
    return _chunks(source, keys.cipher, prefix, chunk)


def _chunks(source: Source, cipher: AESGCM, prefix: bytes, chunk: int) -> Iterator[bytes]:
    for number, sealed in enumerate(_pieces(source, chunk + _TAG)):
        try:
            plain = cipher.decrypt(_nonce(number, len(sealed) < chunk + _TAG), sealed, prefix)
        except InvalidTag:
            raise _damaged(f"its chunk {number} is changed or cut") from None
        if plain:
            yield plain


def _pieces(source: Source | bytes, size: int) -> Iterator[memoryview]:
    """Pieces of `size` bytes and one that is shorter, perhaps empty. Each is good only until the next is asked for."""
    if isinstance(source, bytes):
        whole = memoryview(source)
        yield from (whole[start : start + size] for start in range(0, len(whole) + 1, size))
        return
    buffer, filled = memoryview(bytearray(size)), size
    while filled == size:
        filled = _fill(source, buffer)
        yield buffer[:filled]


def _fill(source: Source, buffer: memoryview) -> int:
    """Reads until the buffer is full or the source at its end; returns the bytes read. Pipes and sockets return short."""
    filled = 0
    while filled < len(buffer) and (count := source.readinto(buffer[filled:])):
        filled += count
    return filled


def _check_format(prefix: bytes) -> None:
    if not prefix.startswith(_MAGIC):
        raise _damaged("it does not start as sealed data does")
    version = int.from_bytes(prefix[len(_MAGIC) : -_SALT], "big")
    if version > _VERSION:
        raise VaultTooNew(
            f"Sealed data is of format {version}, known here up to {_VERSION}: a newer version of offline-agent wrote it. "
            "Update offline-agent."
        )
    if version < _VERSION:
        raise _damaged(f"its format {version} never was")


def _derive(key: bytes, prefix: bytes) -> _Keys:
    both = HKDF(SHA256(), length=64, salt=prefix[-_SALT:], info=_INFO).derive(key)
    return _Keys(AESGCM(both[:32]), both[32:])


def _bind(keys: _Keys, prefix: bytes, context: bytes) -> HMAC:
    mac = HMAC(keys.binding, SHA256())
    mac.update(prefix + context)
    return mac


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _damaged(what: str) -> VaultDamaged:
    return VaultDamaged(
        f"Sealed data is not what was written: {what}. `offline-agent vault verify` tells what else is damaged."
    )
