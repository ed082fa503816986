"""How much a command may take: what the kernel holds every process to, and what is watched from outside for all of them together.

Control groups would do the second, but belong to somebody else as a rule; and RLIMIT_NPROC does not bind root. Standard library
only: the launcher has to start in no time.
"""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

INTERVAL = 0.05
"""Seconds from one look to the next."""
OPEN_FILES = 4096
NICE = 5
_THREADS = 4
"""So many threads a process may have on average, before the kernel refuses another."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """`seconds` of the clock; `file_bytes` of one file; `memory_bytes`, `processes` and `disk_bytes` of all processes together."""

    seconds: float
    memory_bytes: int
    processes: int
    file_bytes: int
    disk_bytes: int


def restrict(limits: Limits) -> None:
    """Holds this process, and what it starts, to what the kernel can hold each process to, and gives others the right of way."""
    os.nice(NICE)
    bounds = [
        (resource.RLIMIT_CORE, 0),  # it would have what the command read in it
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
    ]
    if user := os.getuid():  # root may pass this one
        # The kernel counts threads, those of the user's other programs too. It is only there to slow a fork bomb down.
        bounds.append((resource.RLIMIT_NPROC, limits.processes * _THREADS + _threads_of(user)))
    for kind, most in bounds:
        hard = resource.getrlimit(kind)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))


class Warden:
    """Looks after one command: everything that descends from process `parent`. `disk` is a directory on the disk it may fill."""

    def __init__(self, limits: Limits, parent: int, disk: str) -> None:
        self._limits, self._parent, self._disk = limits, parent, disk
        self._deadline = time.monotonic() + limits.seconds
        self._free = _free(disk, 0)
        self._shared = shared_memory()

    def broken(self) -> str:
        """Which limit is broken, as Ran.ended has it; empty for none."""
        if time.monotonic() > self._deadline:
            return "time"
        if self._free - _free(self._disk, self._free) > self._limits.disk_bytes:
            return "disk"
        pids = list(descendants(self._parent, self._limits.processes + 1))
        if len(pids) > self._limits.processes:
            return "processes"
        return "memory" if self._takes_too_much(pids) else ""

    def _takes_too_much(self, pids: list[int]) -> bool:
        """The quick sum counts shared pages once for each process, so where it is too large the kernel is asked for the true one,
        which takes it milliseconds. Files in memory count too, as those that no process has mapped are in no process's sum: who
        makes a thousand with memfd_create(2) would take all there is."""
        if shared_memory() - self._shared > self._limits.memory_bytes:
            return True
        if sum(map(_resident, pids)) <= self._limits.memory_bytes:
            return False
        return sum(map(_proportional, pids)) > self._limits.memory_bytes


def descendants(parent: int, most: int = 1 << 20) -> Iterator[int]:
    """The processes that descend from `parent`, nearest first, `most` of them at most."""
    found, at = [parent], 0
    while at < len(found) and len(found) <= most:
        found += children(found[at])
        at += 1
    yield from found[1 : most + 1]


def take_precedence() -> None:
    """Makes this process one that does not wait its turn behind a thousand others: after a fork bomb each turn would take seconds.
    Only root may, whom no limit of the kernel's on processes binds. What it starts is as all others."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def children(pid: int) -> list[int]:
    """The children of a process; none where it has ended."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
        except FileNotFoundError:  # the thread has ended, or the kernel keeps no such list
            if not os.path.exists("/proc/thread-self/children"):
                return _children_by_parent(pid)
        except OSError:
            continue
    return found


def _children_by_parent(pid: int) -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent_of(name) == pid]


def _parent_of(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _resident(pid: int) -> int:
    """Bytes of memory of a process, shared ones too."""
    with suppress(OSError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
    return 0


def _proportional(pid: int) -> int:
    """The same, with each shared page divided among those who share it."""
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) << 10
    return _resident(pid)


def shared_memory() -> int:
    """Bytes of memory that are files or segments, of the whole machine; 0 where the kernel does not tell."""
    with suppress(OSError), open("/proc/meminfo", "rb") as file:
        for line in file:
            if line.startswith(b"Shmem:"):
                return int(line.split()[1]) << 10
    return 0


def _threads_of(user: int) -> int:
    """How many threads a user has, in all processes."""
    threads = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has ended
            if os.stat(f"/proc/{name}").st_uid == user:
                threads += len(os.listdir(f"/proc/{name}/task"))
    return threads


def _free(directory: str, unknown: int) -> int:
    """Bytes that are free on its disk; `unknown` where it is gone."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return unknown
    return status.f_bavail * status.f_frsize
