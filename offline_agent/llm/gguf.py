"""Cheap checks of a model file, before a process is started for it.

A GGUF file begins:  magic "GGUF" (4 bytes) | version (u32) | tensors (u64) | metadata entries (u64) | ...
in little-endian. llama.cpp reads versions 2 and 3; everything behind this header is for its parser, in the confined worker.
"""

import hashlib
import os
import stat
import struct
from pathlib import Path

from offline_agent.errors import ModelBroken, ModelMissing

MAGIC = b"GGUF"
HEADER = struct.Struct("<4sIQQ")
VERSIONS = range(2, 4)
MOST_ENTRIES = 1 << 24
"""Far more tensors or metadata entries than any model has; damaged counts are astronomical."""


def check_gguf(path: Path) -> None:
    """Raises ModelMissing or ModelBroken when the file cannot possibly be loaded."""
    if "\udcff" >= max(str(path)) >= "\ud800":
        raise ModelBroken("The model's path is not valid UTF-8: rename the file or its directory.")
    header = _read_header(path)
    if not header:
        raise ModelBroken(f"The model {path} is empty: copy or download it again.")
    if header[:4] != MAGIC:
        raise ModelBroken(
            f"The model {path} is not a GGUF file: convert it with llama.cpp's convert_hf_to_gguf.py or choose another."
        )
    if len(header) < HEADER.size:
        raise ModelBroken(f"The model {path} is cut short after {len(header)} bytes: copy or download it again.")
    _, version, tensors, entries = HEADER.unpack(header)
    if version not in VERSIONS:
        raise ModelBroken(
            f"The model {path} has GGUF version {version}, and 2 and 3 can be read: convert or download it again."
        )
    if not 0 < tensors < MOST_ENTRIES or not 0 < entries < MOST_ENTRIES:
        raise ModelBroken(f"The model {path} has a damaged header: copy or download it again.")


def check_pinned(path: Path, sha256: str, size: int) -> None:
    """Raises ModelBroken when the file is not the one that the catalogue pins. An empty hash and size 0 pin nothing."""
    try:
        actual_size = path.stat().st_size
        actual = hash_file(path) if sha256 and actual_size == (size or actual_size) else ""
    except OSError as error:
        raise ModelBroken(f"The model {path} cannot be read ({error.strerror}): check the disk and the path.") from None
    if size and actual_size != size:
        raise ModelBroken(
            f"The model {path} has {actual_size} bytes where {size} are pinned: copy, install or build it again."
        )
    if sha256 and actual != sha256:
        raise ModelBroken(
            f"The model {path} is not the file that was pinned (SHA-256): copy, install or build it again."
        )


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_header(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ModelBroken(f"The model {path} is a directory: name the .gguf file inside it.")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            raise ModelBroken(f"The model {path} is not a regular file: name a .gguf file.")
        with path.open("rb") as file:
            return file.read(HEADER.size)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelMissing(
            f"There is no model at {path}: check the path, or leave it out to use the built-in model."
        ) from None
    except PermissionError:
        raise ModelBroken(f"The model {path} may not be read by this user: try chmod u+r {path}.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise ModelBroken(f"The model {path} cannot be read ({reason}): check the disk and the path.") from None
