"""Versions of repositories on disk, one after the other in the same directory, so that an index follows them as it follows a person
who changes branches."""

import io
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

_LAYOUTS = ("{owner}/{name}", "{owner}/{name}.git", "{owner}__{name}", "{owner}+{name}/repo", "{name}", "{name}.git")


def find_clone(clones: Path, repository: str) -> Path:
    """The local clone, bare or not, of `owner/name` under `clones`. Raises SystemExit where there is none."""
    owner, _, name = repository.rpartition("/")
    for layout in _LAYOUTS:
        place = clones / layout.format(owner=owner, name=name)
        if (place / ".git").exists() or (place / "HEAD").is_file():
            return place
    looked = ", ".join(layout.format(owner=owner, name=name) for layout in _LAYOUTS[:3])
    raise SystemExit(f"There is no clone of {repository} in {clones} (looked for {looked} and so on).")


def git(clone: Path, *arguments: str) -> bytes:
    """What git says. Raises SystemExit with git's own words where it fails; it never fetches what a partial clone lacks."""
    environment = {**os.environ, "GIT_ALLOW_PROTOCOL": "none"}
    command = ["git", "-C", str(clone), *arguments]
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{clone}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def check_out(clone: Path, commit: str, directory: Path) -> None:
    """Makes `directory` hold the files of `commit`. Raises SystemExit where the clone does not have it."""
    archive = git(clone, "archive", "--format=tar", commit)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: file.read() for member in tar if member.isfile() and (file := tar.extractfile(member))}
    # A stranger's repository may name a file that lies outside of it.
    fill(directory, {name: data for name, data in files.items() if ".." not in name.split("/")})


def fill(directory: Path, files: Mapping[str, bytes]) -> None:
    """Makes `directory` hold these files, by relative path, and no others: what is the same is not touched, so an index has little
    to do."""
    for folder, _, names in os.walk(directory, topdown=False):  # first, for a file may have to become a directory
        for name in names:
            if Path(folder, name).relative_to(directory).as_posix() not in files:
                Path(folder, name).unlink()
        if not os.listdir(folder) and folder != str(directory):
            os.rmdir(folder)
    for name, data in files.items():
        path = directory / name
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
