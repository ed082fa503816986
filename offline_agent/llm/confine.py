"""Takes from the worker, before it opens the model file, what a parser of untrusted files has no use for.

A GGUF file is input from a stranger to a large C++ parser. If it takes the process over, two Linux mechanisms remain, which
need no privileges and cannot be undone from inside:

    seccomp    no sockets, no io_uring (which opens sockets without the system call), no new programs, no other process's memory
    Landlock   no file may be opened but the model's own, for reading

and it leaves no core dump behind, which would have the conversation in it.

What this kernel does not have is left out and reported. With a GPU the driver opens devices and libraries at any time,
so Landlock is left out there, and local (AF_UNIX) sockets are allowed.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from offline_agent.llm.messages import Confinement

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
SYS_LANDLOCK_CREATE_RULESET, SYS_LANDLOCK_ADD_RULE, SYS_LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_VERSION, RULE_PATH_BENEATH, READ_FILE = 1, 1, 1 << 2
FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Bits of access that each Landlock version governs; 4 and 6 brought network (2 bits) and scopes (2 bits)."""

SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 1, 1
RETURN_ALLOW, RETURN_EPERM = 0x7FFF0000, 0x00050000 | 1
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
"""Offsets in struct seccomp_data."""
AF_UNIX, NO_FAMILY = 1, 0xFFFFFFFF
X32 = 0x40000000
"""Numbers from here on are x86-64's second system call table, which would get round the list."""

# Machine: its audit architecture, its numbers of seccomp(2) and socket(2), and those of what is refused altogether: io_uring_setup,
# ptrace, process_vm_readv, process_vm_writev, pidfd_getfd, and the two that start programs, execve and execveat.
MACHINES = {
    "x86_64": (0xC000003E, 317, 41, (425, 101, 310, 311, 438, 59, 322)),
    "aarch64": (0xC00000B7, 277, 198, (425, 117, 270, 271, 438, 221, 281)),
}


def confine(files: Sequence[Path], gpu: bool) -> Confinement:
    """Confines this process for good; threads inherit it. Returns what the kernel took part in."""
    if sys.platform != "linux":
        return Confinement()
    libc = _libc()
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # RLIMIT_CORE would not do: the kernel ignores it for systemd-coredump
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return Confinement()
    # Landlock first: seccomp is the outer wall and needs nothing more.
    files_denied = not gpu and _deny_files(libc, files)
    return Confinement(sockets_denied=_deny_sockets(libc, allow_local=gpu), files_denied=files_denied)


def deny_internet() -> bool:
    """Keeps this process, its threads and what it starts from every socket but local ones, for good. False where the kernel cannot.

    For processes that load large libraries which might try the network although they were told not to.
    """
    if sys.platform != "linux":
        return False
    libc = _libc()
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return _deny_sockets(libc, allow_local=True, allow_programs=True)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _deny_files(libc: ctypes.CDLL, files: Sequence[Path]) -> bool:
    version = libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION)
    if version < 1:
        return False
    rights = FILE_RIGHTS[max(known for known in FILE_RIGHTS if known <= version)]
    attributes = struct.pack("=QQQ", rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(SYS_LANDLOCK_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        return False
    try:
        allowed = all(_allow_reading(libc, ruleset, file) for file in files)
        return allowed and libc.syscall(SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow_reading(libc: ctypes.CDLL, ruleset: int, file: Path) -> bool:
    try:
        descriptor = os.open(file, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # gone since the front looked; llama.cpp will say so
        return False
    try:
        rule = struct.pack("=Qi", READ_FILE, descriptor)
        return bool(libc.syscall(SYS_LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0) == 0)
    finally:
        os.close(descriptor)


def _deny_sockets(libc: ctypes.CDLL, allow_local: bool, allow_programs: bool = False) -> bool:
    machine = MACHINES.get(platform.machine())
    if machine is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    architecture, seccomp, socket, refused = machine
    program = filter_program(architecture, socket, refused[:-2] if allow_programs else refused, allow_local)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    header = struct.pack("@HP", len(program), ctypes.addressof(code))
    # TSYNC: a library may have started a thread already, and it must not be the way out.
    return bool(libc.syscall(seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, header) == 0)


Step = tuple[int, int, int, int]


def filter_program(architecture: int, socket: int, refused: Sequence[int], allow_local: bool) -> list[Step]:
    """A BPF program as (code, steps to skip if true, if false, operand)."""
    refuse = (RETURN, 0, 0, RETURN_EPERM)
    program = [(LOAD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 1, 0, architecture), refuse, (LOAD, 0, 0, NUMBER)]
    program += [(JUMP_AT_LEAST, 0, 1, X32), refuse]
    for number in refused:
        program += [(JUMP_EQUAL, 0, 1, number), refuse]
    program += [(JUMP_EQUAL, 0, 3, socket), (LOAD, 0, 0, FIRST_ARGUMENT)]
    program += [(JUMP_EQUAL, 1, 0, AF_UNIX if allow_local else NO_FAMILY), refuse]
    return [*program, (RETURN, 0, 0, RETURN_ALLOW)]
