"""Reading a local clone, bare or not, with git itself. Nothing is checked out and nothing is written."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_GIT = shutil.which("git") or "git"


class Clone:
    """One clone. A bare one that is called `repo` or `.git` is named by the directory it is in."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        place = directory.resolve()
        self.name = (
            (place.parent if place.name in {"repo", ".git"} else place)
            .name.removesuffix(".git")
            .rpartition("+")[2]
            .lower()
        )

    def lines(self, *arguments: str, given: str | None = None) -> Iterator[str]:
        """Standard output by lines, without their ends. What is not UTF-8 is replaced.

        A clone may lack objects, and git stops at the first it misses: what it said until then is all there is.
        """
        done = subprocess.run(
            [_GIT, "-C", str(self.directory), *arguments],
            input=given.encode() if given else None,
            capture_output=True,
            check=False,
        )
        yield from done.stdout.decode("utf-8", "replace").split("\n")

    def files(self, revision: str) -> dict[str, str]:
        """Path -> blob of every file of a revision."""
        found = {}
        for line in self.lines("ls-tree", "-r", "-z", revision):
            for entry in line.split("\0"):
                head, tab, path = entry.partition("\t")
                if tab and head.split()[1] == "blob":
                    found[path] = head.split()[2]
        return found

    def licence(self) -> str:
        """The text of the newest licence file; empty where there is none."""
        for path, blob in self.files("HEAD").items():
            if "/" not in path and path.lower().startswith(("licen", "copying", "mit-licen")):
                return next(iter(self.texts([blob]).values()), "")
        return ""

    def texts(self, blobs: Iterable[str], largest: int = 200_000) -> dict[str, str]:
        """Blob -> text, of those that are UTF-8 and not too large."""
        wanted = list(dict.fromkeys(blobs))
        process = subprocess.Popen(
            [_GIT, "-C", str(self.directory), "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        found = {}
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            for blob in wanted:
                process.stdin.write(f"{blob}\n".encode())
                process.stdin.flush()
                head = process.stdout.readline().split()
                if len(head) != 3:
                    continue
                data = process.stdout.read(int(head[2]) + 1)[:-1]
                if len(data) <= largest:
                    try:
                        found[blob] = data.decode("utf-8").replace("\r\n", "\n")
                    except UnicodeDecodeError:
                        continue
        return found


def batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
