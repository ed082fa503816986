"""Which files of a repository are looked at: .gitignore semantics, nested files and .git/info/exclude included.

The shipped patterns (`index/ignore`) come first and cannot be undone by a repository: they keep secrets out of the index.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore import GitIgnorePatternError

from offline_agent.errors import RepositoryError
from offline_agent.types import Skipped

IGNORE_FILE = ".gitignore"
_IGNORE_FILE_LIMIT = 1_000_000


class Found(NamedTuple):
    """A file that is not ignored, as the directory listing has it."""

    path: str
    size: int
    mtime_ns: int


class IgnoreRules:
    """Decides per path; remembers what it read until `forget()`. One per thread."""

    def __init__(self, root: Path, shipped: Iterable[str]) -> None:
        self.root = root
        self._shipped = _spec(shipped)
        self._exclude = GitIgnoreSpec([])
        self._specs: dict[str, GitIgnoreSpec] = {}
        self._directories: dict[str, bool] = {}
        self.forget()

    def forget(self) -> None:
        """Call this when a .gitignore changed."""
        self._specs.clear()
        self._directories.clear()
        self._exclude = _spec(_lines(self.root / ".git" / "info" / "exclude"))

    def ignored(self, path: str, directory: bool = False) -> bool:
        """True for a relative path that is not indexed: itself, a directory above it, or a repository within this one."""
        if _undecodable(path):
            return True
        parent, _, _ = path.rpartition("/")
        if parent and self._directory_ignored(parent):
            return True
        return self._directory_ignored(path) if directory else self._matches(path, parent)

    def walk(self) -> Iterator[Found | Skipped]:
        """Every file that is not ignored, sorted within its directory, and what had to be left out.

        Symbolic links are never followed, so nothing outside the root is read and no loop can arise.
        Raises RepositoryError when the root itself cannot be listed.
        """
        stack = [""]
        while stack:
            directory = stack.pop()
            try:
                with os.scandir(self.root / directory) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                if not directory:
                    raise RepositoryError(
                        f"{self.root} cannot be read ({error.strerror}). Choose another directory."
                    ) from None
                yield Skipped(path=directory, reason=f"the directory cannot be read ({error.strerror})")
                continue
            below = []
            for entry in entries:
                path = f"{directory}/{entry.name}" if directory else entry.name
                if entry.is_dir(follow_symlinks=False):
                    reason = self._why_not_entered(path)
                    if reason is None:
                        below.append(path)
                    elif reason:
                        yield Skipped(path=_printable(path), reason=reason)
                elif (found := self._look_at(entry, path)) is not None:
                    yield found
            stack.extend(reversed(below))

    def _why_not_entered(self, path: str) -> str | None:
        """None to enter a directory, a reason worth telling, or an empty one for what is simply ignored."""
        if _undecodable(path):
            return "its name is not UTF-8"
        if self._is_repository(path) and not self._matches(f"{path}/", path.rpartition("/")[0]):
            return "another git repository"
        return "" if self._directory_ignored(path) else None

    def _look_at(self, entry: "os.DirEntry[str]", path: str) -> Found | Skipped | None:
        if _undecodable(path):
            return Skipped(path=_printable(path), reason="its name is not UTF-8")
        if self._matches(path, path.rpartition("/")[0]):
            return None
        if entry.is_symlink():
            return Skipped(path=path, reason="a symbolic link")
        try:
            if not entry.is_file(follow_symlinks=False):
                return Skipped(path=path, reason="not a regular file")
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            return Skipped(path=path, reason=f"it cannot be read ({error.strerror})")
        return Found(path, status.st_size, status.st_mtime_ns)

    def _directory_ignored(self, path: str) -> bool:
        known = self._directories.get(path)
        if known is None:
            parent, _, _ = path.rpartition("/")
            known = (
                (bool(parent) and self._directory_ignored(parent))
                or self._matches(f"{path}/", parent)
                or self._is_repository(path)
            )
            self._directories[path] = known
        return known

    def _is_repository(self, path: str) -> bool:
        return os.path.lexists(self.root / path / ".git")

    def _matches(self, path: str, parent: str) -> bool:
        """Whether the patterns ignore `path` (with a final slash for a directory), its parents apart."""
        if self._shipped.check_file(path).include:
            return True
        directory = parent
        while True:
            relative = path[len(directory) + 1 :] if directory else path
            verdict = self._spec_of(directory).check_file(relative).include
            if verdict is not None:
                return verdict
            if not directory:
                return bool(self._exclude.check_file(path).include)
            directory, _, _ = directory.rpartition("/")

    def _spec_of(self, directory: str) -> GitIgnoreSpec:
        spec = self._specs.get(directory)
        if spec is None:
            spec = self._specs[directory] = _spec(_lines(self.root / directory / IGNORE_FILE))
        return spec


def _lines(path: Path) -> list[str]:
    """The lines of an ignore file; none when it is absent, a link (as git has it), not a file or unreadable."""
    try:
        if path.is_symlink() or not path.is_file():
            return []
        with path.open("rb") as file:
            return file.read(_IGNORE_FILE_LIMIT).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _spec(lines: Iterable[str]) -> GitIgnoreSpec:
    """Patterns one by one, so that a broken line costs that line only."""
    patterns: list[str] = []
    for line in lines:
        try:
            GitIgnoreSpec.from_lines([line])
        except GitIgnorePatternError:
            continue
        patterns.append(line)
    return GitIgnoreSpec.from_lines(patterns)


def _undecodable(path: str) -> bool:
    return not path.isascii() and any("\ud800" <= character <= "\udfff" for character in path)


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
