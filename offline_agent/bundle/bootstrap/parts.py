"""A bundle that may be split: FILE, or FILE.001-of-003, FILE.002-of-003 and FILE.003-of-003, read as one stream.

The parts one after the other are the bundle. All have the same size but the last, which may be shorter.
"""

import io
import os
import re
import stat
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

from offline_agent.errors import BundleBroken, BundleError, StorageError

MOST = 999
"""The most parts: their numbers have three digits."""
_PART = re.compile(r"(?P<file>.+)\.(?P<number>\d{3})-of-(?P<count>\d{3})", re.DOTALL)


def part_names(file: str, count: int) -> list[str]:
    """The names of the parts of `file`; one part is the file itself."""
    return [file] if count == 1 else [f"{file}.{number:03}-of-{count:03}" for number in range(1, count + 1)]


def is_part(file: str) -> bool:
    """Whether a file of that name is taken for a part."""
    return _PART.fullmatch(file) is not None


def parts_beside(path: Path) -> dict[int, set[int]]:
    """The numbers of the parts of `path` that lie where it would lie, by how many there are to be. Raises StorageError."""
    found: dict[int, set[int]] = {}
    try:
        names = os.listdir(path.parent)
    except FileNotFoundError:
        return found
    except OSError as error:
        raise _unreadable(path.parent, error) from None
    for match in filter(None, map(_PART.fullmatch, names)):
        if match["file"] == path.name:
            found.setdefault(int(match["count"]), set()).add(int(match["number"]))
    return found


class Parts(io.RawIOBase):
    """The files at `paths` as one stream, which can seek. What is no regular file is refused."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._files: list[int] = []
        self._at = 0
        try:
            self._files.extend(map(_open, self._paths))
            self._sizes = [os.fstat(file).st_size for file in self._files]
        except BaseException:
            self.close()
            raise
        self._ends = list(accumulate(self._sizes))

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return self._ends[-1]

    def check_sizes(self) -> None:
        """Raises BundleBroken for a part that is shorter or longer than the others."""
        if len(self._sizes) < 2:
            return
        *sizes, last = self._sizes
        usual = max(set(sizes), key=lambda size: (sizes.count(size), size))
        for path, size in zip(self._paths, sizes, strict=False):
            if size != usual:
                raise _unlike(path, size, usual)
        if last > usual:
            wrong = 0 if len(sizes) == 1 else -1  # of two parts the first is never the shorter
            raise _unlike(self._paths[wrong], self._sizes[wrong], last if wrong == 0 else usual)

    def names_of(self, start: int, stop: int) -> str:
        """The parts that the bytes from `start` up to `stop` are in, in words; empty where the bundle is not split."""
        if len(self._paths) == 1:
            return ""
        last = len(self._paths) - 1
        first, final = (min(last, bisect_right(self._ends, at)) for at in (start, max(start, stop - 1)))
        return " or ".join(path.name for path in self._paths[first : final + 1])

    def short_parts(self) -> str:
        """Which parts a bundle that is too short may lack bytes of, in words; empty where it is not split."""
        # Of two, each can be the one that was cut; of more, the others tell the size.
        return (
            " or ".join(path.name for path in self._paths[0 if len(self._paths) == 2 else -1 :]) if self._split else ""
        )

    @property
    def _split(self) -> bool:
        return len(self._paths) > 1

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("no stream begins before its first byte")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Raises StorageError where a part cannot be read."""
        number = bisect_right(self._ends, self._at)
        if number == len(self._files):
            return 0
        start = self._ends[number] - self._sizes[number]
        try:
            count = os.preadv(
                self._files[number], [memoryview(buffer)[: self._ends[number] - self._at]], self._at - start
            )
        except OSError as error:
            raise _unreadable(self._paths[number], error) from None
        self._at += count
        return count

    def close(self) -> None:
        while self._files:
            with suppress(OSError):  # nothing was written
                os.close(self._files.pop())
        super().close()


def open_parts(path: Path) -> Parts:
    """The bundle FILE, or the one that FILE or FILE.001-of-003 has the parts of. Raises BundleError where there is none,
    BundleBroken for a part that is missing or of another size than the others, StorageError."""
    parts = Parts(_paths_of(path))
    try:
        parts.check_sizes()
    except BaseException:
        parts.close()
        raise
    return parts


def _paths_of(path: Path) -> list[Path]:
    match = _PART.fullmatch(path.name)
    if match:
        return _whole(path.with_name(match["file"]), int(match["count"]))
    if os.path.lexists(path):
        return [path]
    counts = sorted(parts_beside(path))
    if not counts:
        raise BundleError(
            f"There is no bundle {path}, and no part of it such as {path.name}.001-of-002. Look where it is."
        )
    if len(counts) > 1:
        firsts = " or ".join(part_names(path.name, count)[0] for count in counts)
        raise BundleError(f"{path.parent} has parts of more than one bundle {path.name}. Say which: {firsts}.")
    return _whole(path, counts[0])


def _whole(path: Path, count: int) -> list[Path]:
    names = part_names(path.name, count)
    there = parts_beside(path).get(count, set())
    missing = [name for number, name in enumerate(names, 1) if number not in there]
    if missing or not names:
        what = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise BundleBroken(
            f"Of the bundle {path.name}, {what or 'every part'} is missing. Put all parts into {path.parent}."
        )
    return [path.with_name(name) for name in names]


def _open(path: Path) -> int:
    try:
        # Non-blocking: a pipe in its place must not keep the program waiting.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BundleError(f"There is no bundle {path}. Look where it is.") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise BundleError(f"{path} is no file, so it is no bundle. Give the file that `bundle create` made.")
    return file


def _unlike(path: Path, size: int, usual: int) -> BundleBroken:
    return BundleBroken(
        f"{path.name} has {size:,} bytes and the parts beside it {usual:,}: it was not copied to its end, or is another bundle's. "
        "Copy it again."
    )


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be read: {error.strerror}. Check the disk and who may read there; then copy it again."
    )
