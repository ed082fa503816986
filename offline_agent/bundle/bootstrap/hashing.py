"""The SHA-256 of a member, and its marks: the SHA-256 of its first stretch, of its first two, and so on.

A mark is taken from the running hash, so it costs nothing. It tells, in a model of 20 GB, which 16 MiB are the first that are not
as they were: so the part of a split bundle that has to be copied again, and that without reading on to the end.
"""

import hashlib

STRETCH = 16 * 1024 * 1024
"""Bytes from one mark to the next."""


def count_marks(size: int, stretch: int) -> int:
    """How many marks a member of `size` bytes has: none at its end, where its own hash is."""
    return max(0, size - 1) // stretch


class Hasher:
    """Takes pieces of any size."""

    def __init__(self, stretch: int = STRETCH) -> None:
        self._stretch = stretch
        self._left = stretch
        self._hash = hashlib.sha256()
        self.marks: list[str] = []
        """Those of the stretches after which something came."""

    def update(self, piece: memoryview) -> None:
        while piece:
            if not self._left:
                self.marks.append(self._hash.hexdigest())
                self._left = self._stretch
            taken = piece[: self._left]
            self._hash.update(taken)
            self._left -= len(taken)
            piece = piece[len(taken) :]

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
