"""Trees of files for the tests of undo: what they look like, and things that happen to them."""

import os
import random
import stat
from contextlib import suppress
from pathlib import Path

from offline_agent.guard.undo import Undo

Look = tuple[str, int, int, bytes]


def look(root: Path) -> dict[str, Look]:
    """Everything in the tree with kind, mode, mtime and content; the root itself is `.`."""
    found = {".": _look(root)}
    for place, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(place, name)
            found[str(path.relative_to(root))] = _look(path)
    return found


def _look(path: Path) -> Look:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "link", 0, status.st_mtime_ns, os.fsencode(os.readlink(path))
    if stat.S_ISDIR(status.st_mode):
        return "directory", stat.S_IMODE(status.st_mode), status.st_mtime_ns, b""
    return "file", stat.S_IMODE(status.st_mode), status.st_mtime_ns, path.read_bytes()


def plant(root: Path) -> None:
    """A small tree with something of everything, all of it old."""
    for directory in ("src/deep/deeper", "docs", "empty", "locked"):
        (root / directory).mkdir(parents=True)
    for name, content in {
        "README": b"hello\n",
        "src/a.py": b"def a():\n    return 1\n",
        "src/b.py": b"",
        "src/deep/c.bin": bytes(range(256)) * 40,
        "src/deep/deeper/d": b"d" * 70_000,
        "docs/one": b"1\n",
        "docs/two": b"2\n",
        "locked/in": b"in\n",
        os.fsdecode(b"docs/caf\xe9"): b"not utf-8\n",
    }.items():
        (root / name).write_bytes(content)
    (root / "link").symlink_to("src/a.py")
    (root / "loop").symlink_to("loop")
    os.link(root / "docs/one", root / "docs/same")
    (root / "src/a.py").chmod(0o755)
    (root / "docs/two").chmod(0o400)
    (root / "locked").chmod(0o555)
    number = 1_600_000_000_123_456_789
    for place, directories, files in os.walk(root, topdown=False):
        for name in (*files, *directories):
            number += 1_000_000_007
            os.utime(Path(place, name), ns=(number, number), follow_symlinks=False)
    os.utime(root, ns=(number, number))


def act(dice: random.Random, root: Path, undo: Undo) -> None:
    """Something happens to the tree, with a touch before it, as a watcher would see it."""
    files, directories = _inhabitants(root)
    name = dice.choice((*NAMES, os.fsdecode(b"\xfe\xff")))
    new = os.path.normpath(os.path.join(dice.choice(directories), name))
    if dice.random() < 0.5 and files:
        _act_on_file(dice, root, undo, dice.choice(files), new)
    elif dice.random() < 0.4:
        _act_on_any(dice, root, undo, dice.choice((*files, *directories)), new)
    else:
        _make(dice, root, undo, new)


def _act_on_file(dice: random.Random, root: Path, undo: Undo, path: str, new: str) -> None:
    match dice.choice(("append", "truncate", "remove", "hard")):
        case "append":
            undo.touch(path)
            with (root / path).open("ab") as file:
                file.write(dice.randbytes(7))
        case "truncate":
            undo.touch(path)
            os.truncate(root / path, dice.randint(0, 5))
        case "remove":
            undo.touch(path)
            (root / path).unlink()
        case "hard" if not os.path.lexists(root / new):
            undo.touch(new)
            os.link(root / path, root / new)


def _act_on_any(dice: random.Random, root: Path, undo: Undo, path: str, new: str) -> None:
    match dice.choice(("mode", "time", "rename", "clear")):
        case "mode":
            undo.touch(path)
            (root / path).chmod(dice.choice((0o600, 0o644, 0o755, 0o4711)) | (0o700 if (root / path).is_dir() else 0))
        case "time":
            undo.touch(path)
            os.utime(root / path, ns=(5, dice.randint(0, 10**18)))
        case "rename":
            _rename(dice.choice((path, "loop")), new, root, undo)
        case "clear" if (root / path).is_dir() and path != ".":
            _clear(path, root, undo)


def _make(dice: random.Random, root: Path, undo: Undo, new: str) -> None:
    undo.touch(new)
    if not os.path.lexists(root / new):
        match dice.choice(("file", "directory", "link")):
            case "file":
                (root / new).write_bytes(dice.randbytes(dice.choice((0, 10, 3000))))
            case "directory":
                (root / new).mkdir()
            case "link":
                (root / new).symlink_to(dice.choice(("src", "nowhere", "../x", new)))
    elif (root / new).is_symlink() or not (root / new).is_dir():  # replaced, as editors do it
        undo.touch("temporary")
        (root / "temporary").write_bytes(dice.randbytes(20))
        undo.touch("temporary")
        (root / "temporary").rename(root / new)


NAMES = ("a", "b", "src", "docs", "one", "é", "with space", "empty")


def _inhabitants(root: Path) -> tuple[list[str], list[str]]:
    """Regular files, and directories of which the root is the first."""
    files, directories = [], ["."]
    for name, (kind, *_) in sorted(look(root).items()):
        if kind == "file":
            files.append(name)
        elif kind == "directory" and name != ".":
            directories.append(name)
    return files, directories


def _rename(source: str, target: str, root: Path, undo: Undo) -> None:
    if not os.path.lexists(root / source):
        return
    undo.touch_tree(source)
    undo.touch(target)
    with suppress(OSError):  # a directory into itself, over one that is not empty, over a file
        os.rename(root / source, root / target)


def _clear(path: str, root: Path, undo: Undo) -> None:
    """As `rm -r` does it: each thing by itself."""
    for place, directories, files in os.walk(root / path, topdown=False):
        for name in (*files, *directories):
            below = Path(place, name)
            undo.touch(str(below.relative_to(root)))
            if below.is_dir() and not below.is_symlink():
                below.rmdir()
            else:
                below.unlink()
    undo.touch(path)
    (root / path).rmdir()
