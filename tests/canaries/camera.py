"""Keeps what files hold while others write them: what a process cleans up at its end was on the disk all the same."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.canaries.scan import Scan

_BLOCK = 1 << 16
_OVERLAP = 1 << 12  # longer than anything that is looked for
_PAUSE = 0.05  # seconds between two looks
_ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm", "/run/user")


class Finding(NamedTuple):
    """`what` stands in the content, or the name, of the file `path` as it was at some moment."""

    what: str
    path: str


class Camera:
    """Looks at all files below `places` again and again while it is used as a context manager, and whenever told to `shoot`.

    A file is looked at again when its size or time is another. Content is kept in blocks, each once: most of a file is what it
    was a moment ago. Files in `known` that hold what is given there are left out.
    """

    def __init__(self, places: Sequence[Path], known: "dict[Path, bytes]") -> None:
        self.seen: set[Path] = set()
        """Every file that ever was there."""
        self._places = places
        self._known = known
        self._blocks: dict[bytes, tuple[Path, bytes]] = {}
        self._states: dict[Path, tuple[int, ...]] = {}
        self._turn = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera")

    def __enter__(self) -> "Camera":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._done.set()
        self._thread.join()
        self.shoot()

    def shoot(self) -> None:
        with self._turn:
            for place in self._places:
                for path, state in files_below(place):
                    self._look(path, (state.st_ino, state.st_size, state.st_mtime_ns))

    def findings(self, scan: Scan) -> set[Finding]:
        """In contents and in names; a name counts from the place on that the file was below."""
        found = {Finding(what, str(path)) for path, block in self._blocks.values() for what in scan.of(block)}
        for path in self.seen - self._known.keys():
            [place] = [place for place in self._places if path.is_relative_to(place)]
            found |= {Finding(what, str(path)) for what in scan.of(os.fsencode(path.relative_to(place)))}
        return found

    @property
    def kept(self) -> int:
        """Bytes of content."""
        return sum(len(block) for _, block in self._blocks.values())

    def _run(self) -> None:
        while not self._done.wait(_PAUSE):
            self.shoot()

    def _look(self, path: Path, state: tuple[int, ...]) -> None:
        self.seen.add(path)
        if self._states.get(path) == state:
            return
        self._states[path] = state
        try:
            content = path.read_bytes()
        except OSError:  # gone between the two, or a socket
            return
        if self._known.get(path) != content:
            for start in range(0, len(content), _BLOCK):
                block = content[start : start + _BLOCK + _OVERLAP]
                self._blocks.setdefault(hashlib.sha256(block).digest(), (path, block))


def files_below(place: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for folder, _, names in os.walk(place):
        for name in names:
            path = Path(folder, name)
            try:
                yield path, path.lstat()
            except OSError:
                continue


def new_elsewhere(since: float, ours: Path) -> Iterator[Path]:
    """Files that were made or changed since (seconds since 1970) in places that everybody may write, but for those below `ours`,
    and cores at the top, where the model's process runs. Not those of pytest: another run's session in clear may be among them."""
    for place in map(Path, _ELSEWHERE):
        for path, state in files_below(place):
            tested = path.is_relative_to(ours) or any(part.startswith("pytest-of-") for part in path.parts)
            if state.st_ctime >= since and not tested and path.is_file():
                yield path
    yield from (path for path in Path("/").glob("core*") if path.is_file() and path.lstat().st_ctime >= since)


def now() -> float:
    return time.time() - 1.0  # a file's time comes from a coarser clock
