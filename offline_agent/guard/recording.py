"""Records one turn: how each path was before it was first touched, and how it is after each step."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from offline_agent.actions import FileImage
from offline_agent.guard.beneath import names_in, relative, status_of
from offline_agent.guard.images import Captured, FileChanged, capture, look
from offline_agent.guard.turns import Side, Turn, parents

_TRIES = 3  # at reading a file that is being written
_SHOWN = 256 * 1024  # bytes: of a longer file no difference would be shown
_ALL_SHOWN = 16 * 1024 * 1024


class Recorder:
    """Writes `turn`, for what is below `root`. Files of more than `longest` bytes are not kept, nor those for which the journal has
    no room when it is to have `room` bytes at most. Not for several threads at once."""

    def __init__(self, root: Path, turn: Turn, longest: int, room: int) -> None:
        self._root = root
        self._turn = turn
        self._longest = longest
        self._room = room
        self._folded: dict[str, str] = {}
        self._names: dict[int, set[str]] = {}
        self._walked = False

    def touch(self, path: str) -> None:
        """See Undo.touch."""
        path = self._same(relative(path))
        if path in self._turn.before:
            self._touch_again(path)
        else:
            self._touch_first(path)
        self._touch_other_names(path)

    def touch_tree(self, path: str) -> None:
        """See Undo.touch_tree."""
        left = [relative(path)]
        while left:
            path = left.pop()
            self.touch(path)
            left.extend(names_in(self._root, path))

    def settle(self, paths: Iterable[str] = ()) -> None:
        """Records how what was touched is now, and what came to be below it."""
        given = {path for path in map(relative, paths) if path in self._turn.before}
        for path in self._turn.dirty | given:
            self._discover(path)
        for path in sorted(self._turn.dirty | given):
            self._record("after", path, content=False)

    def keep_shown(self) -> None:
        """Keeps small files as the turn left them, so that a later difference can be shown."""
        left = _ALL_SHOWN
        for path in self._turn.changed():
            image = self._turn.after[path].image
            known = image.lost or image.sha256 in self._turn.contents
            if image.kind == "file" and not known and image.size <= min(left, _SHOWN):
                captured = self._capture(path)
                if captured.image == image:
                    self._turn.keep("after", captured)
                    left -= image.size

    def _touch_first(self, path: str) -> None:
        captured = self._record("before", path)
        self._record_above(path)
        if captured.image.kind == "directory" and not names_in(self._root, path):
            self._turn.note("touch", path=path, bare=True)

    def _record_above(self, path: str) -> None:
        """The directory that it is in, or is to be made for it, up to one that exists: what is further up does not change."""
        for above in parents(path):
            if above in self._turn.before or self._record("before", above).image.kind != "absent":
                return

    def _touch_again(self, path: str) -> None:
        self._record_above(path)  # it may be known only as what another path is in
        turn = self._turn
        bare = path not in turn.bare and not names_in(self._root, path)
        if path not in turn.dirty or bare:
            turn.note("touch", path=path, bare=bare)

    def _touch_other_names(self, path: str) -> None:
        """A file that is written in place changes under all of its names; it may have got one since it was touched last."""
        found = status_of(self._root, path)
        if found is None or not stat.S_ISREG(found.st_mode) or found.st_nlink < 2:
            return
        self._walk()
        for other in sorted(self._names.get(found.st_ino, set()) - {path}):
            status = status_of(self._root, other)
            if status is None or status.st_ino != found.st_ino:
                continue
            if other not in self._turn.before:
                self._touch_first(other)
            elif other not in self._turn.dirty:
                self._turn.note("touch", path=other, bare=False)

    def _walk(self) -> None:
        """Finds the names of all files, once a turn: what comes later is touched, and its names are noted then."""
        if self._walked:
            return
        self._walked = True
        left = ["."]
        while left:
            above = left.pop()
            with suppress(OSError), os.scandir(self._root / above) as entries:
                for entry in entries:
                    name = entry.name if above == "." else f"{above}/{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        left.append(name)
                    elif entry.is_file(follow_symlinks=False):
                        self._names.setdefault(entry.inode(), set()).add(name)

    def _same(self, path: str) -> str:
        """The name under which it was recorded, where case makes no difference."""
        known = self._folded.get(path.casefold(), path)
        if known == path or path in self._turn.before:
            return path
        one, other = status_of(self._root, path), status_of(self._root, known)
        if one is None or other is None or not os.path.samestat(one, other):
            return path
        return known if one.st_nlink == 1 or self._turn.before[known].image.kind == "directory" else path

    def _discover(self, path: str) -> None:
        """Whatever is below a path that had nothing below it came there in this turn, be it with a directory that was moved."""
        left = [path] if path in self._turn.bare else []
        while left:
            for below in names_in(self._root, left.pop()):
                left.append(below)
                if below not in self._turn.before:
                    self._turn.keep("before", _nothing(below))
                elif below not in self._turn.dirty:
                    self._turn.note("touch", path=below, bare=False)

    def _record(self, side: Side, path: str, content: bool = True) -> Captured:
        for left in reversed(range(_TRIES)):
            captured = self._capture(path) if side == "after" or not self._came(path) else _nothing(path)
            if content and not captured.image.lost and self._turn.journal.size + captured.image.size > self._room:
                image = captured.image.model_copy(update={"lost": True})
                captured = captured._replace(image=image, why="there was no room to keep it")
            try:
                self._turn.keep(side, captured, content)
                break
            except FileChanged:
                if not left:
                    raise
        self._folded.setdefault(path.casefold(), path)
        return captured

    def _came(self, path: str) -> bool:
        """Whether it came in this turn, be it with a directory that was moved."""
        return any(above in self._turn.bare for above in parents(path))

    def _capture(self, path: str) -> Captured:
        captured = (look if path in self._turn.before else capture)(self._root, path, self._longest)
        if captured.inode:
            self._names.setdefault(captured.inode, set()).add(path)
        return captured


def _nothing(path: str) -> Captured:
    return Captured(FileImage(path=path, kind="absent"))
