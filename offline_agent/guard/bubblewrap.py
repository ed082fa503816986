"""A View as the arguments of bubblewrap (bwrap(1)): namespaces of its own for everything, and a file system put together mount by
mount, of which the command sees nothing else.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from offline_agent.guard.history import object_stores
from offline_agent.guard.view import HOME, LINKED, View

ARGUMENTS_FD, FILTER_FD, STATUS_FD = 3, 4, 5
"""Where bubblewrap, as the launcher starts it, finds its arguments and the seccomp filter, and writes how it ended."""
MOST_ARGUMENTS = 9000
"""MAX_ARGS in bubblewrap's source."""
NOBODY = 65534
_PATIENCE = 10.0
"""Seconds for `bwrap --help`."""


def find_program(name: str, environ: Mapping[str, str], writable: Sequence[Path]) -> str:
    """Where a program is on PATH; empty where it is not. Not where a command could have put it."""
    entries = [entry for entry in environ.get("PATH", "").split(os.pathsep) if entry.startswith("/")]
    safe = [
        entry for entry in entries if not any(Path(os.path.realpath(entry)).is_relative_to(own) for own in writable)
    ]
    return shutil.which(name, path=os.pathsep.join(safe)) or "" if safe else ""


def features_of(program: str) -> frozenset[str]:
    """The options that this version of bubblewrap has; none where it does not run."""
    try:
        ran = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(word for word in (ran.stdout + ran.stderr).split() if word.startswith("--"))


def options(view: View, directory: Path, tmp_bytes: int, features: frozenset[str], root_user: bool) -> list[str]:
    """All arguments but the command. `tmp_bytes` is the size of each file system that the command has to itself; `root_user` says
    that it would otherwise be root, who has another name inside.

    What is mounted later lies on top, so what is shown comes first, and what is hidden of it last.
    """
    size = ("--size", str(tmp_bytes)) if "--size" in features else ()
    arguments = [*_apart(features, root_user), *_system(view), *_scratch(size)]
    for path in view.readable:
        if path.parent != Path("/"):
            arguments += ["--ro-bind", str(path), str(path)]
    for path in (*view.writable, view.root):
        arguments += ["--bind", str(path), str(path)]
    arguments += _anchors(view)
    for name in sorted(view.protected):
        arguments += ["--ro-bind", str(view.root / name), str(view.root / name)]
    for path in _hidden(view):
        arguments += _mask(path)
    return [*arguments, "--remount-ro", "/", "--chdir", str(directory)]


def _apart(features: frozenset[str], root_user: bool) -> Iterator[str]:
    yield from ("--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL")
    yield from ("--hostname", "sandbox", "--seccomp", str(FILTER_FD), "--json-status-fd", str(STATUS_FD))
    if root_user:
        yield from ("--uid", str(NOBODY), "--gid", str(NOBODY))
    if "--disable-userns" in features:
        yield "--disable-userns"


def _system(view: View) -> Iterator[str]:
    for path in view.readable:
        if path.parent != Path("/"):
            continue
        if str(path) in LINKED and path.is_symlink():
            yield from ("--symlink", os.readlink(path), str(path))
        else:
            yield from ("--ro-bind", str(path), str(path))
    # To the kernel a command of root's is still root, which owns /proc/sys: core_pattern there names a program that the kernel
    # starts outside. bubblewrap covers it only where it could make files in it.
    yield from ("--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev")


def _scratch(size: Sequence[str]) -> Iterator[str]:
    for path in ("/tmp", HOME, "/dev/shm"):  # noqa: S108  the command's own, which end with it
        yield from (*size, "--tmpfs", path)
    yield from ("--dir", "/run", "--symlink", "/tmp", "/var/tmp", "--remount-ro", "/dev")  # noqa: S108


def _anchors(view: View) -> Iterator[str]:
    """Mounts each directory on the way to a hidden or protected path over itself: what is mounted cannot be renamed, and a path
    whose parent is moved aside (`mv .git x; mkdir .git`) would be free. Moving files across such a directory's border then is
    copying, as between disks."""
    above: set[Path] = set()
    for path in (*_hidden(view), *(view.root / name for name in view.protected)):
        above |= set(path.parents) - {view.root, *view.root.parents}
    for path in sorted(path for path in above if path.is_relative_to(view.root)):
        yield from ("--bind", str(path), str(path))


def _hidden(view: View) -> list[Path]:
    stores = object_stores(view.root) if view.hide_history else ()
    hidden = sorted({*(view.root / name for name in view.denied), *stores})
    return [path for path in hidden if not any(path != other and path.is_relative_to(other) for other in hidden)]


def _mask(path: Path) -> list[str]:
    """Something that nobody can open in its place: a device on a mount without devices, an empty directory without rights."""
    if path.is_dir():
        return ["--perms", "0000", "--tmpfs", str(path), "--remount-ro", str(path)]
    return ["--ro-bind", "/dev/null", str(path)]
