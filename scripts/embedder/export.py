"""Vectors -> a directory that the program and sentence-transformers read, its entry in the catalogue, and its card's figures."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from offline_agent.retrieval.static import TOKENIZER, UNKNOWN, WEIGHTS

NAME = "pocket-static"
_MODULES = [
    {"idx": 0, "name": "0", "path": "0_StaticEmbedding", "type": "sentence_transformers.models.StaticEmbedding"},
]
_ENTRY = re.compile(rf"(?ms)^\[embedders\.{NAME}\.sha256\]\n.*?(?=^\[|\Z)")


def export(table: NDArray[np.float32], tokenizer: Path, directory: Path) -> None:
    """Replaces the directory's files; the table in float16."""
    (directory / WEIGHTS).parent.mkdir(parents=True, exist_ok=True)
    rows = json.loads(tokenizer.read_text(encoding="utf-8"))
    rows["added_tokens"] = []  # or "[UNK]" in a text were one token
    values = table.copy()
    values[rows["model"]["vocab"][UNKNOWN]] = 0.0  # what is not known says nothing
    save_file({"embedding.weight": values.astype(np.float16)}, str(directory / WEIGHTS))
    (directory / TOKENIZER).write_text(
        json.dumps(rows, ensure_ascii=True, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    (directory / "modules.json").write_text(json.dumps(_MODULES, indent=2) + "\n", encoding="utf-8")


def hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of each of its files, by their relative paths."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix in {".json", ".safetensors"})
    return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def install(directory: Path, models: Path) -> None:
    """Copies the directory to `models` and writes the hashes of its files into the catalogue's entry."""
    pinned = hashes(directory)
    for name in pinned:
        target = models / NAME / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(".partial")
        shutil.copyfile(directory / name, temporary)
        temporary.replace(target)
    lines = "".join(f'"{name}" = "{digest}"\n' for name, digest in pinned.items())
    catalogue = models / "catalogue.toml"
    text = catalogue.read_text(encoding="utf-8")
    catalogue.write_text(_ENTRY.sub(lambda _: f"[embedders.{NAME}.sha256]\n{lines}", text), encoding="utf-8")
