"""A model that lies somewhere on this machine, before anything was read of its content."""

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from offline_agent.library import hugging_face
from offline_agent.library.bring import shown
from offline_agent.models import Kind, SourceFile

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_BLOB = re.compile(r"sha256-(?P<sha256>[0-9a-f]{64})")
"""How Ollama names a file: by its hash."""


@dataclass(frozen=True)
class FoundFile:
    """A file of it: its name in the model, where it is, bytes, and the SHA-256 that the place claims for it, in hex, where it
    does. Paths need not be UTF-8."""

    name: str
    path: Path
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Found:
    """The model `name`, as whose it is calls it; `tool` is the program that keeps it, "" for a place of the person's own. `path` is
    what to name to import it. The first file is the one that is loaded. `fault` is a sentence that says why it cannot be had."""

    tool: str
    name: str
    path: Path
    kind: Kind
    files: tuple[FoundFile, ...]
    repository: str = ""
    revision: str = ""
    fault: str = ""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def origin(self) -> str:
        """Where it is, for people."""
        return f"{self.tool}: {self.name}" if self.tool else shown(self.path.absolute())


def file_at(name: str, path: Path) -> FoundFile:
    """The file at `path`, with the hash that its place claims for it. Raises OSError."""
    blob = _BLOB.fullmatch(path.name)
    return FoundFile(name, path, path.stat().st_size, blob["sha256"] if blob else hugging_face.hash_in_link(path))


def gguf_at(path: Path, tool: str = "", repository: str = "") -> Found:
    """The language model that `path` is a part of, or the whole. Raises OSError."""
    parts, missing = _parts_of(path)
    files = tuple(file_at(part.name, part) for part in parts)
    fault = (
        f"{shown(Path(missing))} is missing beside {shown(path)}: all parts of a model are needed." if missing else ""
    )
    if len(parts) > 1 and not is_name(parts[0].name):
        fault = fault or f"{shown(path)} is no name for a file of a model: rename all its parts."
    numbered = _PART.fullmatch(path.name)
    name = shown(Path(numbered["stem"] if numbered else path.stem))
    kept_in, revision = hugging_face.place_of(path)
    return Found(tool, name, parts[0] if parts else path, "chat", files, repository or kept_in, revision, fault)


def is_model_file(path: Path) -> bool:
    """Whether a file of that name is a language model by itself, or the first part of one. A projector for images is none."""
    part = _PART.fullmatch(path.name)
    first = part is None or int(part["number"]) == 1
    return path.name.lower().endswith(".gguf") and first and not path.name.lower().startswith("mmproj")


def is_name(text: str) -> bool:
    """Whether a file of a model can have that name in the library."""
    try:
        SourceFile(name=text)
    except ValidationError:
        return False
    return True


def _parts_of(path: Path) -> tuple[list[Path], str]:
    """All parts of a model, and the name of one that is missing."""
    part = _PART.fullmatch(path.name)
    if part is None:
        return [path], ""
    count = int(part["count"])
    names = (f"{part['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))
    parts: list[Path] = []
    for name in names:
        if not (path.parent / name).is_file():
            return parts, name
        parts.append(path.parent / name)
    return parts, ""
