"""The filter, on the real kernel: a process puts it on and makes the calls."""

import errno
import json
import subprocess
import sys

import pytest

from offline_agent import linux
from offline_agent.guard import landlock
from offline_agent.guard.seccomp import REFUSED, deny_filter

MACHINE = linux.this_machine()
pytestmark = pytest.mark.skipif(MACHINE is None, reason="no table of system calls for this machine")

# Makes calls by number, and prints the error number of each, 0 for none. Arguments: the filter, then the calls as JSON.
SCRIPT = """
import ctypes, json, sys
from offline_agent import linux
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
linux.no_new_privileges()
if sys.argv[1]:
    linux.install(bytes.fromhex(sys.argv[1]))
found = []
for number, *arguments in json.loads(sys.argv[2]):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(each) for each in arguments])
    if result == 0 and number == FORKS:
        libc._exit(0)
    found.append(ctypes.get_errno() if result < 0 else 0)
print(json.dumps(found))
"""
NOWHERE = 1  # an address that no process has mapped
BAD = -1


def errors(program: bytes, calls: list[list[int]]) -> list[int]:
    assert MACHINE is not None
    script = SCRIPT.replace("FORKS", str(MACHINE.calls["clone"]))
    command = [sys.executable, "-c", script, program.hex(), json.dumps(calls)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[int] = json.loads(ran.stdout)
    return found


def of(name: str, *arguments: int) -> list[int]:
    assert MACHINE is not None
    return [MACHINE.calls[name], *arguments]


def program() -> bytes:
    assert MACHINE is not None
    return deny_filter(MACHINE)


def test_every_call_on_the_list_is_refused() -> None:
    assert MACHINE is not None
    numbers = MACHINE.numbers(*REFUSED)
    calls = [[number, BAD, NOWHERE, NOWHERE, NOWHERE, NOWHERE] for number in numbers]
    assert errors(program(), calls) == [errno.EPERM] * len(numbers)


CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWTIME, CLONE_FILES = 0x20000, 0x10000000, 0x40000000, 0x80, 0x400
SIGCHLD = 17
TIOCSTI, TIOCLINUX, TCGETS = 0x5412, 0x541C, 0x5401
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG = 1, 2, 10, 16, 17, 40, 38
UPPER = 1 << 32


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (of("unshare", CLONE_NEWUSER), errno.EPERM),
        (of("unshare", CLONE_NEWTIME), errno.EPERM),
        (of("unshare", CLONE_FILES | CLONE_NEWNS), errno.EPERM),
        (of("unshare", CLONE_FILES), 0),
        (of("clone", CLONE_NEWUSER | SIGCHLD), errno.EPERM),
        (of("clone", CLONE_NEWNET | SIGCHLD), errno.EPERM),
        (of("clone", SIGCHLD), 0),
        (of("clone3", NOWHERE, 88), errno.ENOSYS),
        (of("ioctl", 0, TIOCSTI, NOWHERE), errno.EPERM),
        (of("ioctl", 0, UPPER | TIOCSTI, NOWHERE), errno.EPERM),
        (of("ioctl", 0, TIOCLINUX, NOWHERE), errno.EPERM),
        (of("ioctl", BAD, TCGETS, NOWHERE), errno.EBADF),
        (of("personality", 0x0400000), errno.EPERM),
        (of("personality", 0xFFFFFFFF), 0),
        (of("socket", AF_UNIX, 1, 0), 0),
        *[(of("socket", family, 2, 0), errno.EPERM) for family in (AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG)],
        (of("socket", AF_INET, 1, 0), errno.EPERM),
        (of("socket", UPPER | AF_INET, 2, 0), errno.EPERM),
        ([linux.X32 | 39], errno.EPERM),
    ]
    if MACHINE is not None
    else [],
)
def test_calls_that_are_refused_for_their_arguments(call: list[int], expected: int) -> None:
    assert errors(program(), [call]) == [expected]


def test_without_the_filter_the_same_calls_get_further() -> None:
    calls = [
        of("unshare", CLONE_FILES),
        of("personality", 0x0400000),
        of("clone3", NOWHERE, 88),
        of("kcmp", BAD, BAD, 0, 0, 0),
    ]
    assert errno.EPERM not in errors(b"", calls)


def test_where_files_of_sockets_are_in_sight_there_are_no_sockets_but_pairs() -> None:
    assert MACHINE is not None
    strict = deny_filter(MACHINE, landlock.ungoverned(MACHINE, 6))
    assert errors(strict, [of("socket", AF_UNIX, 1, 0)]) == [errno.EPERM]
    script = "import socket, sys; from offline_agent import linux; linux.no_new_privileges();"
    script += "linux.install(bytes.fromhex(sys.argv[1])); socket.socketpair()"
    assert subprocess.run([sys.executable, "-c", script, strict.hex()], check=False).returncode == 0


def test_libc_still_starts_threads_and_programs() -> None:
    script = "import subprocess, sys, threading; from offline_agent import linux; linux.no_new_privileges();"
    script += (
        "linux.install(bytes.fromhex(sys.argv[1])); threading.Thread().start(); subprocess.run(['true'], check=True)"
    )
    assert subprocess.run([sys.executable, "-c", script, program().hex()], stdout=-3, check=False).returncode == 0
