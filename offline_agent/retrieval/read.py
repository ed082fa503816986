"""From a path to its text, or to the reason why there is none. One bad file never stops the rest."""

import codecs
import hashlib
import os
import stat
from pathlib import Path

from offline_agent.types import FileState, Skipped, Value

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Document(Value):
    """A file that was read: what it looked like then, and its text without a byte order mark."""

    state: FileState
    text: str


class Unread(Value):
    """A file that is there but not indexed. `state` (with no hash) lets the next scan pass it by."""

    state: FileState
    skipped: Skipped


def read(root: Path, path: str, limit: int) -> Document | Unread | None:
    """Reads one file of at most `limit` bytes; None when it is gone, or a directory took its place."""
    try:
        # O_NONBLOCK: a fifo that took the file's place must not block. O_NOFOLLOW: nor may a link lead outside.
        descriptor = os.open(root / path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return _unread(path, _state(root, path), f"it cannot be read ({error.strerror})")
    try:
        return _read_open(descriptor, path, limit)
    finally:
        os.close(descriptor)


def _read_open(descriptor: int, path: str, limit: int) -> Document | Unread | None:
    status = os.fstat(descriptor)
    state = FileState(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns, sha256="")
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        return _unread(path, state, "not a regular file")
    if status.st_size > limit:
        return _unread(path, state, f"larger than {limit:,} bytes")
    try:
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    except OSError as error:
        return _unread(path, state, f"it cannot be read ({error.strerror})")
    if len(data) > limit:  # it grew since
        return _unread(path, state, f"larger than {limit:,} bytes")
    text = decode(data)
    if text is None:
        return _unread(path, state, "binary")
    return Document(state=state.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()}), text=text)


def decode(data: bytes) -> str | None:
    """UTF-16 by its mark, else UTF-8, else Latin-1, which any bytes are; None when it is not text."""
    if data.startswith(_UTF16):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            return None
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _state(root: Path, path: str) -> FileState:
    try:
        status = os.lstat(root / path)
    except OSError:
        return FileState(path=path, size=-1, mtime_ns=0, sha256="")
    return FileState(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns, sha256="")


def _unread(path: str, state: FileState, reason: str) -> Unread:
    return Unread(state=state, skipped=Skipped(path=path, reason=reason))
