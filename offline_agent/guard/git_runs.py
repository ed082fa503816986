"""What git runs besides itself when it only looks: programs that the settings and the hooks of a repository name.

A repository that came as an archive brings its .git along, and any repository may hold a directory that git takes for one: there
`git status` runs whatever its author wrote. The sandbox confines that, but it is no longer a command that only reads.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from offline_agent.guard.git_files import git_directory, named_by, repositories_in

FAULT = "the settings of the repository it looks at name programs that git runs"

# git-config(1): what status, diff, log, show, blame and ls-files may come to run. A pager and an editor they have no use for here.
_PROGRAMS = re.compile(
    r"(?:^|\])\s*(?:external|command|textconv|clean|smudge|process|program|defaultkeycommand|alternaterefscommand|uploadpack|vcs)"
    r"\s*=|^\s*\[include",
    re.MULTILINE | re.IGNORECASE,
)
_MONITOR = re.compile(r"(?:^|\])\s*fsmonitor\s*=[ \t]*\"?([^\n\"]*)", re.MULTILINE | re.IGNORECASE)
_SWITCHES = frozenset({"", "true", "false", "yes", "no", "on", "off", "0", "1"})
"""Values that turn git's own monitor on or off."""
_HOOK = "post-index-change"  # of all hooks the one that looking runs: `git status` writes down what it found out (githooks(5))
_LARGEST = 1_000_000  # bytes of a configuration; what is larger was not written by hand
_DEEPEST = 4  # repositories within each other


def may_run_more(directory: Path, root: Path) -> bool:
    """Whether git, run in `directory`, may run something that the repository names. Both are absolute and without links; what lies
    outside `root` is the person's own."""
    tree = next((place for place in (directory, *directory.parents) if _is_top(place)), None)
    if tree is None or not tree.is_relative_to(root):
        return False
    return any(_names_programs(git, tree, root) for git in _directories(tree, _DEEPEST) if git.is_relative_to(root))


def _is_top(place: Path) -> bool:
    return os.path.lexists(place / ".git") or _is_bare(place)


def _is_bare(place: Path) -> bool:
    """Git takes that for a repository, whatever the directory is called (setup.c, is_git_directory)."""
    return (place / "HEAD").exists() and (place / "objects").is_dir() and (place / "refs").is_dir()


def _directories(tree: Path, depth: int) -> Iterator[Path]:
    """The git directories of a work tree, and of those that git looks into from there."""
    git = git_directory(tree) or tree
    yield git
    common = _text(git / "commondir").strip()
    if common:
        yield Path(os.path.realpath(git / common))
    for link in repositories_in(git) if depth else ():
        if os.path.lexists(tree / link / ".git"):
            yield from _directories(tree / link, depth - 1)


def _names_programs(git: Path, tree: Path, root: Path) -> bool:
    for name in ("config", "config.worktree"):
        text = _text(git / name)
        if _PROGRAMS.search(text) or any(value.strip().lower() not in _SWITCHES for value in _MONITOR.findall(text)):
            return True
    hooks = [git / "hooks", *(root / name for name in named_by(git / "config", root)), tree / ".git" / "hooks"]
    return any(os.path.lexists(place / _HOOK) for place in hooks)


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""
