"""The way of a bundle, for real: made with pip and a model of the library, checked, installed in an empty home without a network by
the Python of the system, and the program from it asked where something is defined.

It prints what each step took and how large things are, and ends with 1 where a step fails or the answer does not cite the right
line.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.bench.random_model import write_random_model

TOP = Path(__file__).parents[2]
SOURCE = '''\
"""Dates as people write them."""

import datetime


def parse_date(text: str) -> datetime.date:
    """A date such as 2026-11-22."""
    return datetime.date.fromisoformat(text)
'''
WHERE = "dates.py:6"
QUESTION = "Where is parse_date defined?"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="where wheels are looked for first, and kept")
    parser.add_argument(
        "--python", default=shutil.which("python3", path="/usr/bin:/bin") or sys.executable, metavar="PATH"
    )
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where 3 GB may be used for the while")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="try-bundle-", dir=arguments.scratch) as place:
        return _try(Path(place), arguments.wheels or Path(place) / "wheels", arguments.python)


def _try(place: Path, wheels: Path, python: str) -> int:
    stick, key, bundle = place / "stick", place / "key.pub", place / "stick/offline-agent.bundle"
    source = _snapshot(place / "source")
    here = _home(place / "here", {**os.environ, "PYTHONPATH": str(source)})
    there = _home(place / "there", {"PATH": "/usr/bin:/bin"})
    stick.mkdir()
    model = write_random_model(place / "small.gguf")
    ours = (sys.executable, "-m", "offline_agent")
    create = ("--models", "small", "--default", "pocket", "--out", str(bundle), "--wheels", str(wheels), "--yes")

    _step("import a model", [*ours, "models", "import", str(model)], here)
    _step("make a key", [*ours, "bundle", "keygen", "--out", str(key)], here)
    _step("create", [*ours, "bundle", "create", *create], here)
    first = bundle.read_bytes()[:1_000_000]
    _step("create again", [*ours, "bundle", "create", *create, "--replace"], here)
    assert bundle.read_bytes()[:1_000_000] == first, "the same inputs made other bytes"
    _step("verify", [*ours, "bundle", "verify", str(bundle), "--key", str(key)], here)

    installer = stick / "offline-agent-install.pyz"
    install = [*_apart(), python, str(installer), str(bundle), "--key", str(key)]
    _step("install", install, there)
    _step("install again", install, there)
    program, repository = str(place / "there/.local/bin/offline-agent"), _repository(place / "repository")
    said = _step("ask", [*_apart(), program, "ask", QUESTION], there, repository)
    _step("ask again", [*_apart(), program, "ask", QUESTION], there, repository)
    listed = _step("list models", [*_apart(), program, "models", "list"], there)
    assert "small" in listed, listed

    for path in (bundle, installer, *sorted(wheels.glob("*.whl"), key=lambda path: -path.stat().st_size)[:5]):
        print(f"{path.stat().st_size / 1e6:10.1f} MB  {path.name}")
    installed = sum(path.lstat().st_size for path in (place / "there/.local/opt").rglob("*") if not path.is_symlink())
    print(f"{installed / 1e6:10.1f} MB  installed; {len(list(wheels.glob('*.whl')))} wheels")
    print(said)
    return 0 if WHERE in said else 1


def _snapshot(directory: Path) -> Path:
    """A copy of the source: one that changes meanwhile would make another bundle the second time."""
    directory.mkdir()
    for name in ("offline_agent", "models", "index"):
        shutil.copytree(TOP / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.lock", "README.md", "LICENSE"):
        shutil.copyfile(TOP / name, directory / name)
    return directory


def _home(directory: Path, environ: Mapping[str, str]) -> dict[str, str]:
    directory.mkdir()
    return {**environ, "HOME": str(directory)}


def _repository(directory: Path) -> Path:
    directory.mkdir()
    (directory / "dates.py").write_text(SOURCE)
    (directory / "main.py").write_text("from dates import parse_date\n\nprint(parse_date('2026-11-22'))\n")
    identity = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    git = shutil.which("git") or "git"
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run([git, *command], cwd=directory, check=True)
    return directory


def _apart() -> list[str]:
    """What takes the network away; without the right to do it the attempt would prove nothing."""
    own = [] if os.geteuid() == 0 else ["-r"]
    return ["unshare", *own, "-n"]


def _step(what: str, command: Sequence[str], environment: Mapping[str, str], directory: Path | None = None) -> str:
    began = time.monotonic()
    done = subprocess.run(
        command, env=environment, cwd=directory or environment["HOME"], capture_output=True, text=True
    )
    print(f"{time.monotonic() - began:10.1f} s   {what}", flush=True)
    if done.returncode:
        raise SystemExit(f"{what} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
