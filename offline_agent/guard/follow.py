"""Which file a thread of another process means by a path: read out of its memory, and followed as it would follow it.

The other process may have its own root, its own /tmp and its own /proc. Directories are therefore followed by the kernel, held
within that root (openat2 with RESOLVE_IN_ROOT); what that does not do is walked here: the links of /proc, such as /proc/self/fd/1
and, by way of it, /dev/stdout and /dev/fd/63. Everything that is asked of /proc about a thread fails with PermissionError where
this process may not trace it, and leads nowhere (None) where it has ended.
"""

import ctypes
import os
import struct

from offline_agent.linux import call

_PATH_MAX = 4096
_MOST_LINKS = 40
"""As the kernel has it."""
_RESOLVE_IN_ROOT = 0x10
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_HOW = ctypes.create_string_buffer(struct.pack("=QQQ", _DIRECTORY, 0, _RESOLVE_IN_ROOT), 24)
"""struct open_how: flags, mode, resolve."""
_HOW_AT = ctypes.addressof(_HOW)

AT_FDCWD = -100


class BadAddress(Exception):
    """The kernel would answer EFAULT."""


def read_memory(thread: int, address: int, size: int) -> bytes:
    """Up to `size` bytes from an address on; fewer where the memory ends before. Raises BadAddress, PermissionError."""
    try:
        # Opened each time: the descriptor would go on showing the memory of the program that was there before an execve.
        memory = os.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        raise BadAddress from None
    try:
        read = os.pread(memory, size, address)
    except (OSError, OverflowError):  # EIO; an address that is none
        raise BadAddress from None
    finally:
        os.close(memory)
    if not read:
        raise BadAddress
    return read


def read_path(thread: int, address: int) -> str | None:
    """The path at an address; None where it is longer than the kernel takes. Raises BadAddress, PermissionError."""
    path, end, _ = read_memory(thread, address, 256).partition(b"\0")
    if not end:
        path, end, _ = read_memory(thread, address, _PATH_MAX).partition(b"\0")
    return os.fsdecode(path) if end else None


def path_of(thread: int, descriptor: int) -> str | None:
    """What one of its descriptors is open on, or with AT_FDCWD its current directory; None where that is no file with a name."""
    name = "cwd" if descriptor == AT_FDCWD else f"fd/{descriptor}"
    try:
        path = os.readlink(f"/proc/{thread}/{name}")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return path if path.startswith("/") else None


def follow(thread: int, base: str, path: str, last: bool, root: str = "root") -> str | None:
    """The absolute path, without links, of what a thread calls `path` from the directory `base`; where `last` is false, of the
    link itself. It need not exist, but its directory must: None otherwise.

    `root` is where its absolute paths begin, below /proc/THREAD: "root", or "fd/N" for a call that says so itself. The answer
    begins at the root all the same.
    """
    at = os.path.join(base, path)
    last = last or path.endswith("/")  # a link with a slash behind it is always followed
    for _ in range(_MOST_LINKS):
        at = at.rstrip("/")
        parent, _, name = at.rpartition("/")
        if name in ("", ".", ".."):
            parent, name = at, ""
        directory = _directory(thread, root, parent)
        if directory is None:
            return _walk(thread, at, last) if root == "root" else None
        found = f"{directory.rstrip('/')}/{name}" if name else directory
        target = _link(thread, found) if last and name else None
        if target is None:
            return found
        at = target if target.startswith("/") else f"{parent}/{target}"
    return None


def _directory(thread: int, root: str, path: str) -> str | None:
    """Where a directory really is. None where there is none, and where the way to it goes through /proc."""
    beginning = os.open(f"/proc/{thread}/{root}", _DIRECTORY)
    try:
        found = call("openat2", beginning, os.fsencode(path.lstrip("/")) or b".", _HOW_AT, 24)
    except OSError:  # what this process may not enter, the command may not either
        return None
    finally:
        os.close(beginning)
    try:
        real = os.readlink(f"/proc/self/fd/{found}")
    finally:
        os.close(found)
    # To the kernel /proc/self is who asks: this process.
    return None if real == "/proc" or real.startswith("/proc/") else real


def _link(thread: int, path: str) -> str | None:
    """The target of a symbolic link at a path without links before its end; None where there is none."""
    try:
        return os.readlink(f"/proc/{thread}/root{path}")
    except OSError:
        return None


def _walk(thread: int, path: str, last: bool) -> str | None:
    """`follow` step by step, through the links of /proc too, which name their file rather than lead to it."""
    done, steps, links = "", path.split("/")[::-1], 0
    while steps and links < _MOST_LINKS:
        step = steps.pop()
        if step in ("", "."):
            continue
        if step == "..":
            done = done.rpartition("/")[0]
            continue
        if done == "/proc" and step in ("self", "thread-self"):
            steps += _number(thread, step)[::-1]
            continue
        here = f"{done}/{step}"
        target = _link(thread, here) if steps or last else None
        if target is None:
            done = here
            if steps and not os.path.lexists(f"/proc/{thread}/root{here}"):
                return None
            continue
        links += 1
        if done.startswith("/proc/"):
            if not target.startswith("/"):  # a pipe or a socket
                return None
            done = target.rstrip("/")
            continue
        done = "" if target.startswith("/") else done
        steps += target.split("/")[::-1]
    return None if steps else done or "/"


def _number(thread: int, which: str) -> list[str]:
    """What /proc/self or /proc/thread-self lead a thread to: numbers of its own pid namespace, the last of those it is in."""
    with open(f"/proc/{thread}/status", encoding="utf-8", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    process, itself = fields["NStgid"].split()[-1], fields["NSpid"].split()[-1]
    return [process] if which == "self" else [process, "task", itself]
