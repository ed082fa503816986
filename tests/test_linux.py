"""System call numbers against the kernel's own headers, filters run by an interpreter of BPF, and what the kernel makes of them."""

import errno
import re
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent import linux
from offline_agent.linux import ALLOW, MACHINES, NOTIFY, Step, begin, end, on, refuse, unless, when, where, wherever

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
X86 = MACHINES["x86_64"]
NUMBERS = st.integers(0, 0xFFFFFFFF)
WORDS = st.integers(0, 2**64 - 1) | st.integers(0, 3)
MASKS = NUMBERS | st.integers(0, 3)
on_linux = pytest.mark.skipif(linux.this_machine() is None, reason="for 64-bit Linux on x86 and ARM")


def numbers_in(header: Path) -> Mapping[str, int]:
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text(encoding="utf-8"))
    return {name: int(number) for name, number in found}


def verdict(steps: list[Step], number: int, *arguments: int, architecture: int = X86.architecture) -> int:
    """What the kernel would do: its BPF machine, as far as filters here use it."""
    data = struct.pack("=iIQ6Q", number - (number >> 31 << 32), architecture, 0, *[*arguments, 0, 0, 0, 0, 0, 0][:6])
    program = [step for (step,) in zip(struct.iter_unpack("=HBBI", linux.assemble(steps)), strict=True)]
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, operand)[0]
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x15:
            at += if_true if accumulator == operand else if_false
        elif code == 0x35:
            at += if_true if accumulator >= operand else if_false
        else:
            assert code == 0x06
            return int(operand)


@pytest.mark.parametrize("name", HEADERS)
def test_numbers_are_those_of_the_kernel(name: str) -> None:
    if not HEADERS[name].exists():
        pytest.skip("the kernel's headers are not installed")
    known = numbers_in(HEADERS[name])
    shared = known.keys() & MACHINES[name].calls.keys()
    assert len(shared) > 100
    assert {call: known[call] for call in shared} == {call: MACHINES[name].calls[call] for call in shared}


@pytest.mark.parametrize("name", MACHINES)
def test_no_two_calls_share_a_number(name: str) -> None:
    calls = MACHINES[name].calls
    assert len(set(calls.values())) == len(calls)


def test_only_calls_without_a_directory_are_missing_on_arm() -> None:
    assert {"open", "rename", "unlink", "chmod", "mkdir"}.isdisjoint(MACHINES["aarch64"].calls)
    assert MACHINES["aarch64"].numbers("open", "openat") == [56]


def test_a_misspelt_call_is_not_left_out_in_silence() -> None:
    with pytest.raises(KeyError):
        X86.numbers("ptrase")


@given(NUMBERS, st.integers(0, 0xFFFFFFFF))
def test_other_tables_of_calls_are_refused(number: int, architecture: int) -> None:
    said = verdict([*begin(X86), *end()], number, architecture=architecture)
    right = architecture == X86.architecture and number < linux.X32
    assert said == (ALLOW if right else refuse())


@given(st.sets(st.integers(0, 1000), max_size=700), st.integers(0, 1000))
def test_these_calls_and_no_others(refused: set[int], number: int) -> None:
    said = verdict([*begin(X86), *on(sorted(refused), refuse(errno.ENOSYS)), *end()], number)
    assert said == (refuse(errno.ENOSYS) if number in refused else ALLOW)


@given(st.sampled_from([7, 8]), st.integers(0, 5), WORDS, MASKS, MASKS)
def test_an_argument_decides_by_its_lower_half(number: int, index: int, word: int, mask: int, value: int) -> None:
    arguments = [0] * index + [word]
    low = word & 0xFFFFFFFF
    cases = [
        (low & mask == value, where(7, index, value, NOTIFY, mask)),
        (low & mask != 0, wherever(7, index, mask, NOTIFY)),
        (low & mask not in (value, 3), unless(7, index, [value, 3], NOTIFY, mask)),
    ]
    for holds, steps in cases:
        said = verdict([*begin(X86), *steps, *end()], number, *arguments)
        assert said == (NOTIFY if holds and number == 7 else ALLOW)


@given(st.integers(0, 7), st.integers(0, 7), st.booleans(), st.booleans())
def test_all_tests_must_hold(first: int, second: int, same: bool, other: bool) -> None:
    steps = [*begin(X86), *when(7, [(0, 3, 1, same), (1, 4, 4, other)], refuse()), *on([7], NOTIFY), *end()]
    holds = ((first & 3 == 1) == same) and ((second & 4 == 4) == other)
    assert verdict(steps, 7, first, second) == (refuse() if holds else NOTIFY)  # the next block finds the number again


def test_a_filter_that_the_kernel_would_not_take() -> None:
    with pytest.raises(ValueError, match="5000 steps"):
        linux.assemble(end() * 5000)


def ran(code: str) -> str:
    """What a process of its own prints: most of this is for good."""
    head = "import ctypes, errno, os, socket, sys\nfrom offline_agent import linux\nfrom offline_agent.linux import *\n"
    done = subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@on_linux
def test_a_filter_holds_and_is_inherited() -> None:
    code = """
machine = this_machine()
no_new_privileges()
install(assemble([*begin(machine), *unless(machine.calls["socket"], 0, [socket.AF_UNIX], refuse(errno.EAFNOSUPPORT)), *end()]))
socket.socket(socket.AF_UNIX).close()
os.execv(sys.executable, [sys.executable, "-c", "import socket\\ntry: socket.socket()\\nexcept OSError as e: print(e.errno)"])
"""
    assert ran(code) == str(errno.EAFNOSUPPORT)


@on_linux
def test_a_listener_is_asked() -> None:
    code = """
machine = this_machine()
no_new_privileges()
listener = install(assemble([*begin(machine), *on(machine.numbers("sethostname"), NOTIFY), *end()]), NEW_LISTENER)
print(os.readlink(f"/proc/self/fd/{listener}"))
"""
    assert "seccomp" in ran(code)


@on_linux
def test_a_filter_needs_no_new_privileges() -> None:
    code = """
drop_capabilities()
try:
    install(assemble(end()))
except OSError as error:
    print(error.errno)
"""
    assert ran(code) == str(errno.EACCES)


@on_linux
def test_no_capability_is_left_or_comes_back() -> None:
    code = """
try:
    drop_bounding_set()
except PermissionError:
    pass
drop_capabilities()
no_new_privileges()
os.execv("/bin/cat", ["cat", "/proc/self/status"])
"""
    sets = re.findall(r"^Cap(Inh|Prm|Eff|Amb):\s*(\w+)$", ran(code), re.MULTILINE)
    assert [(name, int(mask, 16)) for name, mask in sets] == [("Inh", 0), ("Prm", 0), ("Eff", 0), ("Amb", 0)]


@on_linux
def test_orphans_are_reaped_and_the_parent_is_followed() -> None:
    code = """
reap_orphans()
ends, begins = os.pipe()
if not (child := os.fork()):
    if not os.fork():
        os.read(ends, 1)
        os._exit(7)
    os._exit(0)
os.waitpid(child, 0)
os.write(begins, b"x")
print(os.waitstatus_to_exitcode(os.wait()[1]))
die_with_parent(9)
died = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(died))
print(died.value)
"""
    assert ran(code).split() == ["7", "9"]


@on_linux
def test_what_the_kernel_does_not_know_has_a_number_and_a_name() -> None:
    with pytest.raises(OSError, match="no_such_call") as raised:
        linux.call("no_such_call")
    assert raised.value.errno == errno.ENOSYS
    with pytest.raises(OSError, match="landlock_restrict_self"):
        linux.landlock_restrict(-1)


@pytest.mark.parametrize("version", range(1, 10))
def test_a_newer_landlock_governs_no_less(version: int) -> None:
    rights = linux.file_rights(version)
    assert rights & linux.file_rights(1) == linux.file_rights(1)
    assert bool(rights & linux.REFER) == (version >= 2)
    assert bool(rights & linux.TRUNCATE) == (version >= 3)
    assert bool(rights & linux.IOCTL_DEV) == (version >= 5)
