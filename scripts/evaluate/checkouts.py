"""Versions of repositories on disk, one after the other in the same directory, so that an index follows them as it follows a person
who changes branches."""

import io
import os
import subprocess
import tarfile
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


def check_out(clone: Path, commit: str, directory: Path) -> None:
    """Makes `directory` hold the files of `commit`: what is the same is not touched, so an index has little to do."""
    archive = subprocess.run(
        ["git", "-C", str(clone), "archive", "--format=tar", commit], capture_output=True, check=False
    )
    if archive.returncode:
        raise SystemExit(f"{clone} has no {commit}: {archive.stderr.decode(errors='replace').strip()}")
    kept: set[Path] = set()
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                kept.add(_write(directory / member.name, file.read()))
    for folder, _, names in os.walk(directory):
        for name in names:
            if (path := Path(folder, name)) not in kept:
                path.unlink()


def _write(path: Path, data: bytes) -> Path:
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path
