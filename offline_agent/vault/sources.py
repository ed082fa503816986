"""Sources of bytes: read through, so that what passes is counted and hashed, or joined from pieces."""

from collections.abc import Iterator

from blake3 import blake3

from offline_agent.errors import StorageError
from offline_agent.vault.stream import Source


def hashed(source: Source | bytes, hasher: blake3, limit: int) -> Source | bytes:
    """The same content; once it was read, `hasher` has it all. Raises StorageError for more than `limit` bytes."""
    if not isinstance(source, bytes):
        return _Tee(source, hasher, limit)
    _check_size(len(source), limit)
    hasher.update(source)
    return source


class _Tee:
    """Hashes what is read through it, up to `limit` bytes."""

    def __init__(self, source: Source, hasher: blake3, limit: int) -> None:
        self._source = source
        self._hasher = hasher
        self._limit = limit
        self._size = 0

    def readinto(self, buffer: memoryview, /) -> int:
        count = self._source.readinto(buffer) or 0
        self._size += count
        _check_size(self._size, self._limit)
        self._hasher.update(buffer[:count])
        return count


class Joined:
    """A Source of pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise StorageError(
            f"The content is longer than the {limit} bytes that all blobs together may have. Raise [vault] blob_megabytes."
        )
