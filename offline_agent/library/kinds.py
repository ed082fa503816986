"""Which files of a model are fetched, and what each begins with: what is no model is seen before gigabytes of it are fetched."""

import json
from pathlib import PurePosixPath

ENOUGH = 512
"""Bytes of a file's beginning that tell."""

_DATA = (".gguf", ".safetensors", ".json", ".txt", ".model", ".md", ".jinja")
"""Data alone. Pickles (*.bin, *.pt, *.ckpt) and *.py run as programs when they are loaded."""
_LONGEST_HEADER = 16_000_000  # bytes of JSON; what is longer is not admitted, and embedders have some kB


def is_data(name: str) -> bool:
    """Whether a file of that name is nothing but data."""
    return PurePosixPath(name.lower()).suffix in _DATA


def fault_of_start(name: str, start: bytes, content_type: str) -> str:
    """Why a file that begins with `start` is not what its name says, as the rest of a sentence; empty when it may be. `start` is
    `ENOUGH` bytes, or the whole file."""
    words = start.lstrip().lower()
    if content_type.partition(";")[0].strip().lower() == "text/html" or words.startswith((b"<!doctype", b"<html")):
        return "sends a web page in place of it; perhaps one to log in on"
    suffix = PurePosixPath(name.lower()).suffix
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        return "sends a note in place of it that says where it is (Git LFS)"
    if suffix == ".gguf" and not start.startswith(b"GGUF"):
        return "sends something that is no GGUF"
    if suffix == ".safetensors" and not _is_safetensors(start):
        return "sends something that is no safetensors file"
    if suffix == ".json" and not _may_be_json(start):
        return "sends something that is no JSON"
    return ""


def _is_safetensors(start: bytes) -> bool:
    """Eight bytes, little-endian, with the length of a JSON object that follows."""
    return 2 <= int.from_bytes(start[:8], "little") <= _LONGEST_HEADER and start[8:9] == b"{"


def _may_be_json(start: bytes) -> bool:
    if len(start) >= ENOUGH:
        return start.lstrip()[:1] in (b"{", b"[", b'"')
    try:
        json.loads(start)
    except (ValueError, RecursionError):
        return False
    return True
