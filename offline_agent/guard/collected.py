"""What a command writes: shown as it comes, and kept in part."""

import codecs
from collections import deque
from collections.abc import Callable

KEPT = 1 << 20
"""Bytes that are kept of the beginning, and as many of the end: what goes wrong is said in one or the other."""


class Collected:
    """Takes bytes that are meant to be UTF-8; what is not becomes U+FFFD. `show` gets the text as it comes."""

    def __init__(self, show: Callable[[str], None] | None = None, kept: int = KEPT) -> None:
        self._show, self._kept = show, kept
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self.size = 0
        """Bytes so far."""

    def add(self, data: bytes) -> None:
        self.size += len(data)
        room = max(0, self._kept - len(self._head))
        self._head += data[:room]
        if rest := data[room:]:
            self._tail.append(rest)
            self._tail_size += len(rest)
        while self._tail and self._tail_size - len(self._tail[0]) >= self._kept:
            self._tail_size -= len(self._tail.popleft())
        self._say(self._decoder.decode(data))

    def finish(self) -> None:
        """There is no more: a character that was cut off is shown as one that is wrong."""
        self._say(self._decoder.decode(b"", final=True))

    def _say(self, text: str) -> None:
        if self._show is not None and text:
            self._show(text)

    @property
    def dropped(self) -> int:
        """Bytes that were not kept."""
        return self.size - len(self._head) - len(self._end())

    @property
    def data(self) -> bytes:
        """What was kept, with a line in the gap."""
        gap = f"\n[sandbox: {self.dropped} bytes are left out here]\n".encode() if self.dropped else b""
        return bytes(self._head) + gap + self._end()

    def _end(self) -> bytes:
        return b"".join(self._tail)[-self._kept :]
