"""Hashing files of gigabytes, and copying them in the same pass, in constant memory.

Measured on two cores, from the page cache: one thread that reads and hashes in turn gets 1.5 GB/s, as much as SHA-256 alone in
OpenSSL with the processor's own instructions for it. A second thread that reads ahead, or writes, gains nothing: the kernel reads
ahead by itself, and writing to its cache costs less than handing buffers over.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

PIECE = 1 << 20
"""Bytes at a time: shorter ones cost calls, longer ones leave the processor's cache between reading and hashing."""


def _nothing(count: int) -> None:
    pass


def hash_file(path: Path, seen: Callable[[int], None] = _nothing) -> str:
    """SHA-256 of the file, in hex. `seen` gets the number of bytes of each piece. Raises OSError."""
    hasher = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for piece in _pieces(file):
            hasher.update(piece)
            seen(len(piece))
    return hasher.hexdigest()


def copy_open(source: FileIO, target: FileIO, seen: Callable[[int], None] = _nothing) -> str:
    """Writes what `source` has left to `target`; returns the SHA-256 of what was written, in hex. Raises
    OSError."""
    hasher = hashlib.sha256()
    for piece in _pieces(source):
        left = piece
        while left:  # a write may stop short of a full disk, or at a signal
            left = left[target.write(left) :]
        hasher.update(piece)
        seen(len(piece))
    return hasher.hexdigest()


def _pieces(file: FileIO) -> Iterator[memoryview]:
    """Views of one buffer, each valid until the next."""
    if hasattr(os, "posix_fadvise"):  # not on macOS
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
    buffer = bytearray(PIECE)
    view = memoryview(buffer)
    while count := file.readinto(buffer):
        yield view[:count]
