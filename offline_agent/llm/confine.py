"""Takes from the worker, before it opens the model file, what a parser of untrusted files has no use for.

A GGUF file is input from a stranger to a large C++ parser. If it takes the process over, two Linux mechanisms remain, which
need no privileges and cannot be undone from inside:

    seccomp    no sockets, no io_uring (which opens sockets without the system call), no new programs, no other process's memory
    Landlock   no file may be opened but the model's own, for reading

and it leaves no core dump behind, which would have the conversation in it.

What this kernel does not have is left out and reported. With a GPU the driver opens devices and libraries at any time,
so Landlock is left out there, and local (AF_UNIX) sockets are allowed.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from offline_agent import linux
from offline_agent.llm.messages import Confinement

AF_UNIX = 1
REFUSED = ("io_uring_setup", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd")
STARTING_PROGRAMS = ("execve", "execveat")


def confine(files: Sequence[Path], gpu: bool) -> Confinement:
    """Confines this process for good; threads inherit it. Returns what the kernel took part in."""
    try:
        linux.not_dumpable()  # RLIMIT_CORE would not do: the kernel ignores it for systemd-coredump
        linux.no_new_privileges()
    except OSError:
        return Confinement()
    # Landlock first: seccomp is the outer wall and needs nothing more.
    files_denied = not gpu and _deny_files(files)
    return Confinement(sockets_denied=_deny_sockets(allow_local=gpu), files_denied=files_denied)


def deny_internet() -> bool:
    """Keeps this process, its threads and what it starts from every socket but local ones, for good. False where the kernel cannot.

    For processes that load large libraries which might try the network although they were told not to.
    """
    try:
        linux.no_new_privileges()
    except OSError:
        return False
    return _deny_sockets(allow_local=True, allow_programs=True)


def _deny_files(files: Sequence[Path]) -> bool:
    version = linux.landlock_version()
    if version < 1:
        return False
    try:
        ruleset = linux.landlock_ruleset(version)
    except OSError:
        return False
    try:
        for file in files:
            _allow_reading(ruleset, file)
        linux.landlock_restrict(ruleset)
    except OSError:  # also where a file is gone since the front looked; llama.cpp will say so
        return False
    finally:
        os.close(ruleset)
    return True


def _allow_reading(ruleset: int, file: Path) -> None:
    descriptor = os.open(file, os.O_PATH | os.O_CLOEXEC)
    try:
        linux.landlock_allow(ruleset, descriptor, linux.READ_FILE)
    finally:
        os.close(descriptor)


def _deny_sockets(allow_local: bool, allow_programs: bool = False) -> bool:
    machine = linux.this_machine()
    if machine is None:
        return False
    refused = REFUSED if allow_programs else REFUSED + STARTING_PROGRAMS
    program = filter_program(machine, refused, allow_local)
    try:
        # TSYNC: a library may have started a thread already, and it must not be the way out.
        linux.install(linux.assemble(program), linux.TSYNC)
    except OSError:
        return False
    return True


def filter_program(machine: linux.Machine, refused: Sequence[str], allow_local: bool) -> list[linux.Step]:
    """Refuses the calls named, and every socket, or every one that is not local."""
    families = [AF_UNIX] if allow_local else []
    return [
        *linux.begin(machine),
        *linux.on(machine.numbers(*refused), linux.refuse()),
        *linux.unless(machine.calls["socket"], 0, families, linux.refuse()),
        *linux.end(),
    ]
