"""Which file is meant: what a model wrote becomes the one path that the kernel would come to, and what it was called on the way.

Every symbolic link is followed here, one at a time, so that rules are matched with the file itself; and with each name that led to
it, since a rule that denies `docs/*` means it also where `docs` is a link. A file system may take `.ENV` for `.env`: where it does,
the name is the one in the directory.
"""

import errno
import os
import stat
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from offline_agent.actions import Request
from offline_agent.errors import Denied, GuardError
from offline_agent.guard.wildcard import fold, is_wild
from offline_agent.types import Value

_LONGEST_NAME = 255  # bytes, NAME_MAX of Linux's file systems
_LONGEST_PATH = 4096  # bytes, PATH_MAX of Linux
_MOST_LINKS = 40  # as the kernel has it
# What is below them is other processes' files, or our own descriptors, under names that rules do not know.
_FORBIDDEN = ("/proc", "/dev/fd")
_CONTROL = ("Cc", "Cf", "Zl", "Zp")  # Unicode categories: a person must not be shown a name that is not what it seems


class Located(Value):
    """`value` is what rules are matched with: the path relative to the root, `.` for the root itself; outside, the absolute path.
    `real` is the absolute path without symbolic links, of a file that need not exist. `aliases` are the values of the names that
    were links on the way. `linked` says that the file has other names, as hard links; denied.py finds them."""

    value: str
    real: Path
    inside: bool
    aliases: tuple[str, ...] = ()
    linked: bool = False

    @property
    def shown(self) -> str:
        """For people: the path, and what led to it."""
        led = f" (through {', '.join(self.aliases)})" if self.aliases else ""
        return f"{self.value}{led}"

    def requests(self, permission: str, why: str = "") -> tuple[Request, ...]:
        """All that must be granted: one request for the path, one for each name that led to it, and outside the repository leave to
        be there."""
        why = why or (f"it is {self.value}" if self.aliases else "")
        places = () if self.inside else ("external_directory",)
        values = (self.value, *self.aliases)
        return tuple(
            Request(permission=name, value=value, why=why, always=_pattern_for(value))
            for name, value in (
                *((place, self.value) for place in places),
                *((permission, value) for value in values),
            )
        )


def locate(root: Path, text: str, home: Path | None = None, directory: str = ".") -> Located:
    """Where `text` leads: a path from `directory` below `root`, an absolute one, or one from the home directory with `~/`.

    `root` is absolute and without symbolic links. Raises GuardError for what is no path that can be looked at, and Denied for the
    places that give away other processes.
    """
    _check(text)
    walk = _Walk(root)
    start = os.fspath(root / directory)
    walk.follow(_expanded(text, home) if text.startswith("~") else os.path.join(start, text))
    real = Path(walk.at)
    values = [walk.value_of(alias) for alias in walk.aliases]
    value = walk.value_of(walk.at)
    return Located(
        value=value,
        real=real,
        inside=walk.is_inside(walk.at),
        aliases=tuple(dict.fromkeys(alias for alias in values if alias != value)),
        linked=_has_other_names(real),
    )


class _Walk:
    """Goes the way of a path, component by component, as the kernel does."""

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)
        self.at = "/"
        self.aliases: list[str] = []
        self._links = 0

    def follow(self, path: str) -> None:
        waiting = list(reversed(path.split("/")))
        self.at = "/"
        while waiting:
            name = waiting.pop()
            if name in ("", "."):
                continue
            if name == "..":
                self.at = os.path.dirname(self.at)
                continue
            self._step(name, waiting)

    def _step(self, name: str, waiting: list[str]) -> None:
        here = os.path.join(self.at, name)
        status = _status(here)
        if status is not None:
            here = os.path.join(self.at, _true_name(self.at, name, status))
        if any(here == place or here.startswith(f"{place}/") for place in _FORBIDDEN):
            raise Denied(
                f"{here} cannot be used: it shows the files of processes under other names. Name the file itself."
            )
        if status is None or not stat.S_ISLNK(status.st_mode):
            self.at = here
            return
        self._links += 1
        if self._links > _MOST_LINKS:
            raise GuardError(f"{here} goes through more than {_MOST_LINKS} symbolic links. Name the file itself.")
        rest = [one for one in reversed(waiting) if one not in ("", ".")]
        # `link/../x` is beside what the link leads to: then the way on is not below the link.
        self.aliases.append(here if ".." in rest else os.path.join(here, *rest))
        target = _target(here)
        if target.startswith("/"):
            self.at = "/"
        waiting.extend(reversed(target.split("/")))

    def is_inside(self, path: str) -> bool:
        return path == self._root or path.startswith(f"{self._root.rstrip('/')}/")

    def value_of(self, path: str) -> str:
        return os.path.relpath(path, self._root) if self.is_inside(path) else path


def _check(text: str) -> None:
    if not text:
        raise GuardError("The path is empty. Write `.` for the repository itself.")
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise GuardError(f"The path {text!r} is not UTF-8, and cannot be used. Rename the file first.") from None
    if any(unicodedata.category(character) in _CONTROL for character in text):
        raise GuardError(f"The path {text!r} has characters in it that are not seen. Write it without them.")
    if len(raw) > _LONGEST_PATH or any(len(name) > _LONGEST_NAME for name in raw.split(b"/")):
        raise GuardError(f"The path {text[:80]!r}... is too long. No file has such a name.")


def _expanded(text: str, home: Path | None) -> str:
    """Raises GuardError for the home directory of somebody else, which cannot be known."""
    if home is None or (text != "~" and not text.startswith("~/")):
        raise GuardError(f"{text!r} begins with another person's home directory. Write the whole path, or ./ in front.")
    return os.fspath(home) + text[1:]


def _status(path: str) -> os.stat_result | None:
    """None for what does not exist."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unlookable(path, error) from None


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError as error:
        raise _unlookable(path, error) from None


def _unlookable(path: str, error: OSError) -> GuardError:
    if error.errno == errno.ENAMETOOLONG:
        return GuardError(f"The path {path[:80]!r}... is too long. No file has such a name.")
    return GuardError(f"{path} cannot be looked at ({error.strerror}). Choose another file.")


def _true_name(directory: str, name: str, status: os.stat_result) -> str:
    """The name in the directory of what was found under `name`. Only where the other case is found as well can they differ, and
    that is one more look; a directory is read only then."""
    other = name.swapcase()
    if other == name and name.isascii():
        return name
    found = _status(os.path.join(directory, other if other != name else fold(name)))
    if found is None or (found.st_dev, found.st_ino) != (status.st_dev, status.st_ino):
        return name
    try:
        return listed_name(name, os.listdir(directory))
    except OSError as error:
        raise _unlookable(directory, error) from None


def listed_name(name: str, names: Sequence[str]) -> str:
    """Which of the names in a directory that takes no account of case is meant by `name`; itself, where none is."""
    return name if name in names else next((one for one in names if fold(one) == fold(name)), name)


def _has_other_names(path: Path) -> bool:
    status = _status(os.fspath(path))
    return status is not None and stat.S_ISREG(status.st_mode) and status.st_nlink > 1


def _pattern_for(value: str) -> str:
    """What an approval for good covers: the directory that the file is in, with all below it. Of hidden files, which set up the
    tools that read them, and of files at the top it is the one file. None where the path would be a pattern itself."""
    parent, _, _ = value.rpartition("/")
    if is_wild(value) or value == ".":
        return ""
    hidden = any(part.startswith(".") for part in value.split("/"))
    return value if hidden or not parent else f"{parent}/*"
