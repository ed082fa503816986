"""Where git keeps what it knows of a work tree, without running git.

repository      root/.git is a directory
worktree,       root/.git is a file, `gitdir: PATH`; there, `commondir` names what all worktrees share
submodule       the same, without `commondir`
"""

import os
import stat
import time
from pathlib import Path

_POINTER_LIMIT = 8192  # bytes; a path has at most 4096


def git_directory(root: Path) -> Path | None:
    """The directory that holds this work tree's HEAD and index; None where there is none that can be read."""
    place = root / ".git"
    try:
        if place.is_dir():
            return place
        pointed = _pointed(place, "gitdir: ")
        # A file that points to anything else is not followed: a stranger may have written it.
        return root / pointed if pointed and (root / pointed / "HEAD").is_file() else None
    except OSError:
        return None


def common_directory(git: Path) -> Path:
    """Where `info/exclude` is: what the worktrees of one repository share."""
    try:
        pointed = _pointed(git / "commondir", "")
    except OSError:
        return git
    return git / pointed if pointed else git


def at_work(git: Path, patience: float) -> bool:
    """Whether git is changing the work tree: it holds `index.lock` from before the first file is written until after the last.

    A lock that is older than `patience` seconds was left by a git that was killed, or takes too long to be waited for.
    """
    try:
        taken = os.lstat(git / "index.lock").st_mtime
    except OSError:
        return False
    return abs(time.time() - taken) < patience


def _pointed(file: Path, prefix: str) -> str:
    if not stat.S_ISREG(os.lstat(file).st_mode):
        return ""
    with file.open("rb") as pointer:
        line = os.fsdecode(pointer.read(_POINTER_LIMIT)).partition("\n")[0].strip()
    return line.removeprefix(prefix) if line.startswith(prefix) and "\0" not in line else ""
