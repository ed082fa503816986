"""Which files of the repository a call is about to change: the calls that a filter must have wait, and what each of them means.

What is written through a descriptor was told when it was opened for writing, so write(2), ftruncate(2), fallocate(2), a mapping or
copy_file_range(2) need not ask. What can change a file without one does: names, modes, times, extended attributes.
"""

import errno
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from offline_agent.guard.follow import AT_FDCWD, follow, path_of, read_memory, read_path
from offline_agent.guard.notify import Notification
from offline_agent.linux import NOTIFY, Machine, assemble, begin, end, on, refuse, wherever

_AT_SYMLINK_NOFOLLOW, _AT_SYMLINK_FOLLOW, _AT_EMPTY_PATH = 0x100, 0x400, 0x1000
_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_NAMELESS = os.O_TMPFILE & ~os.O_DIRECTORY
_RESOLVE_IN_ROOT = 0x10
_AF_UNIX = 1


class _Place(NamedTuple):
    """Where a call names a file: the arguments that hold the address of a path (None: the descriptor itself is meant), the
    descriptor it begins at (None: the current directory) and AT_ flags. `last` says that a link at its end is followed."""

    path: int | None
    directory: int | None = None
    last: bool = True
    flags: int | None = None


Change = tuple[str, Sequence[str]]
"""A path, and where it is a directory that is moved: all that is below it, relative to it."""

_Kind = Literal["content", "name", "new", "link", "move", "open", "socket", "handle"]


class _Call(NamedTuple):
    """`content` changes a file that is there, or its mode or times, under all its names; `name` takes a name away; `new` makes one
    where there is none."""

    kind: _Kind
    places: tuple[_Place, ...] = ()
    flags: int | None = None


def _content(path: int | None, directory: int | None = None, last: bool = True, flags: int | None = None) -> _Call:
    return _Call("content", (_Place(path, directory, last, flags),))


def _named(kind: _Kind, *places: tuple[int, int | None], flags: int | None = None) -> _Call:
    first, *rest = (_Place(path, directory, last=False) for path, directory in places)
    return _Call(kind, (first._replace(flags=flags), *rest))


_CALLS: dict[str, _Call] = {
    "open": _Call("open", (_Place(0),), 1),
    "openat": _Call("open", (_Place(1, 0),), 2),
    "openat2": _Call("open", (_Place(1, 0),)),
    "creat": _Call("open", (_Place(0),)),
    "open_by_handle_at": _Call("handle", (), 2),
    "truncate": _content(0),
    "chmod": _content(0),
    "fchmod": _content(None, 0),
    "fchmodat": _content(1, 0),
    "fchmodat2": _content(1, 0, flags=3),
    "chown": _content(0),
    "lchown": _content(0, last=False),
    "fchown": _content(None, 0),
    "fchownat": _content(1, 0, flags=4),
    "utime": _content(0),
    "utimes": _content(0),
    "futimesat": _content(1, 0),
    "utimensat": _content(1, 0, flags=3),
    "setxattr": _content(0),
    "lsetxattr": _content(0, last=False),
    "fsetxattr": _content(None, 0),
    "setxattrat": _content(1, 0, flags=2),
    "removexattr": _content(0),
    "lremovexattr": _content(0, last=False),
    "fremovexattr": _content(None, 0),
    "removexattrat": _content(1, 0, flags=2),
    "unlink": _named("name", (0, None)),
    "unlinkat": _named("name", (1, 0)),
    "rmdir": _named("name", (0, None)),
    "mkdir": _named("new", (0, None)),
    "mkdirat": _named("new", (1, 0)),
    "mknod": _named("new", (0, None)),
    "mknodat": _named("new", (1, 0)),
    "symlink": _named("new", (1, None)),
    "symlinkat": _named("new", (2, 1)),
    "link": _named("link", (0, None), (1, None)),
    "linkat": _named("link", (1, 0), (3, 2), flags=4),
    "rename": _named("move", (0, None), (1, None)),
    "renameat": _named("move", (1, 0), (3, 2)),
    "renameat2": _named("move", (1, 0), (3, 2)),
    "bind": _Call("socket"),
}


def filter_program(machine: Machine) -> bytes:
    """The filter that asks. io_uring changes files without a call; programs do without it where it is not there."""
    opening = machine.numbers("open", "openat", "open_by_handle_at")
    others = [number for number in machine.numbers(*_CALLS) if number not in opening]
    flags = {machine.calls[name]: _CALLS[name].flags for name in _CALLS if name in machine.calls}
    return assemble(
        [
            *begin(machine),
            *(step for number in opening for step in wherever(number, flags[number] or 0, _CHANGING, NOTIFY)),
            *on(others, NOTIFY),
            *on(machine.numbers("io_uring_setup"), refuse(errno.ENOSYS)),
            *end(),
        ]
    )


class Changes:
    """`of` a call that waits: the paths that it is about to change, relative to `root`, which is an absolute path without links.

    For one command, on one thread. `missed` says that something could not be followed.
    """

    def __init__(self, root: str, machine: Machine) -> None:
        self._root = root
        self._calls = {machine.calls[name]: one for name, one in _CALLS.items() if name in machine.calls}
        self._creat = machine.calls.get("creat")
        self._hard_links: dict[tuple[int, int], list[str]] | None = None
        self.missed = False

    def of(self, asked: Notification) -> Iterator[Change]:
        """Each path once for every reason; the root itself is ".". Raises BadAddress, PermissionError where the command may not be
        looked into, and FileNotFoundError or ProcessLookupError where it has ended."""
        one = self._calls[asked.call]
        match one.kind:
            case "open":
                yield from self._opened(asked, one)
            case "socket":
                yield from self._bound(asked)
            case "handle":
                self.missed = True  # a handle has no path
            case "move":
                yield from self._moved(asked, *(self._find(asked, place) for place in one.places))
            case "link":
                yield from self._linked(*(self._find(asked, place) for place in one.places))
            case _:
                yield from self._told(one.kind, self._find(asked, one.places[0]))

    def _told(self, kind: _Kind, path: str | None) -> Iterator[Change]:
        inside = self._inside(path)
        if path is None or inside is None:
            return
        status = _status(path)
        if (status is None) == (kind == "new"):  # otherwise the call fails, or makes what is there already
            yield inside, ()
        if kind == "content" and status is not None:
            yield from self._other_names(inside, status)

    def _opened(self, asked: Notification, one: _Call) -> Iterator[Change]:
        flags, root = os.O_CREAT | os.O_WRONLY | os.O_TRUNC, "root"
        place = one.places[0]
        if one.flags is not None:
            flags = asked.arguments[one.flags]
        elif asked.call != self._creat:
            how = read_memory(asked.thread, asked.arguments[2], 24).ljust(24, b"\0")
            flags, _, resolve = struct.unpack("=QQQ", how)
            if resolve & _RESOLVE_IN_ROOT and _signed(asked.arguments[0]) != AT_FDCWD:
                root = f"fd/{_signed(asked.arguments[0])}"
        if not flags & _CHANGING or flags & (os.O_PATH | _NAMELESS):
            return
        exclusive = flags & os.O_CREAT and flags & os.O_EXCL
        last = not (exclusive or flags & os.O_NOFOLLOW)
        path = self._find(asked, place._replace(last=last), root)
        inside = self._inside(path)
        if path is None or inside is None:
            return
        status = _status(path)
        if status is None:
            if flags & os.O_CREAT:
                yield inside, ()
        elif stat.S_ISREG(status.st_mode) and not exclusive:
            yield inside, ()
            yield from self._other_names(inside, status)

    def _linked(self, old: str | None, new: str | None) -> Iterator[Change]:
        """From here on, what is written under one name is there under the other."""
        yield from self._told("name", old)
        yield from self._told("new", new)

    def _moved(self, asked: Notification, old: str | None, new: str | None) -> Iterator[Change]:
        """All that is below moves along: it was there under its old name, and under the new one was not, or was something else."""
        beginning = f"/proc/{asked.thread}/root"
        if old is None or new is None or _status(beginning + old) is None:
            return
        for one, other in ((old, new), (new, old)):
            below = list(self._below(beginning + one))
            inside, there = self._inside(one), self._inside(other)
            if inside is not None:
                yield inside, below
            if there is not None and not _is_link(beginning + other):  # below a link it would be another file
                yield from ((f"{there}/{name}", ()) for name in below)

    def _bound(self, asked: Notification) -> Iterator[Change]:
        address = read_memory(asked.thread, asked.arguments[1], min(asked.arguments[2] & 0xFFFF, 110))
        name = address[2:].split(b"\0")[0]
        if int.from_bytes(address[:2], "little") == _AF_UNIX and name:
            base = path_of(asked.thread, AT_FDCWD) or "/"
            yield from self._told("new", follow(asked.thread, base, os.fsdecode(name), last=False))

    # --- where it is ---

    def _find(self, asked: Notification, place: _Place, root: str = "root") -> str | None:
        """The absolute path, as the command sees it, or None where the call can find nothing."""
        arguments = asked.arguments
        descriptor = AT_FDCWD if place.directory is None else _signed(arguments[place.directory])
        if place.path is None:
            return path_of(asked.thread, descriptor)
        flags = 0 if place.flags is None else arguments[place.flags]
        if arguments[place.path] == 0:  # utimensat(fd, NULL, ...)
            return path_of(asked.thread, descriptor) if descriptor != AT_FDCWD or flags & _AT_EMPTY_PATH else None
        path = read_path(asked.thread, arguments[place.path])
        if not path:
            empty = path == "" and flags & _AT_EMPTY_PATH
            return path_of(asked.thread, descriptor) if empty else None
        last = (place.last and not flags & _AT_SYMLINK_NOFOLLOW) or bool(flags & _AT_SYMLINK_FOLLOW)
        if root != "root":
            return follow(asked.thread, "/", path.lstrip("/"), last, root)
        base = "/" if path.startswith("/") else path_of(asked.thread, descriptor)
        return None if base is None else follow(asked.thread, base, path, last)

    def _inside(self, path: str | None) -> str | None:
        """The path relative to the root; None for one that is not in it."""
        if path is None or not path.startswith(self._root):
            return None
        rest = path[len(self._root) :]
        if not rest:
            return "."
        return rest[1:] if rest[0] == "/" else None

    def _other_names(self, path: str, status: os.stat_result) -> Iterator[Change]:
        """The hard links of a file that is about to be changed: it changes under all of its names."""
        if status.st_nlink < 2 or not stat.S_ISREG(status.st_mode):
            return
        if self._hard_links is None:
            self._hard_links = self._find_hard_links()
        others = self._hard_links.get((status.st_dev, status.st_ino), [])
        yield from ((other, ()) for other in others if other != path)

    def _find_hard_links(self) -> dict[tuple[int, int], list[str]]:
        """All names of files that have several, looked for once in a command: names that it makes itself were told before."""
        names: dict[tuple[int, int], list[str]] = {}
        for name in self._below(self._root):
            status = _status(f"{self._root}/{name}")
            if status is not None and status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
                names.setdefault((status.st_dev, status.st_ino), []).append(name)
        return names

    def _below(self, directory: str) -> Iterator[str]:
        """Everything below a directory, relative to it; nothing where it is none."""
        status = _status(directory)
        pending = [""] if status is not None and stat.S_ISDIR(status.st_mode) else []
        while pending:
            under = pending.pop()
            try:
                entries = list(os.scandir(f"{directory}/{under}"))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                self.missed = True
                continue
            for entry in entries:
                yield under + entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{under}{entry.name}/")


def _signed(argument: int) -> int:
    """A descriptor, from a register of which the kernel looks at the lower half."""
    low = argument & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low


def _status(path: str) -> os.stat_result | None:
    """None where there is nothing."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_link(path: str) -> bool:
    status = _status(path)
    return status is not None and stat.S_ISLNK(status.st_mode)
