"""From a path to its text, or to the reason why there is none. One bad file never stops the rest."""

import codecs
import hashlib
import os
import re
import stat
from pathlib import Path

from offline_agent.types import FileState, Skipped, Value

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32 = (
    codecs.BOM_UTF32_LE,
    codecs.BOM_UTF32_BE,
)  # looked for first: the little-endian mark begins with that of UTF-16
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # not \t \n \v \f \r, nor the escape of a coloured log
_LOOKED_AT = 8192  # bytes
_CONTROL_SHARE = 50  # one in so many is more than any text has

# Written by a tool for itself: thousands of lines of versions and hashes, in which every package's name would be found.
_LOCK_FILES = {
    *("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb", "deno.lock"),
    *("poetry.lock", "uv.lock", "pdm.lock", "pipfile.lock", "pixi.lock", "conda-lock.yml"),
    *("cargo.lock", "go.sum", "go.work.sum", "gemfile.lock", "composer.lock", "packages.lock.json", "paket.lock"),
    *("podfile.lock", "package.resolved", "pubspec.lock", "mix.lock", "flake.lock", "gradle.lockfile"),
}
_GENERATED = {".min.js": "minified", ".min.mjs": "minified", ".min.css": "minified", ".map": "a source map"}

_LONG_LINE = 5000  # characters; the longest lines that people write are paragraphs
_SMALL = 20_000  # characters: a file this small is not worth a rule
_MOST_LINES = 100_000
_NOTEBOOK = ".ipynb"  # holds its pictures in one line each, and they are not indexed


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
    if reason := generated(path):
        return _unread(path, state, reason)
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
    if reason := unreadable(path, text):
        return _unread(path, state, reason)
    return Document(state=state.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()}), text=text)


def decode(data: bytes) -> str | None:
    """UTF-32 or UTF-16 by its mark, else UTF-8, else Latin-1, which any bytes are; None when it is not text."""
    try:
        text = _decode(data)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def generated(path: str) -> str:
    """Why a file of this name is not worth reading; empty for others."""
    name = path.rpartition("/")[2].lower()
    if name in _LOCK_FILES:
        return "a generated lock file"
    return next((reason for ending, reason in _GENERATED.items() if name.endswith(ending)), "")


def unreadable(path: str, text: str) -> str:
    """Why nobody reads this text, so that a search should not find it; empty for others."""
    if len(text) <= _SMALL or path.lower().endswith(_NOTEBOOK):
        return ""
    if text.count("\n") > _MOST_LINES:
        return f"more than {_MOST_LINES:,} lines"
    if 2 * sum(len(line) for line in text.split("\n") if len(line) > _LONG_LINE) > len(text):
        return f"minified, or data: most of it is in lines of more than {_LONG_LINE:,} characters"
    return ""


def _decode(data: bytes) -> str:
    if data.startswith(_UTF32):
        return data.decode("utf-32")
    if data.startswith(_UTF16):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        start = data[:_LOOKED_AT]
        if _CONTROL_SHARE * len(_CONTROL.findall(start)) > len(start):
            raise
        return data.decode("latin-1")


def _state(root: Path, path: str) -> FileState:
    try:
        status = os.lstat(root / path)
    except OSError:
        return FileState(path=path, size=-1, mtime_ns=0, sha256="")
    return FileState(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns, sha256="")


def _unread(path: str, state: FileState, reason: str) -> Unread:
    return Unread(state=state, skipped=Skipped(path=path, reason=reason))
