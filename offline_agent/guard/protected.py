"""Files of a repository that run, or steer what runs, outside the sandbox: later, as the person. Commands do not change them."""

import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from offline_agent.guard.git_files import git_directory, may_run_programs, named_by, repositories_in

IN_GIT = ("hooks", "config", "config.worktree", "info/attributes", "commondir")
"""git runs hooks, and whatever its configuration names as pager, editor, monitor or filter; `commondir` names a directory from
which both are taken instead."""
PROTECTED = (
    ".offline-agent",
    # Where .git is damaged, git takes a directory with HEAD, objects and refs for a repository, and its configuration from there.
    "HEAD",
    # What a CI server runs with the credentials it has.
    *(".github", ".gitlab-ci.yml", ".gitlab", ".circleci", ".buildkite", ".drone.yml", ".travis.yml", ".woodpecker"),
    *(".woodpecker.yml", ".forgejo", ".gitea", "Jenkinsfile", "azure-pipelines.yml", "bitbucket-pipelines.yml"),
    *("appveyor.yml", ".appveyor.yml", ".cirrus.yml", "cloudbuild.yaml"),
    # What an editor or a shell runs when the directory is opened or entered.
    *(
        ".vscode",
        ".idea",
        ".fleet",
        ".zed",
        ".nvim.lua",
        ".nvimrc",
        ".exrc",
        ".vimrc",
        ".dir-locals.el",
        ".devcontainer",
    ),
    *(".devcontainer.json", ".envrc", ".mise.toml", "mise.toml", ".mise", ".autoenv", ".autoenv.zsh"),
    # What git's hooks run, and other agents.
    *(".husky", ".lefthook.yml", "lefthook.yml", ".pre-commit-config.yaml", ".pre-commit-hooks.yaml"),
    *(
        ".cursor",
        ".claude",
        ".opencode",
        ".codex",
        ".gemini",
        ".windsurf",
        ".mcp.json",
        "opencode.json",
        "opencode.jsonc",
    ),
)
_SUBMODULE = re.compile(r"^\s*path\s*=\s*(.+?)\s*$", re.MULTILINE)
_DEEPEST_MODULE = 6


def protected_names(root: Path) -> list[str]:
    """Paths relative to the root, whether they exist or not: those above, and what git has of its own."""
    names = list(PROTECTED)
    git = root / ".git"
    if git.is_file():  # a worktree's or a submodule's: it names the directory that git takes everything from
        names.append(".git")
        return [*names, *_submodule_links(root)]
    places = git_directories(root) or [".git"]
    nested = _repositories_within(root)
    places += [place for place in nested.values() if place not in places]
    names += [f"{place}/{name}" for place in places for name in IN_GIT]
    names += [f"{link}/.git" for link in nested if (root / link / ".git").is_file()]
    for place in places:
        names += named_by(root / place / "config", root)
    return list(dict.fromkeys([*names, *_submodule_links(root)]))


def git_directories(root: Path) -> list[str]:
    """The repository's own git directory and those of its submodules, as far as they are inside it."""
    if (root / ".git").is_symlink() or not (root / ".git").is_dir():
        return []
    return [".git", *_modules(root, ".git/modules", _DEEPEST_MODULE)]


def _modules(root: Path, place: str, depth: int) -> Iterator[str]:
    try:
        entries = sorted(entry.name for entry in os.scandir(root / place) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in entries if depth else ():
        module = f"{place}/{name}"
        if (root / module / "HEAD").exists():
            yield module
            yield from _modules(root, f"{module}/modules", depth - 1)
        else:  # `libs/one` is a directory `one` in a directory `libs`
            yield from _modules(root, module, depth - 1)


def _submodule_links(root: Path) -> Iterator[str]:
    """The files `.git` of submodules. That a repository's own file names them can only tighten."""
    try:
        text = (root / ".gitmodules").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for path in _SUBMODULE.findall(text):
        inside = os.path.normpath(os.path.join(root, path, ".git"))
        if inside.startswith(f"{root}/") and os.path.isfile(inside) and not os.path.islink(inside):
            yield os.path.relpath(inside, root)


def _repositories_within(root: Path) -> dict[str, str]:
    """The git directories, relative to the root, of the repositories that git goes into from there, by their work trees."""
    found: dict[str, str] = {}
    for link in repositories_in(root / ".git"):
        directory = git_directory(root / link)
        if directory is not None and directory.is_relative_to(root):
            found[link] = os.path.relpath(directory, root)
    return found


class Absent:
    """Protected paths that do not exist, and may not come to be.

    A mount needs something to lie on, and would leave it behind in the repository. So what a command made at such a path is
    removed when it has ended, before anybody can have opened or run it. So is what could run outside of a repository that it made
    inside this one and told git about.
    """

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._root = root
        self._links = {name: os.readlink(self._at(name)) for name in names if os.path.islink(self._at(name))}
        self._missing = [name for name in names if not os.path.lexists(self._at(name))]
        steps = {step for name in self._missing for step in _steps(name)}
        self._parents = {step for step in steps if os.path.lexists(self._at(step))}
        self._nested = set(_repositories_within(root).values()) if names else None

    def remove(self) -> list[str]:
        """What was there and is no longer, as paths relative to the root. Raises OSError."""
        removed = list(dict.fromkeys(made for name in self._missing if (made := self._made(name))))
        removed += self._new_nested()
        for name in removed:
            _remove(self._root / name)
        for name, target in self._links.items():
            if not os.path.islink(self._at(name)) or os.readlink(self._at(name)) != target:
                _remove(self._root / name)
                os.symlink(target, self._at(name))
                removed.append(name)
        return removed

    def _new_nested(self) -> list[str]:
        """What could run of the repositories within that were not there before."""
        if self._nested is None:
            return []
        new = set(_repositories_within(self._root).values()) - self._nested
        return [name for place in sorted(new) for name in _runs(self._root, place)]

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _made(self, name: str) -> str:
        """What stands at `name` or on the way to it. A new link on the way could lead to files of the person's elsewhere: then it
        is the link that goes, and nothing behind it."""
        for step in _steps(name):
            if not os.path.lexists(self._at(step)):
                return ""
            if step not in self._parents and not stat.S_ISDIR(os.lstat(self._at(step)).st_mode):
                return step
            if os.path.islink(self._at(step)):  # it was there before: what is behind it is not ours
                return ""
        return name if os.path.lexists(self._at(name)) else ""


def _runs(root: Path, place: str) -> Iterator[str]:
    """What of a new git directory is not as git makes it, as paths relative to the root: a configuration that may name programs,
    and hooks that are no samples."""
    for name in IN_GIT:
        path = f"{place}/{name}"
        if name == "hooks" and (root / path).is_dir() and not (root / path).is_symlink():
            yield from (f"{path}/{hook}" for hook in sorted(os.listdir(root / path)) if not hook.endswith(".sample"))
        elif os.path.lexists(root / path) and (name != "config" or may_run_programs(root / path)):
            yield path


def _steps(name: str) -> list[str]:
    """The directories on the way to a relative path, from the top."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    elif os.path.lexists(path):
        path.unlink()


def remove_tree(path: Path) -> None:
    """Removes a directory that a stranger's program filled: links are not followed, no mode is in the way, and it may be deeper
    than a path can be long, since each directory is brought to the top before it is emptied. Raises OSError."""
    os.chmod(path, stat.S_IRWXU)
    waiting = [path]
    while waiting:
        here = waiting.pop()
        with os.scandir(here) as entries:
            found = list(entries)
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, stat.S_IRWXU)
                waiting.append(path / secrets.token_hex(16))
                os.rename(entry.path, waiting[-1])
            else:
                os.unlink(entry.path)
        if here != path:
            os.rmdir(here)
    os.rmdir(path)
