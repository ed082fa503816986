"""System calls that no command needs and that open ways out of a sandbox: a seccomp filter that refuses them.

What namespaces and Landlock keep out of reach is refused here once more, since most escapes of the last years went through a fault
in one of these calls. They fail with EPERM, so that a program can go on without.
"""

import errno
import os
import stat
from collections.abc import Sequence

from offline_agent.linux import Machine, Step, Test, assemble, begin, end, on, refuse, unless, when, where, wherever

OTHER_PROCESSES = ("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp")
OTHER_DOORS = ("io_uring_setup", "io_uring_enter", "io_uring_register")
"""io_uring opens files and sockets without the system calls that a filter sees."""
FILE_SYSTEMS = (
    *("mount", "umount2", "move_mount", "open_tree", "open_tree_attr", "fsopen", "fsmount", "fsconfig", "fspick"),
    *("mount_setattr", "pivot_root", "chroot", "setns", "quotactl", "quotactl_fd", "swapon", "swapoff", "acct"),
)
HANDLES = ("open_by_handle_at", "name_to_handle_at", "fanotify_init")
"""Files by number, past every path that was hidden."""
KERNEL = (
    *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "syslog", "reboot", "vhangup"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "iopl", "ioperm", "uselib"),
    *("settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "sethostname", "setdomainname"),
)
REFUSED = OTHER_PROCESSES + OTHER_DOORS + FILE_SYSTEMS + HANDLES + KERNEL

TIOCSTI, TIOCLINUX = 0x5412, 0x541C
"""They type into a terminal as if its person did."""
NEW_NAMESPACES = 0x7E020080
"""CLONE_NEW*: cgroup, uts, ipc, user, pid, net, mount, time. A new user namespace gives every capability within it."""
_CLONE_NEWTIME = 0x80
"""Only unshare(2) knows it: in clone(2) these bits are the signal."""
AF_UNIX = 1
_MODES = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1, "mknod": 1, "mknodat": 2}
"""Calls with a mode, and which argument it is."""
_FLAGS = {"open": 1, "openat": 2}
"""Calls with flags, and which argument they are; the mode follows."""
_SAME_PERSONALITY, _ASK_PERSONALITY = 0, 0xFFFFFFFF


def deny_filter(machine: Machine, more: Sequence[Step] = ()) -> bytes:
    """The filter, as struct sock_filter after struct sock_filter. Sockets are for this machine only; `more` can take those too,
    where no mount namespace hides the sockets of docker, of ssh-agent and of the desktop's bus."""
    calls, no = machine.calls, refuse()
    steps: list[Step] = begin(machine)
    steps += on(machine.numbers(*REFUSED), no)
    # Its flags lie in memory that a filter cannot read; libc takes ENOSYS for an old kernel and calls clone instead.
    steps += on(machine.numbers("clone3"), refuse(errno.ENOSYS))
    steps += wherever(calls["clone"], 0, NEW_NAMESPACES & ~_CLONE_NEWTIME, no)
    steps += wherever(calls["unshare"], 0, NEW_NAMESPACES, no)
    steps += where(calls["ioctl"], 1, TIOCSTI, no) + where(calls["ioctl"], 1, TIOCLINUX, no)
    steps += unless(calls["personality"], 0, [_SAME_PERSONALITY, _ASK_PERSONALITY], no)
    steps += unless(calls["socket"], 0, [AF_UNIX], no)
    return assemble([*steps, *more, *end()])


def no_set_id(machine: Machine) -> list[Step]:
    """Steps that refuse set-user-ID and set-group-ID bits: whoever starts such a file of the repository later does it for the
    command, as the person or as root."""
    # It has modes and flags in memory, where no filter can look. Programs then take openat.
    steps = on(machine.numbers("openat2"), refuse(errno.ENOSYS))
    bits = stat.S_ISUID | stat.S_ISGID
    for name, argument in _MODES.items():
        for number in machine.numbers(name):
            steps += wherever(number, argument, bits, refuse())
    for name, argument in _FLAGS.items():
        for number in machine.numbers(name):
            # Without O_CREAT the mode is whatever the register holds.
            made: Test = (argument, os.O_CREAT, os.O_CREAT, True)
            mode: Test = (argument + 1, bits, 0, False)
            steps += when(number, [made, mode], refuse())
    return steps
