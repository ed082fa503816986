"""Models of a few bytes, and libraries that have them."""

import hashlib
import json
import struct
from pathlib import Path

from offline_agent.app import library_of
from offline_agent.models import HeldFile, Holding, Kind
from offline_agent.settings import LibrarySettings, Settings

POCKET = Path(__file__).parents[2] / "models" / "pocket.gguf"


def safetensors(floats: int = 4) -> bytes:
    """A file with one tensor of zeros."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [floats], "data_offsets": [0, 4 * floats]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * floats)


def write_embedder(directory: Path, **more: bytes) -> Path:
    """What looks like a model for sentence-transformers; `more` files, with `_` for the dot in their names."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {
        "config.json": b'{"max_position_embeddings": 128}',
        "tokenizer.json": b"{}",
        "model.safetensors": safetensors(),
        **{name.replace("_", "."): content for name, content in more.items()},
    }
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


def admit(settings: Settings, name: str, kind: Kind, files: dict[str, bytes]) -> Holding:
    """Has the library hold these files."""
    library = library_of(settings)
    held = tuple(HeldFile(name=n, size=len(c), sha256=hashlib.sha256(c).hexdigest()) for n, c in files.items())
    holding = Holding(name=name, kind=kind, files=held, trust="first use", origin="a test", licence="MIT")
    with library.incoming(name) as directory:
        for file, content in files.items():
            (directory / file).write_bytes(content)
        library.admit(holding)
    return holding


def admit_pocket(settings: Settings, name: str) -> Holding:
    return admit(settings, name, "chat", {"pocket.gguf": POCKET.read_bytes()})


def listed_only(settings: Settings) -> Settings:
    """With a policy that allows listed models only."""
    library = LibrarySettings(listed_only=True)
    return settings.model_copy(update={"library": library, "policy": ("library.listed_only",)})


def named(settings: Settings, name: str = "pocket", path: Path | None = None) -> Settings:
    """With that language model."""
    return settings.model_copy(update={"model": settings.model.model_copy(update={"name": name, "path": path})})
