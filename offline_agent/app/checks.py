"""What a model has to look like before the library admits it. Only headers are read, and nothing of the model is run.

    a language model          a GGUF that llama.cpp can load, by its header
    an embedder, a reranker   a sentence-transformers directory: JSON, tokenizer and safetensors

A safetensors file begins:  length of the header (u64, little-endian) | header, JSON | the tensors, without a gap
(https://huggingface.co/docs/safetensors). It can hold nothing but numbers; a pickle, which the older forms are, runs code when
it is opened, and so does a Python file that the configuration names.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from offline_agent.errors import EmbedderError
from offline_agent.models import Kind

_CONFIGURATION, _TOKENIZER = "config.json", "tokenizer.json"
_WEIGHTS = ".safetensors"
_RUN = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".h5", ".py", ".so", ".dll"})
"""Endings of files that are code, or run code when they are opened."""
_LENGTH = struct.Struct("<Q")
_LONGEST = 16_000_000
"""Bytes of a header. The format allows 100 MB, and a hostile one of 90 MB took 2.3 GB to read; those of embedders have some kB."""
_LARGEST_JSON = 64_000_000  # bytes; tokenizers of 250,000 words have thirty
_READ_JSON = 16_000_000
"""Bytes of JSON that is read, for the same reason. What is longer can be a tokenizer alone; its hash tells whether it is whole."""


def check_model(kind: Kind, path: Path) -> None:
    """Raises ModelBroken for a GGUF at `path` that cannot be loaded, or EmbedderError for a directory that is no model."""
    if kind == "chat":
        from offline_agent.llm.header import read_header

        read_header(path)
    else:
        _check_directory(kind, path)


def _check_directory(kind: Kind, directory: Path) -> None:
    """Raises EmbedderError where it holds no model for sentence-transformers that can be opened without running code."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    for path in files:
        if path.suffix.lower() in _RUN:
            raise EmbedderError(
                f"{_within(path, directory)} can run code when it is opened, so the model is not taken. "
                "Choose one whose weights are safetensors."
            )
    weights = [path for path in files if path.name.lower().endswith(_WEIGHTS)]
    if not weights:
        raise EmbedderError(
            f"{directory} has no weights (*{_WEIGHTS}). Name a directory of a sentence-transformers model."
        )
    if kind == "embedding" and not any(path.name == _TOKENIZER for path in files):
        raise EmbedderError(f"{directory} has no {_TOKENIZER}. Name a directory of a sentence-transformers model.")
    for path in files:
        fault = _fault_of_weights(path) if path in weights else _fault_of_json(path) if path.suffix == ".json" else ""
        if fault:
            raise EmbedderError(f"{_within(path, directory)} cannot be used: {fault}. Fetch or copy the model again.")


def _within(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory))


def _fault_of_json(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > (_LARGEST_JSON if path.name == _TOKENIZER else _READ_JSON):
            return "it is too large for JSON of a model"
        if size > _READ_JSON:
            return ""
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except (ValueError, RecursionError):
        return "it is no JSON"
    mapped = values.get("auto_map") if path.name == _CONFIGURATION and isinstance(values, dict) else None
    return "its configuration wants Python code to be run [auto_map]" if mapped else ""


def _fault_of_weights(path: Path) -> str:
    """In words; empty where header and length fit together."""
    try:
        with path.open("rb") as file:
            start = file.read(_LENGTH.size)
            length = _LENGTH.unpack(start)[0] if len(start) == _LENGTH.size else 0
            if not 0 < length <= _LONGEST:
                return "it has no safetensors header"
            header = json.loads(file.read(length))
            ends = [0, *_ends(header)]
            size = path.stat().st_size
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "its header is damaged"
    expected = _LENGTH.size + length + max(ends)
    return "" if size == expected else f"it has {size} bytes where its header says {expected}"


def _ends(header: Any) -> Iterator[int]:
    """Where each tensor ends, in bytes behind the header. Raises ValueError, KeyError or TypeError for what is no header."""
    if not isinstance(header, dict):
        raise TypeError
    for name, tensor in header.items():
        if name != "__metadata__":
            begin, end = tensor["data_offsets"]
            if not (isinstance(begin, int) and isinstance(end, int) and 0 <= begin <= end):
                raise ValueError(name)
            yield end
