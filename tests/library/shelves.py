"""A library for tests, and models to put into it."""

import hashlib
import struct
from pathlib import Path

from offline_agent.errors import EmbedderError, ModelBroken
from offline_agent.library.store import Library
from offline_agent.models import HeldFile, Holding, Kind, ModelCard, Source, SourceFile


def check(kind: Kind, path: Path) -> None:
    """That a chat model begins as a GGUF file does, and that another is a directory."""
    if kind != "chat":
        if not path.is_dir():
            raise EmbedderError(f"{path} is no directory.")
    elif path.read_bytes()[:4] != b"GGUF":
        raise ModelBroken(f"The model {path} is not a GGUF file.")


def library_in(root: Path) -> Library:
    return Library(root / "library", check)


def gguf(content: bytes = b"") -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", 3, 1, 1) + content


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def held(name: str, content: bytes) -> HeldFile:
    return HeldFile(name=name, size=len(content), sha256=sha256(content))


def holding(name: str, files: dict[str, bytes], kind: Kind = "chat") -> Holding:
    entries = tuple(held(file, content) for file, content in files.items())
    return Holding(name=name, kind=kind, files=entries, trust="first use", origin="a test")


def fill(quarantine: Path, files: dict[str, bytes]) -> None:
    for file, content in files.items():
        (quarantine / file).parent.mkdir(parents=True, exist_ok=True)
        (quarantine / file).write_bytes(content)


def put(library: Library, name: str, files: dict[str, bytes], kind: Kind = "chat") -> Holding:
    kept = holding(name, files, kind)
    with library.incoming(name) as quarantine:
        fill(quarantine, files)
        library.admit(kept)
    return kept


def card(name: str, file: str, content: bytes | None) -> ModelCard:
    """A card of one file; without a content its hash and size are not known."""
    pinned = (
        SourceFile(name=file) if content is None else SourceFile(name=file, size=len(content), sha256=sha256(content))
    )
    return ModelCard(name=name, licence="MIT", source=Source(repository="owner/name", revision="abc", files=(pinned,)))
