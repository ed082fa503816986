"""What git's own files say of what git runs. They are read more widely than git reads them: that can only protect more.

.git/config   core.hooksPath, include.path   -> files and directories that steer git, wherever they are
.git/index    entries that are repositories  -> `git status` goes into each, and runs what its configuration names
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_SETTING = re.compile(
    r"^[ \t]*(?:\[[^\]\n]*\][ \t]*)?(?:hookspath|attributesfile|path)[ \t]*=[ \t]*(.+?)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_DEEPEST_INCLUDE = 3
_LARGEST = 1_000_000
"""Bytes of a configuration; what is larger was not written by hand."""

# gitformat-index(5): a header of 12 bytes, then entries: 40 bytes, an object id, flags of 2 bytes or 4, and a path, which up to
# version 3 is padded with 1 to 8 zeros to a multiple of 8.
_HEADER, _ENTRY, _MODE = 12, 42, 24
_GITLINK = 0o160000
_EXTENDED = 0x4000
_SHA256 = re.compile(r"objectformat\s*=\s*\"?sha256", re.IGNORECASE)
_PREFIXED = 4
"""From this version on a path says how much it shares with the one before."""

# What `git init`, `git clone` and `git submodule` write. Every other setting may name a program, now or in a later git.
_HARMLESS = re.compile(
    r"""\s* (?: [#;].* | \[(?:core|user|extensions)\] | \[(?:remote|branch|submodule)[ ]"[^"\\]*"\]
    | (?: repositoryformatversion | filemode | bare | logallrefupdates | worktree | ignorecase | precomposeunicode | symlinks
        | objectformat | refstorage | url | fetch | remote | merge | active | name | email ) \s* (?: = [^\\]* )? )? \s*""",
    re.VERBOSE | re.IGNORECASE,
)


def named_by(config: Path, root: Path, depth: int = _DEEPEST_INCLUDE) -> Iterator[str]:
    """What a configuration names that is below `root`, relative to it, whether it exists or not: directories of hooks, attributes,
    and other configurations, with what those name."""
    for value in _SETTING.findall(_text(config)):
        path = re.split(r"[ \t]+[#;]", value)[0].strip('"')
        for base in (root, config.parent):  # of hooks relative to the first, of configurations to the second
            place = os.path.normpath(os.path.join(base, path))
            if place.startswith(f"{root}/"):
                yield place.removeprefix(f"{root}/")
                if depth and os.path.isfile(place):
                    yield from named_by(Path(place), root, depth - 1)


def may_run_programs(config: Path) -> bool:
    """Whether a configuration has anything but what git writes into every new one."""
    return not all(_HARMLESS.fullmatch(line) for line in _text(config).splitlines())


def repositories_in(git: Path) -> frozenset[str]:
    """The paths of the repositories that the index of a git directory has as entries, relative to the work tree. Nothing where
    there is no index or it cannot be understood: then git goes into none."""
    found: set[str] = set()
    id_bytes = 32 if _SHA256.search(_text(git / "config")) else 20
    for name in ("index", *_shared(git)):
        try:
            data = (git / name).read_bytes()
        except OSError:
            continue
        # Nearly all have none, which is soon seen; where the bytes stand for something else, the entries tell.
        if data[:4] == b"DIRC" and _GITLINK.to_bytes(4) in data:
            with suppress(IndexError):  # it ends too early
                found.update(_gitlinks(data, id_bytes))
    return frozenset(found)


def git_directory(work_tree: Path) -> Path | None:
    """Where the git directory of a work tree is: `.git`, or where that file or link leads to."""
    place = work_tree / ".git"
    if place.is_dir():
        return Path(os.path.realpath(place))
    text = _text(place)
    return Path(os.path.realpath(work_tree / text.removeprefix("gitdir:").strip())) if text else None


def _shared(git: Path) -> list[str]:
    """The parts that a split index is based on."""
    try:
        return [name for name in os.listdir(git) if name.startswith("sharedindex.")]
    except OSError:
        return []


def _gitlinks(data: bytes, id_bytes: int) -> Iterator[str]:
    version, entries = int.from_bytes(data[4:8]), int.from_bytes(data[8:12])
    at, before = _HEADER, b""
    for _ in range(entries):
        start, length = at, _ENTRY + id_bytes
        flags = int.from_bytes(data[at + length - 2 : at + length])
        at += length + (2 if flags & _EXTENDED else 0)
        shared = len(before)
        if version >= _PREFIXED:
            cut, at = _number(data, at)
            shared -= cut
        end = data.find(b"\0", at)
        if end < 0:
            return
        before = data[at:end] if version < _PREFIXED else before[:shared] + data[at:end]
        at = end + 1 if version >= _PREFIXED else start + (end - start + 8) // 8 * 8
        if int.from_bytes(data[start + _MODE : start + _MODE + 4]) == _GITLINK:
            yield os.fsdecode(before)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length (the offsets of gitformat-pack(5)), and where what follows it begins."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1) << 7 | data[at] & 0x7F
    return value, at + 1


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""
