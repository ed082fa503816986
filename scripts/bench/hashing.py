"""Hashing one large file, and importing it into a model library: megabytes per second, and the share of sha256sum's speed.

Against `sha256sum FILE`, in the same run; all take turns. The file is in the page cache, where it was just written. Importing
copies the file, hashes what it copies, and makes it last (fsync); sha256sum only reads. `--openssl` compares with `openssl dgst
-sha256` too, which is the faster of the two where the processor has instructions for SHA-256 and sha256sum does not use them.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from offline_agent.library.digest import hash_file
from offline_agent.library.imports import import_path
from offline_agent.library.store import Library
from offline_agent.library.verify import verify

PIECE = 1_000_000
Work = Callable[[], None]


def contestants(path: Path, place: Path, openssl: bool) -> dict[str, Work]:
    """What is compared, sha256sum first."""
    library = Library(place / "library", lambda kind, file: None)  # a header takes no time, and this file has none

    def bring(link: bool) -> None:
        import_path(library, [], path, name="model", link=link)

    def check() -> None:
        held = library.find("model")
        if held is None or verify(library, held):
            raise SystemExit("The model that was just imported does not verify.")

    def run(*command: str) -> None:
        subprocess.run([*command, str(path)], stdout=subprocess.DEVNULL, check=True)

    return {
        "sha256sum": lambda: run("sha256sum"),
        **({"openssl dgst": lambda: run("openssl", "dgst", "-sha256")} if openssl else {}),
        "hash_file": lambda: _equal(hash_file(path), path),
        "import, copied": lambda: bring(link=False),
        "verify": check,
        "import, linked": lambda: bring(link=True),
    }


def _equal(sha256: str, path: Path) -> None:
    """Raises SystemExit where the hash is not the one that was computed first."""
    if _SEEN.setdefault(path, sha256) != sha256:
        raise SystemExit("The same file has two hashes.")


_SEEN: dict[Path, str] = {}


def seconds(work: Work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, help="where the files go; /dev/shm leaves the disk out of it")
    parser.add_argument("--openssl", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as scratch:
        place = Path(scratch)
        path = place / "model.gguf"
        with path.open("wb") as file:
            for _ in range(arguments.megabytes):
                file.write(os.urandom(PIECE))
        given = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True)  # noqa: S607
        _equal(given.stdout.split()[0], path)
        work = contestants(path, place, arguments.openssl)
        times: dict[str, list[float]] = {name: [] for name in work}
        for _ in range(arguments.rounds):
            for name, act in work.items():
                times[name].append(seconds(act))
        base = times["sha256sum"]
        for name, taken in times.items():
            speed = arguments.megabytes / statistics.median(taken)
            share = 100 * statistics.median(theirs / own for theirs, own in zip(base, taken, strict=True))
            print(f"{name:<16} {speed:6.0f} MB/s; {share:4.0f} % of sha256sum")


if __name__ == "__main__":
    main()
