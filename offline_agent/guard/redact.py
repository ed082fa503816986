"""Secrets in what was read -> `[redacted:KIND#N]`, before a model or the vault gets it.

    text -> key blocks, known values, formats, assignments -> spans -> marks

The same secret has the same mark as long as the Redactor lives: the model can tell that two places hold one key, and nobody can
tell which. It remembers keyed hashes, with a key of its own, and never a secret that it found; what it was told to `know` it must
keep, in memory alone.
"""

import hashlib
import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence

from offline_agent.guard.assigned import find_assigned
from offline_agent.guard.entropy import looks_random
from offline_agent.guard.formats import Format, Span, is_example
from offline_agent.guard.keyblocks import find_key_blocks
from offline_agent.guard.known import Known

MARK = re.compile(r"\[redacted:[a-z-]{1,40}#\d{1,9}\]")
_PAIRED = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=_-])")
"""An AWS secret access key has no form of its own; it stands beside its key's id."""
_BESIDE = 300
_NEAR = 5000
"""Characters: no format looks further."""
_BREAKS = ("\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
_Find = tuple[int, int, str]
"""Start, end, and what to put there."""
_ROUNDS = 4
"""What is masked can let a pattern see what it had taken for part of something else."""


class Redactor:
    """For one session, and any thread."""

    def __init__(self, formats: Sequence[Format]) -> None:
        self._formats = tuple(formats)
        self._key = secrets.token_bytes(32)
        self._marks: dict[bytes, str] = {}
        self._known = Known()
        self._lock = threading.Lock()

    def know(self, values: Iterable[str]) -> None:
        """Values to mask wherever they turn up, encoded too; short ones and common words are left out."""
        with self._lock:
            self._known.add(values)

    def mask(self, text: str) -> str:
        """The text with marks in place of secrets. Line breaks stay where they are. A text that was masked is left as it is."""
        with self._lock:
            return self._masked(text, _ROUNDS)

    def _masked(self, text: str, rounds: int) -> str:
        """What is far from every secret was seen to have none, and is not looked at again."""
        parts, position = [], 0
        for stretch in _stretches(self._found(text), text):
            start, end = stretch[0][0], stretch[-1][1]
            first, last = max(position, _line_start(text, start - _NEAR)), _line_end(text, end + _NEAR)
            near = _replaced(text, stretch, first, last)
            parts += [text[position:first], self._masked(near, rounds - 1) if rounds else near]
            position = last
        return "".join([*parts, text[position:]]) if parts else text

    def _found(self, text: str) -> list[_Find]:
        """What to put where, in order, nothing overlapping: the more certain a find, the earlier it takes its place."""
        taken = [match.span() for match in MARK.finditer(text)] if "[redacted:" in text else []
        free = _Free(len(text), taken)
        found: list[_Find] = []
        for pieces, secret, kind in self._finds(text):
            if all(free.has(start, end) for start, end in pieces):
                for number, (start, end) in enumerate(pieces):
                    free.take(start, end)
                    found.append((start, end, self._mark(kind, secret) if number == 0 else ""))
        return sorted(found)

    def _finds(self, text: str) -> Iterator[tuple[list[tuple[int, int]], str, str]]:
        plain = _plain(text)
        for block in find_key_blocks(plain):
            yield [(s.start, s.end) for s in block], "".join(text[s.start : s.end] for s in block), block[0].kind
        for places, value in self._known.find(text):
            yield places, value, "known"
        for span in self._single(plain):
            yield [(span.start, span.end)], text[span.start : span.end], span.kind

    def _single(self, text: str) -> Iterator[Span]:
        for one in self._formats:
            for span in one.find(text):
                yield span
                if one.kind == "aws-key":
                    yield from _beside(text, span)
        yield from find_assigned(text)

    def _mark(self, kind: str, secret: str) -> str:
        digest = hashlib.blake2b(secret.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()
        return self._marks.setdefault(digest, f"[redacted:{kind}#{len(self._marks) + 1}]")


def _plain(text: str) -> str:
    """The text in ASCII, character for character, with one kind of line break. No format has other characters, searching is
    faster in those of one byte, and lower case is as long as upper."""
    for line_break in _BREAKS:
        if line_break in text:
            text = text.replace(line_break, "\n")
    return text if text.isascii() else text.encode("ascii", "replace").decode("ascii")


def _stretches(found: Sequence[_Find], text: str) -> Iterator[list[_Find]]:
    """Finds that are near each other, together."""
    current: list[_Find] = []
    for one in found:
        if current and one[0] > _line_end(text, current[-1][1] + _NEAR) + _NEAR:
            yield current
            current = []
        current.append(one)
    if current:
        yield current


def _replaced(text: str, found: Iterable[_Find], position: int, last: int) -> str:
    parts = []
    for start, end, mark in found:
        parts += [text[position:start], mark]
        position = end
    return "".join([*parts, text[position:last]])


def _line_start(text: str, place: int) -> int:
    return text.rfind("\n", 0, max(0, place)) + 1


def _line_end(text: str, place: int) -> int:
    end = text.find("\n", place)
    return end + 1 if end >= 0 else len(text)


class _Free:
    """Which places of a text nothing has taken yet."""

    def __init__(self, size: int, taken: Iterable[tuple[int, int]]) -> None:
        self._used = bytearray(size)
        for start, end in taken:
            self.take(start, end)

    def has(self, start: int, end: int) -> bool:
        return end > start and self._used.find(1, start, end) < 0

    def take(self, start: int, end: int) -> None:
        self._used[start:end] = b"\1" * (end - start)


def _beside(text: str, key: Span) -> Iterator[Span]:
    """The secret key near the id of an AWS key."""
    for match in _PAIRED.finditer(text, max(0, key.start - _BESIDE), min(len(text), key.end + _BESIDE)):
        if looks_random(match[0]) and not is_example(match[0]) and not re.fullmatch(r"[0-9a-f]{40}", match[0]):
            yield Span(*match.span(), "aws-secret")
