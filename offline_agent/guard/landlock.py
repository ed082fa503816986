"""Confines a command where bubblewrap or user namespaces are missing: by Landlock, which any process may ask of the kernel.

A View becomes a list of rules, paths with rights, which the child puts on between fork and exec. Landlock only gives, to a path and
all below it, and can take nothing back. So a tree with something in it that is denied or protected is given piece by piece: the
directory that holds it gets no right that would reach it, and what lies beside it gets rights of its own, down to the file. That is
absolute, by whatever way a path is reached: symbolic links, /proc/self/root, open directories, a parent that is renamed. It costs:

    beside a protected entry   Nothing is made, removed or renamed in a directory that holds a protected or a denied entry, at any
                               depth: with .git/hooks protected, that is the top of the repository, and .git, so no commit. Files
                               that are there already can be written in place, and everywhere else all is as usual.
    beside a denied entry      What takes the place of a file there while the command runs cannot be read by it: whoever saves such
                               a file in an editor meanwhile hides it from the command.
    /tmp                       is not there: HOME and TMPDIR are in a private directory. What insists on /tmp or /dev/shm fails.
    /proc                      can be read, since what runs later has no entry yet that could be given. The kernel lets the command
                               look into no process outside (environment, memory, descriptors, working directory), but which there
                               are and with what command lines can be read, as by every user of the machine.

Not governed: that a path exists, its size and times, where a symbolic link leads; and modes and times of the user's files can be
set. `ungoverned` is what a seccomp filter must add, sockets above all; `gaps` says what is left then.

A file that is moved or linked into another directory must gain no right there (REFER), so no move makes a denied file readable or
a protected one writable. A hard link that was there before is a name of its own: `denied` must have it.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from offline_agent import linux
from offline_agent.guard.history import object_stores
from offline_agent.guard.protected import remove_tree
from offline_agent.guard.seccomp import no_set_id
from offline_agent.guard.view import View

READ = linux.READ_FILE | linux.READ_DIR | linux.EXECUTE
CHANGE = linux.WRITE_FILE | linux.TRUNCATE | linux.REMOVE_FILE | linux.REMOVE_DIR | linux.REFER
MAKE = linux.MAKE_REG | linux.MAKE_DIR | linux.MAKE_SYM | linux.MAKE_FIFO
WRITE = CHANGE | MAKE

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
"""Not the terminal, into which characters could be typed, and not /dev/shm, where other programs' memory is."""
KERNEL = ("/proc", "/sys/devices/system/cpu")
"""What run-times read to find out about themselves and the processors."""

_SIGNALS_SINCE, _TRUNCATE_SINCE, _REFER_SINCE = 6, 3, 2
_ATTRIBUTES = (
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
)
_FLAGS = {"open": 1, "openat": 2}
"""Calls with flags, and which argument they are."""
_OF_PROCESS = ("prlimit64", "sched_setaffinity", "sched_setparam", "sched_setscheduler", "sched_setattr")
_OF_MANY = {"setpriority": 2, "ioprio_set": 3}
"""Calls of a process, a group or a user, and which of these the user is."""


def rules(view: View, private: Path | None = None, stores: Sequence[Path] | None = None) -> list[tuple[str, int]]:
    """Paths and the rights (of offline_agent.linux) on each and what is below it, by path. `private` is a directory of
    `private_directory`; `stores` are those of a HistoryVerdict, which are looked for unless they are given.

    Takes as long as it takes to list the directories that hold something denied or protected. Symbolic links get no rule: what
    they lead to has its own.
    """
    denied = _places(view, view.denied)
    if view.hide_history:
        denied |= {os.path.realpath(store) for store in (object_stores(view.root) if stores is None else stores)}
    writable = [view.root, *view.writable]
    given: dict[str, int] = {}
    for tree in [*view.readable, *writable]:
        _give(given, tree, READ, denied)
    for tree in writable:
        _give(given, tree, WRITE, denied | _places(view, view.protected))
    for device in DEVICES:
        given[device] = linux.READ_FILE | linux.WRITE_FILE
    for tree in map(Path, KERNEL):
        _give(given, tree, linux.READ_FILE | linux.READ_DIR, set())
    if private is not None:
        _give(given, private, READ | WRITE, set())
    return sorted(given.items())


def restrict(rules: Sequence[tuple[str, int]], abi: int) -> None:
    """Confines this thread, for good, to the rules, as far as the version `abi` of Landlock, 1 or more, knows their rights; takes
    from it TCP, signals and abstract unix sockets to processes outside, and all capabilities.

    For a child with one thread, just before exec; the descriptors that it has open keep their rights. A path that is gone, or a
    symbolic link by now, is left out. Raises OSError.
    """
    linux.no_new_privileges()
    # With CAP_PERFMON the environment of every process can be read in /proc, and root would have it.
    linux.drop_capabilities()
    ruleset = linux.landlock_ruleset(abi)
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & linux.file_rights(abi))
        linux.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)


def ungoverned(machine: linux.Machine, abi: int) -> list[linux.Step]:
    """Steps for a seccomp filter that refuse what Landlock of this version leaves open and no ordinary command needs.

    Every socket but socketpair's: those of other programs are files, and Landlock governs no connecting to them. Set-user-ID bits.
    Extended attributes, which belong to the file's owner, wherever it is. Limits and priorities of any process but the caller's
    own: with RLIMIT_CPU another could be ended.
    """
    steps = linux.on(machine.numbers("socket"), linux.refuse())
    steps += linux.on(machine.numbers(*_ATTRIBUTES), linux.refuse(errno.EOPNOTSUPP))
    steps += no_set_id(machine)
    for name in _OF_PROCESS:
        steps += linux.unless(machine.calls[name], 0, [0], linux.refuse())
    for name, user in _OF_MANY.items():
        steps += linux.where(machine.calls[name], 0, user, linux.refuse())
        steps += linux.unless(machine.calls[name], 1, [0], linux.refuse())
    return steps + (_truncation(machine) if abi < _TRUNCATE_SINCE else [])


def gaps(abi: int) -> tuple[str, ...]:
    """What a person should know of Landlock of this version, where bubblewrap would do better."""
    known = ["Landlock confines commands: they see the names and command lines of other processes, and have no /tmp."]
    known.append("Commands make no new files beside denied or protected ones, so not at the top of a git repository.")
    known.append(
        "Commands could set modes and times of any file that you own, though not read or change what is in it."
    )
    if abi < _SIGNALS_SINCE:
        known.append(
            "This kernel's Landlock (before Linux 6.12) does not keep commands from signalling your other processes."
        )
    if abi < _REFER_SINCE:
        known.append("This kernel's Landlock (before Linux 5.19) lets commands move no file to another directory.")
    return tuple(known)


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory that only this user can enter, for one command, with `home` and `tmp` in it; gone afterwards, with whatever the
    command left there. Raises OSError where there is no space for it, or something in it cannot be removed."""
    directory = Path(os.path.realpath(tempfile.mkdtemp(prefix="offline-agent-")))
    try:
        (directory / "home").mkdir()
        (directory / "tmp").mkdir()
        yield directory
    finally:
        remove_tree(directory)


def private_environment(private: Path) -> Mapping[str, str]:
    """The variables by which programs find it."""
    temporary = os.fspath(private / "tmp")
    return {"HOME": os.fspath(private / "home"), "TMPDIR": temporary, "TMP": temporary, "TEMP": temporary}


def _places(view: View, paths: Sequence[str]) -> set[str]:
    """The paths as they are written, below the root without symbolic links, and where they lead to."""
    root = os.path.realpath(view.root)
    written = [os.path.normpath(os.path.join(root, path)) for path in paths]
    return {place for path in written for place in (path, _without_links(path), os.path.realpath(path))}


def _without_links(path: str) -> str:
    """The entry itself, without symbolic links on the way to it."""
    parent, name = os.path.split(path)
    return os.path.join(os.path.realpath(parent), name)


def _give(given: dict[str, int], tree: Path, rights: int, exceptions: set[str]) -> None:
    """Adds rights on all of a tree but the exceptions and what is below them."""
    top = os.path.realpath(tree)
    if any(top == place or top.startswith(os.path.join(place, "")) for place in exceptions):
        return
    holders = {os.fspath(parent) for place in exceptions for parent in Path(place).parents}
    waiting = [top]
    while waiting:
        path = waiting.pop()
        if path in holders and os.path.isdir(path):
            waiting += [entry for entry in _entries(path) if entry not in exceptions]
            # Names may be listed, here and below: a right that reaches the exceptions too, and only says that they are there.
            some = rights & linux.READ_DIR
        else:
            some = rights
        if some:
            given[path] = given.get(path, 0) | some


def _entries(directory: str) -> list[str]:
    """What is in it but symbolic links; nothing where it is gone or may not be listed, so that nothing of it is given."""
    try:
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if not entry.is_symlink()]
    except OSError:
        return []


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # gone, or where this user cannot go: nothing is given, and the rest still holds
        return
    try:
        mode = os.fstat(descriptor).st_mode
        wanted = rights if stat.S_ISDIR(mode) else 0 if stat.S_ISLNK(mode) else rights & linux.FILE_ONLY
        if wanted:
            linux.landlock_allow(ruleset, descriptor, wanted)
    finally:
        os.close(descriptor)


def _truncation(machine: linux.Machine) -> list[linux.Step]:
    """Without the right of that name a file that may only be read can be emptied: by name, or when opened for reading."""
    steps = linux.on(machine.numbers("truncate"), linux.refuse())
    for name, argument in _FLAGS.items():
        for number in machine.numbers(name):
            emptied = os.O_TRUNC | os.O_RDONLY
            steps += linux.where(number, argument, emptied, linux.refuse(), mask=os.O_TRUNC | os.O_ACCMODE)
    return steps
