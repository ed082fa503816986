"""The cache of Hugging Face's libraries, read only.

    models--OWNER--NAME/refs/main                   the revision that is current
    models--OWNER--NAME/snapshots/REVISION/FILE     a link to ../../blobs/ETAG, deeper below for a file in a directory
    models--OWNER--NAME/blobs/ETAG                  a file; of a large one the name is its SHA-256, of others a hash of git
    blobs/XX/HASH                                   where newer versions keep it, the blob being a link too; no SHA-256

Source: huggingface_hub's guide "Understand caching" and its file_download.py, constants.py and utils/_shared_blobs.py.
"""

import os
import re
from pathlib import Path

_REPOSITORY = re.compile(r"models--(?P<name>[\w.-]+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_cache(directory: Path) -> bool:
    return any(path.name.startswith("models--") for path in directory.iterdir())


def is_repository(directory: Path) -> bool:
    return _REPOSITORY.fullmatch(directory.name) is not None and (directory / "snapshots").is_dir()


def snapshots_of(repository: Path) -> list[Path]:
    """The current revision first, then the others, newest first. Raises OSError."""
    try:
        current = (repository / "refs" / "main").read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        current = ""
    found = [path for path in (repository / "snapshots").iterdir() if path.is_dir()]
    return sorted(found, key=lambda path: (path.name != current, -path.stat().st_mtime, path.name))


def place_of(path: Path) -> tuple[str, str]:
    """Repository and revision of a path in the cache; empty elsewhere."""
    for above in (path, *path.parents):
        repository = _REPOSITORY.fullmatch(above.parent.parent.name)
        if repository and above.parent.name == "snapshots":
            return repository["name"].replace("--", "/", 1), above.name
    return "", ""


def hash_in_link(path: Path) -> str:
    """The SHA-256 that a file of a snapshot says it has; empty for other files."""
    if not path.is_symlink():
        return ""
    blob = Path(os.readlink(path))  # one step only: a blob may be a link itself, to a name that is no SHA-256
    return blob.name if blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name) else ""
