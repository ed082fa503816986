"""The kernel's own interface, for what confines processes: system call numbers, seccomp filters, capabilities, Landlock.

Nothing is decided here and nothing is done on import. What the kernel refuses raises OSError, with its number; functions without a
result have done what they say. All of it is for good: a process and what it starts can only be confined further.

A seccomp filter is put together from blocks. Each begins with the number of the system call in the accumulator, and either returns
a verdict or leaves the number there for the next block:

    program = assemble([
        *begin(machine),                                          # other tables of system calls are refused
        *on(machine.numbers("ptrace", "bpf"), refuse()),          # these calls
        *unless(machine.calls["socket"], 0, [AF_UNIX], refuse()), # this call, but for these values of an argument
        *where(machine.calls["ioctl"], 1, TIOCSTI, refuse()),     # this call, with this value
        *end(ALLOW),
    ])
    no_new_privileges(); install(program)

Of several filters that are installed one after the other, the strictest verdict holds: kill, refuse, ask, allow.

Sources: the kernel's arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h, include/uapi/linux/{seccomp,filter,
audit,prctl,capability,landlock}.h; seccomp(2), landlock(7), capabilities(7).
"""

import ctypes
import errno
import functools
import os
import platform
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# --- system calls --------------------------------------------------------------------------------------------------

_X86_64, _AARCH64 = 0xC000003E, 0xC00000B7
"""AUDIT_ARCH_*: what a filter is told of the table that a number is of."""
X32 = 0x40000000
"""Numbers from here on are x86-64's second system call table, which would get round any list."""

_COMMON = 424
"""From here on every machine that Linux runs on has the same numbers."""

# Each call with its number on x86-64 and on aarch64, which has only the calls that take a directory.
_TABLE = """
    ptrace 101 117               process_vm_readv 310 270     process_vm_writev 311 271    process_madvise 440 440
    kcmp 312 272                 pidfd_open 434 434           pidfd_getfd 438 438          pidfd_send_signal 424 424
    kill 62 129                  tkill 200 130                tgkill 234 131               process_mrelease 448 448
    rt_sigqueueinfo 129 138      rt_tgsigqueueinfo 297 240    prctl 157 167                capset 126 91
    execve 59 221                execveat 322 281             clone 56 220                 clone3 435 435
    unshare 272 97               setns 308 268                personality 135 92           seccomp 317 277

    io_uring_setup 425 425       io_uring_enter 426 426       io_uring_register 427 427    ioctl 16 29
    socket 41 198                socketpair 53 199            connect 42 203               bind 49 200
    listen 50 201                sendto 44 206                sendmsg 46 211               sendmmsg 307 269

    mount 165 40                 umount2 166 39               move_mount 429 429           open_tree 428 428
    open_tree_attr 467 467       fsopen 430 430               fsmount 432 432              fsconfig 431 431
    fspick 433 433               mount_setattr 442 442        pivot_root 155 41            chroot 161 51
    statmount 457 457            listmount 458 458            name_to_handle_at 303 264    open_by_handle_at 304 265
    fanotify_init 300 262        quotactl 179 60              quotactl_fd 443 443          acct 163 89

    keyctl 250 219               add_key 248 217              request_key 249 218          bpf 321 280
    perf_event_open 298 241      userfaultfd 323 282          kexec_load 246 104           kexec_file_load 320 294
    init_module 175 105          finit_module 313 273         delete_module 176 106        reboot 169 142
    swapon 167 224               swapoff 168 225              settimeofday 164 170         clock_settime 227 112
    adjtimex 159 171             clock_adjtime 305 266        sethostname 170 161          setdomainname 171 162
    syslog 103 116               vhangup 153 58               iopl 172 -                   ioperm 173 -
    modify_ldt 154 -             uselib 134 -                 migrate_pages 256 238        move_pages 279 239
    shmget 29 194                msgget 68 186                semget 64 190                mq_open 240 180

    prlimit64 302 261            setpriority 141 140          ioprio_set 251 30            sched_setaffinity 203 122
    sched_setparam 142 118       sched_setscheduler 144 119   sched_setattr 314 274

    open 2 -                     openat 257 56                openat2 437 437              creat 85 -
    truncate 76 45               ftruncate 77 46              fallocate 285 47             memfd_create 319 279
    rename 82 -                  renameat 264 38              renameat2 316 276            rmdir 84 -
    unlink 87 -                  unlinkat 263 35              link 86 -                    linkat 265 37
    symlink 88 -                 symlinkat 266 36             mkdir 83 -                   mkdirat 258 34
    mknod 133 -                  mknodat 259 33               chmod 90 -                   fchmod 91 52
    fchmodat 268 53              fchmodat2 452 452            chown 92 -                   lchown 94 -
    fchown 93 55                 fchownat 260 54              utime 132 -                  utimes 235 -
    futimesat 261 -              utimensat 280 88             file_setattr 469 469
    setxattr 188 5               lsetxattr 189 6              fsetxattr 190 7              setxattrat 463 463
    removexattr 197 14           lremovexattr 198 15          fremovexattr 199 16          removexattrat 466 466

    landlock_create_ruleset 444 444    landlock_add_rule 445 445    landlock_restrict_self 446 446
"""


@dataclass(frozen=True)
class Machine:
    """A processor's system calls: `architecture` as filters see it, `calls` from name to number."""

    architecture: int
    calls: Mapping[str, int]

    def numbers(self, *names: str) -> list[int]:
        """The numbers of those calls that this machine has, in order. A name that no machine has raises KeyError."""
        if unknown := set(names) - MACHINES["x86_64"].calls.keys():
            raise KeyError(min(unknown))
        return sorted(self.calls[name] for name in names if name in self.calls)


def _machines() -> dict[str, Machine]:
    words = _TABLE.split()
    rows = list(zip(words[::3], words[1::3], words[2::3], strict=True))
    return {
        "x86_64": Machine(_X86_64, {name: int(number) for name, number, _ in rows}),
        "aarch64": Machine(_AARCH64, {name: int(number) for name, _, number in rows if number != "-"}),
    }


MACHINES = _machines()


def this_machine() -> Machine | None:
    """None where the table does not hold: another system, another processor, or a 32-bit Python on a 64-bit kernel."""
    if sys.platform != "linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    return MACHINES.get(platform.machine())


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    return libc


def call(name: str, *arguments: int | bytes | None) -> int:
    """Makes a system call that Python has no function for; returns what it returns. Bytes are passed by their address. Raises
    OSError; ENOSYS where the number is not known."""
    # Whole registers: a plain int would leave the upper half of one as it was.
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(_libc().syscall(ctypes.c_long(_number(name)), *passed), name)


def _number(name: str) -> int:
    machine = this_machine()
    number = (machine or MACHINES["x86_64"]).calls.get(name, -1)
    if number < 0 or sys.platform != "linux" or (machine is None and number < _COMMON):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    return number


def _checked(result: int, name: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


# --- one process ---------------------------------------------------------------------------------------------------

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 1, 4, 24, 36
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522


def prctl(option: int, *arguments: int) -> int:
    """prctl(2), its other arguments 0. Raises OSError, where there is no such call too."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "prctl")
    return _checked(_libc().prctl(option, *[*arguments, 0, 0, 0, 0][:4]), "prctl")


def no_new_privileges() -> None:
    """Starting a set-user-ID program gives nothing from here on. Without it only root may install filters."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def not_dumpable() -> None:
    """No core dump; nobody but root may trace the process or read its /proc entries. A program that is started afresh loses it."""
    prctl(PR_SET_DUMPABLE, 0)


def reap_orphans() -> None:
    """What this process's descendants leave behind becomes its child, rather than that of process 1."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signal: int) -> None:
    """The kernel sends `signal` when the thread that started this process ends. Look at getppid() next: it may have."""
    prctl(PR_SET_PDEATHSIG, signal)


def drop_bounding_set() -> None:
    """No program started from here on can gain a capability, whatever its file has. Takes CAP_SETPCAP: raises OSError without."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno != errno.EINVAL:  # beyond the last that this kernel knows
                raise
            return


def drop_capabilities() -> None:
    """Takes all capabilities from this thread: permitted, effective, inheritable and ambient. Root's are given back by execve(2)
    unless the bounding set is empty too, so drop that first."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    call("capset", struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24))


# --- seccomp -------------------------------------------------------------------------------------------------------

Step = tuple[int, int, int, int]
"""struct sock_filter: code, steps to skip if true, if false, operand."""

ALLOW, NOTIFY, KILL_PROCESS = 0x7FFF0000, 0x7FC00000, 0x80000000
"""Verdicts. NOTIFY has the call wait until who holds the listener has answered."""
TSYNC, NEW_LISTENER, WAIT_KILLABLE = 1, 8, 32
"""Flags of `install`: for all threads; with a listener; and with that, calls that wait for an answer heed no signal but one that
kills."""

_LOAD, _JUMP, _JUMP_EQUAL, _JUMP_AT_LEAST, _AND, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in struct seccomp_data."""
_FAR = 255
"""A conditional jump can skip no more steps."""
_SECCOMP_SET_MODE_FILTER = 1
_MOST_STEPS = 4096
_ALL_BITS = 0xFFFFFFFF


def refuse(number: int = errno.EPERM) -> int:
    """The verdict by which the call fails with that error."""
    return 0x00050000 | number


def begin(machine: Machine) -> list[Step]:
    """Calls of any other table are refused; loads the number."""
    no = (_RETURN, 0, 0, refuse())
    check = [(_LOAD, 0, 0, _ARCHITECTURE), (_JUMP_EQUAL, 1, 0, machine.architecture), no]
    return [*check, (_LOAD, 0, 0, _NUMBER), (_JUMP_AT_LEAST, 0, 1, X32), no]


def on(numbers: Sequence[int], verdict: int) -> list[Step]:
    """These calls get the verdict."""
    steps: list[Step] = []
    for start in range(0, len(numbers), _FAR):
        some = numbers[start : start + _FAR]
        last = len(some) - 1
        steps += [(_JUMP_EQUAL, last - at, 0 if at < last else 1, number) for at, number in enumerate(some)]
        steps.append((_RETURN, 0, 0, verdict))
    return steps


Test = tuple[int, int, int, bool]
"""An argument (from 0), a mask, a value, and whether the argument through the mask is to be that value, or is not to be.

Only the lower 32 bits are looked at: for arguments that the kernel itself takes as int or unsigned int, so that bits above cannot
hide a value from the filter alone.
"""


def when(number: int, tests: Sequence[Test], verdict: int) -> list[Step]:
    """The call `number` gets the verdict where every test holds."""
    inside: list[Step] = [(_RETURN, 0, 0, verdict)]
    for argument, mask, value, same in reversed(tests):
        away = len(inside)
        jump = (_JUMP_EQUAL, 0, away, value) if same else (_JUMP_EQUAL, away, 0, value)
        inside = [*_argument(argument, mask), jump, *inside]
    return _only(number, inside)


def where(number: int, argument: int, value: int, verdict: int, mask: int = _ALL_BITS) -> list[Step]:
    """The call `number` gets the verdict where the argument, through the mask, is `value`. See `Test`."""
    return when(number, [(argument, mask, value, True)], verdict)


def wherever(number: int, argument: int, bits: int, verdict: int) -> list[Step]:
    """The call `number` gets the verdict where the argument has any of `bits` set. See `Test`."""
    return when(number, [(argument, bits, 0, False)], verdict)


def unless(number: int, argument: int, values: Sequence[int], verdict: int, mask: int = _ALL_BITS) -> list[Step]:
    """The call `number` gets the verdict unless the argument, through the mask, is one of `values`. See `Test`."""
    tests = [(_JUMP_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return _only(number, [*_argument(argument, mask), *tests, (_RETURN, 0, 0, verdict)])


def end(verdict: int = ALLOW) -> list[Step]:
    """Whatever is left gets the verdict."""
    return [(_RETURN, 0, 0, verdict)]


def _argument(argument: int, mask: int) -> list[Step]:
    load = (_LOAD, 0, 0, _ARGUMENTS + 8 * argument)  # both machines are little-endian: the lower half comes first
    return [load] if mask == _ALL_BITS else [load, (_AND, 0, 0, mask)]


def _only(number: int, inside: list[Step]) -> list[Step]:
    """`inside` for the call `number`, after which the number is loaded again."""
    block = [*inside, (_LOAD, 0, 0, _NUMBER)]
    return [(_JUMP_EQUAL, 0, len(block), number), *block]


def assemble(steps: Sequence[Step]) -> bytes:
    """struct sock_filter after struct sock_filter, as `install` and bubblewrap's --seccomp take it. Raises ValueError for more
    steps than the kernel takes."""
    if len(steps) > _MOST_STEPS:
        raise ValueError(f"a filter of {len(steps)} steps; the kernel takes {_MOST_STEPS}")
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def install(program: bytes, flags: int = 0) -> int:
    """Installs a filter for this thread, or with TSYNC for all of them. Returns the listener's descriptor, which is closed by
    execve(2), with NEW_LISTENER, else 0. Takes `no_new_privileges`. Raises OSError, ESRCH where a thread could not have it."""
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    result = call("seccomp", _SECCOMP_SET_MODE_FILTER, flags, header)
    if result > 0 and not flags & NEW_LISTENER:  # the thread that TSYNC failed at
        raise OSError(errno.ESRCH, f"thread {result} cannot have the filter", "seccomp")
    return result


# --- Landlock ------------------------------------------------------------------------------------------------------

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR, MAKE_REG = (
    1 << bit for bit in range(9)
)
MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM, REFER, TRUNCATE, IOCTL_DEV = (1 << bit for bit in range(9, 16))
"""Rights on files and directories. REFER came with version 2, TRUNCATE with 3, IOCTL_DEV with 5."""
FILE_ONLY = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""The rights that a rule on something other than a directory can give."""

_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK_SINCE, _TCP = 4, 3
"""Binding and connecting TCP sockets."""
_SCOPES_SINCE, _SCOPES = 6, 3
"""Abstract unix sockets, and signals, to processes outside."""
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1


def landlock_version() -> int:
    """The version of Landlock (its ABI) that this kernel has switched on; 0 for none."""
    try:
        return call("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def file_rights(version: int) -> int:
    """The rights on files that a version of Landlock, from 1 on, knows."""
    return _FILE_RIGHTS[max(known for known in _FILE_RIGHTS if known <= version)]


def landlock_ruleset(version: int) -> int:
    """The descriptor of a ruleset that takes away all that the version governs: files, TCP and scopes."""
    network, scopes = version >= _NETWORK_SINCE, version >= _SCOPES_SINCE
    attributes = struct.pack("=QQQ", file_rights(version), _TCP * network, _SCOPES * scopes)
    return call("landlock_create_ruleset", attributes, 24 if scopes else 16 if network else 8, 0)


def landlock_allow(ruleset: int, descriptor: int, rights: int) -> None:
    """Gives rights on what the descriptor (of os.O_PATH) is open on, and all below. Raises OSError, EINVAL for rights that the
    version does not know or that are a directory's alone."""
    call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)


def landlock_restrict(ruleset: int) -> None:
    """This thread, and what it starts, have no more than the ruleset gives. Takes `no_new_privileges`."""
    call("landlock_restrict_self", ruleset, 0)
