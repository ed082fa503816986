"""Runs a command under a watcher, as the sandbox's launcher does, and records in memory what it is told.

As a script:  touch_driver.py ROOT [--bwrap] -- COMMAND...   runs it, and prints what came of it as JSON.
"""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from offline_agent.guard.touch import FileWatcher
from offline_agent.linux import NEW_LISTENER, WAIT_KILLABLE, install, no_new_privileges

REPOSITORY = Path(__file__).parents[2]
Image = tuple[str, int, int, bytes]
"""What it was, mode bits, mtime in nanoseconds (of files only), content or target."""
ABSENT: Image = ("absent", 0, 0, b"")
BWRAP = "bwrap --unshare-all --die-with-parent --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib"
BWRAP += " --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp"


def image_of(path: str) -> Image:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return "symlink", 0, 0, os.fsencode(os.readlink(path))
    if stat.S_ISDIR(status.st_mode):
        return "directory", mode, 0, b""
    if not stat.S_ISREG(status.st_mode):
        return "other", mode, 0, b""
    return "file", mode, status.st_mtime_ns, Path(path).read_bytes()


def snapshot(root: Path) -> dict[str, Image]:
    tree = {".": image_of(str(root))}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            tree[os.path.relpath(path, root)] = image_of(path)
    return tree


@dataclass
class Recorder:
    """What was there before, by path."""

    root: Path
    images: dict[str, Image] = field(default_factory=dict)

    def touch(self, path: str) -> None:
        self.images.setdefault(path, image_of(os.path.join(self.root, path)))

    def touch_tree(self, path: str) -> None:
        for name, image in snapshot(self.root / path).items():
            self.images.setdefault(os.path.normpath(os.path.join(path, name)), image)

    def rebuilt(self) -> dict[str, Image]:
        """The tree as it is now, with everything that was recorded put back."""
        tree = snapshot(self.root)
        for path, image in sorted(self.images.items()):  # a directory before what is in it
            above = tree.get(os.path.dirname(path) or ".", ABSENT)
            if image[0] != "directory":
                for below in [name for name in tree if name.startswith(f"{path}/")]:
                    del tree[below]
            # Recorded when a directory had taken the place of what was no directory: it was not there before.
            tree[path] = image if above[0] == "directory" else ABSENT
        return {path: image for path, image in tree.items() if image != ABSENT}


@dataclass
class Watched:
    """A command that was run: its exit code and output, and what the watcher told."""

    code: int
    output: str
    seen: list[str]
    images: dict[str, Image]
    problem: str
    missed: bool


def in_bwrap(root: Path, *command: str) -> list[str]:
    """The command in a sandbox such as the program's own: the root at its own path, another /tmp, another /proc."""
    shown = [word for place in {sys.base_prefix, sys.prefix, str(REPOSITORY)} for word in ("--ro-bind", place, place)]
    return [*BWRAP.split(), *shown, "--bind", str(root), str(root), "--chdir", str(root), *command]


@contextmanager
def started(watcher: FileWatcher, command: list[str], directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command, under way, with the watcher attached; detached when it is left."""
    here, there = socket.socketpair()
    launcher = [sys.executable, "-P", __file__, "--launch", str(there.fileno()), *command]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["LAUNCH_FILTER"] = watcher.program.hex()
    with subprocess.Popen(
        launcher,
        cwd=directory,
        env=environment,
        pass_fds=[there.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        there.close()
        with here:
            _, (listener,), _, _ = socket.recv_fds(here, 1, 1)
            watcher.attach(listener)
            here.send(b"!")
        try:
            yield process
        finally:
            watcher.detach()


def run(watcher: FileWatcher, command: list[str], directory: Path) -> tuple[int, str]:
    """Exit code and output."""
    with started(watcher, command, directory) as process:
        output, _ = process.communicate(timeout=120)
    return process.returncode, output.decode(errors="replace")


def watched(root: Path, command: list[str], directory: Path | None = None) -> tuple[Watched, Recorder]:
    recorder = Recorder(root)
    watcher = FileWatcher(root, recorder.touch, recorder.touch_tree)
    code, output = run(watcher, command, directory or root)
    return Watched(code, output, watcher.seen, recorder.images, watcher.problem, watcher.missed), recorder


def launch(descriptor: int, command: list[str]) -> None:
    """In the child: installs the filter, gives its listener away, waits for the watcher, and becomes the command."""
    no_new_privileges()
    program = bytes.fromhex(os.environ.pop("LAUNCH_FILTER"))
    listener = install(program, NEW_LISTENER | WAIT_KILLABLE)
    with socket.socket(fileno=descriptor) as front:
        socket.send_fds(front, [b"!"], [listener])
        os.close(listener)
        front.recv(1)
    os.execvp(command[0], command)


def main(arguments: list[str]) -> None:
    if arguments[0] == "--launch":
        launch(int(arguments[1]), arguments[2:])
    options, command = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    root = Path(options[0])
    before = snapshot(root)
    result, recorder = watched(root, in_bwrap(root, *command) if "--bwrap" in options else command)
    told = {"code": result.code, "output": result.output, "seen": result.seen, "problem": result.problem}
    print(json.dumps({**told, "missed": result.missed, "restored": recorder.rebuilt() == before}))


if __name__ == "__main__":
    main(sys.argv[1:])
