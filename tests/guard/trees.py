"""Trees of files for the tests of undo: what they look like, and things that happen to them."""

import os
import stat
from pathlib import Path

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
