"""Makes everything that a turn changed as it was on one side of the turn, before it or after it.

First it looks and decides, then it records what is there, and only then it changes something. Each path is then either as it was on
the one side or on the other, so whoever is killed in between can begin again.
"""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from offline_agent.actions import FileImage
from offline_agent.guard.beneath import names_in, shown, status_of
from offline_agent.guard.images import Captured, look, restore, sweep
from offline_agent.guard.turns import Kept, Side, Turn, parents

_OWN = 0o700
_OTHER: dict[Side, Side] = {"before": "after", "after": "before"}


class Reverting:
    """Brings `turn` to the side `goal`, below `root`. Files of more than `longest` bytes are not kept. Raises GuardError where
    something cannot be looked at."""

    def __init__(self, root: Path, turn: Turn, goal: Side, longest: int) -> None:
        self._root = root
        self._turn = turn
        self._goal = goal
        self._longest = longest
        self._resumed = turn.going is not None
        self._goals, self._left = turn.sides[goal], turn.sides[_OTHER[goal]]
        changed = turn.changed()
        if self._resumed:
            for path in changed:
                sweep(root, path)
        self.now: dict[str, FileImage] = {path: self._look(path).image for path in changed}
        self.notes: list[str] = []
        self._leave = turn.leave if self._resumed else frozenset(self._of_others())

    @property
    def left(self) -> dict[str, Kept]:
        """How everything should be now."""
        return self._left

    def conflicts(self) -> list[str]:
        """The paths that are neither as the turn left them nor as they are to be, in order. What is not to be changed is none."""
        return sorted({path for path in self.now if self._conflicts(path)} | set(self._strays()))

    def record(self) -> None:
        """Keeps what is there now, so that the way back leads to it. Raises a VaultError."""
        for path in self.now:
            if self._is_kept(path) or self._same(path, self._goals[path].image):
                continue
            if self.now[path].kind != "file" and not self._conflicts(path):
                continue  # a directory that the turn changed nothing of but its time
            captured = self._look(path)
            if captured.image.lost:
                self.notes.append(f"{shown(path)} as it was until now cannot be brought back: {captured.why}.")
            self._turn.keep(_OTHER[self._goal], captured)

    def apply(self) -> list[str]:
        """Changes what has to be; returns those paths. Raises GuardError and VaultDamaged: what is done by then is done, and to
        call it again goes on."""
        held = set(self._held())
        self._turn.note("back", side=self._goal, leave=sorted(self._leave))
        paths = [path for path in self.now if self._is_to_be_made(path) and path not in held]
        opened = self._open({above for path in paths for above in parents(path)})
        for path in sorted(paths, key=_depth, reverse=True):
            self._clear(path)
        for path in sorted(paths, key=_depth):
            self._make(path)
        self._finish_directories(paths, opened)
        self._turn.note("done")
        return [path for path in paths if not self._turn.only_time(path)] or paths

    def _look(self, path: str) -> Captured:
        return look(self._root, path, self._longest)

    def _same(self, path: str, then: FileImage) -> bool:
        """Whether what is there now is what was then; times are not compared where content can be. A time proves nothing: programs
        set it back."""
        now = self.now[path]
        if now.kind != then.kind:
            return False
        match now.kind:
            case "absent":
                return True
            case "symlink":
                return now.target == then.target
            case "directory":
                return now.mode == then.mode or self._resumed  # it may have been opened to be written in
            case "file":
                known = bool(now.sha256 and then.sha256)
                same = now.sha256 == then.sha256 if known else now.mtime_ns == then.mtime_ns
                return same and (now.size, now.mode) == (then.size, then.mode)

    def _conflicts(self, path: str) -> bool:
        now, goal, left = self.now[path], self._goals[path], self._left[path]
        if goal.image.lost:
            return False  # it is left alone
        if now.kind == goal.image.kind == left.image.kind == "directory" and goal.image.mode == left.image.mode:
            return False
        return not self._same(path, left.image) and not self._same(path, goal.image)

    def _strays(self) -> Iterator[str]:
        """What is in directories that are to go and is not the turn's."""
        for path, image in self.now.items():
            if image.kind == "directory" and self._goals[path].image.kind != "directory":
                yield from (below for below in names_in(self._root, path) if not self._goes(below))

    def _goes(self, path: str) -> bool:
        return path in self.now and self._goals[path].image.kind == "absent"

    def _held(self) -> Iterator[str]:
        """Directories that cannot go, since something is in them that is not the turn's."""
        for stray in self._strays():
            for above in parents(stray):
                if above in self.now and self._goals[above].image.kind != "directory":
                    self.notes.append(f"{shown(above)} stays: {shown(stray)} in it is not the turn's.")
                    yield above

    def _is_kept(self, path: str) -> bool:
        """Whether the way back leads there without more."""
        image = self.now[path]
        if not self._same(path, self._left[path].image):
            return False
        return image.kind != "file" or image.sha256 in self._turn.contents

    def _is_to_be_made(self, path: str) -> bool:
        goal = self._goals[path]
        if self.now[path].model_copy(update={"lost": goal.image.lost}) == goal.image:
            return False
        if goal.image.lost:
            self.notes.append(f"{shown(path)} cannot be brought back: {goal.why or 'it was not kept'}.")
            return False
        if goal.image.kind == "file" and goal.image.sha256 not in self._turn.contents:
            self.notes.append(f"{shown(path)} cannot be brought back: what it had in it was not kept.")
            return False
        return True

    def _of_others(self) -> Iterator[str]:
        """Directories whose time somebody else has changed since."""
        for path, kept in self._left.items():
            if kept.image.kind == "directory":
                now = status_of(self._root, path)
                if now is not None and now.st_mtime_ns != kept.image.mtime_ns:
                    yield path

    def _open(self, paths: Iterable[str]) -> dict[str, FileImage]:
        """Lets this process write in those directories; returns how they were."""
        opened = {}
        for path in sorted(paths, key=_depth):
            status = status_of(self._root, path)
            if status is not None and stat.S_ISDIR(status.st_mode) and status.st_mode & _OWN != _OWN:
                opened[path] = _directory(path, status.st_mode, status.st_mtime_ns)
                restore(self._root, _directory(path, status.st_mode | _OWN, status.st_mtime_ns))
        return opened

    def _clear(self, path: str) -> None:
        """Removes what is to go, and what is in the way of another kind."""
        now, goal = self.now[path].kind, self._goals[path].image.kind
        if now not in ("absent", goal) and (goal == "absent" or "directory" in (now, goal)):
            restore(self._root, FileImage(path=path, kind="absent"))

    def _make(self, path: str) -> None:
        goal = self._goals[path]
        match goal.image.kind:
            case "directory" if self.now[path].kind != "directory":
                restore(self._root, goal.image.model_copy(update={"mode": goal.image.mode | _OWN}), (), goal.owner)
            case "file":
                restore(self._root, goal.image, self._turn.content(goal.image), goal.owner)
            case "symlink":
                restore(self._root, goal.image, (), goal.owner)
            case _:
                pass  # gone already, or there already: its mode and time come last

    def _finish_directories(self, made: list[str], opened: dict[str, FileImage]) -> None:
        """Modes and times of directories, deepest first: what is made in one changes its time."""
        places = {above for path in made for above in parents(path) if above in self._goals} | set(made) | set(opened)
        for path in sorted(places, key=_depth, reverse=True):
            status = status_of(self._root, path)
            if status is None or not stat.S_ISDIR(status.st_mode):
                continue
            image = self._goals[path].image if path in self._goals else opened[path]
            if image.kind == "directory":
                now = opened[path].mode if path in opened else stat.S_IMODE(status.st_mode)
                time = status.st_mtime_ns if path in self._leave else image.mtime_ns
                restore(self._root, _directory(path, self._mode(path, now), time))

    def _mode(self, path: str, now: int) -> int:
        """The mode that a directory is to have: its own, unless the turn changed it, or somebody who was killed opened it."""
        goal, left = self._goals.get(path), self._left.get(path)
        if goal is None or left is None:
            return now
        changed = left.image.kind != "directory" or left.image.mode != goal.image.mode
        opened = self._resumed and now == goal.image.mode | _OWN
        return goal.image.mode if changed or opened else now


def _directory(path: str, mode: int, mtime_ns: int) -> FileImage:
    return FileImage(path=path, kind="directory", mode=stat.S_IMODE(mode), mtime_ns=mtime_ns)


def _depth(path: str) -> int:
    return 0 if path == "." else path.count("/") + 1
