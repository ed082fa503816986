"""A model for sentence-transformers in a directory: which of its files are the model, and whether it is only data.

    modules.json        its modules in order: their directories and types; without it, the directory is a plain transformer
    config.json         what kind of transformer
    *.safetensors       weights

A pickle (*.bin, *.pt) runs code when it is loaded, and `auto_map` names code that comes with the model. Nothing of that gets in. A
pickle is left out where the same weights lie beside it as safetensors, which is what published models have.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from offline_agent.library import hugging_face
from offline_agent.library.bring import shown
from offline_agent.library.found import Found, file_at, is_name
from offline_agent.library.record import HOLDING
from offline_agent.library.small import read_small
from offline_agent.library.tree import listed
from offline_agent.models import Kind

_MODULES, _CONFIG = "modules.json", "config.json"
_WEIGHTS = ".safetensors"
_DATA = (".json", ".txt", ".model", ".jinja", _WEIGHTS)
_LICENCES = ("LICENSE", "LICENCE", "NOTICE")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
_TYPES = "sentence_transformers."
_CLASSIFIER = "ForSequenceClassification"
"""How the class of a reranker's weights ends: it gives a score, not a vector."""
_WRITERS = ("ForCausalLM", "ForConditionalGeneration")
"""How that of a language model ends; some make vectors too, and then have a modules.json."""
_LARGEST = 1 << 24
"""Bytes of a JSON file that is read; configurations are. Tokenizers, which are larger, are not."""


def is_embedder(directory: Path) -> bool:
    """Whether the directory looks like a model for sentence-transformers."""
    if (directory / _MODULES).is_file():
        return True
    return (directory / _CONFIG).is_file() and any(_suffix(path) in (_WEIGHTS, *_PICKLES) for path in _files(directory))


def embedder_at(directory: Path, tool: str = "", repository: str = "") -> Found:
    """The model in the directory. Raises OSError."""
    kept_in, revision = hugging_face.place_of(directory)
    repository = repository or kept_in
    name = repository or shown(Path(directory.absolute().name))
    try:
        inside = [directory, *(directory / step for step in _steps(directory))]
        fault = next(filter(None, map(_fault_of, inside)), "")
        paths = [path for place in inside for path in _files(place) if _is_data(path)]
        kind = _kind_of(directory)
    except ValueError as error:
        fault, paths, kind = f"{shown(directory)} is no model that can be used: {error}.", [], "embedding"
    names = [str(path.relative_to(directory)) for path in paths]
    if unusable := [text for text in names if not is_name(text)]:
        fault = fault or f"{unusable[0]!a} is no name for a file of a model: rename it."
    if not fault and not any(_suffix(path) == _WEIGHTS for path in paths):
        fault = f"{shown(directory)} has no weights as safetensors: fetch the model in that form."
    files = tuple(file_at(text, path) for text, path in zip(names, paths, strict=True))
    return Found(tool, name, directory, kind, files, repository, revision, fault)


def _fault_of(place: Path) -> str:
    """What in one directory of a model would run when it is loaded, as a sentence."""
    suffixes = {_suffix(path): path for path in _files(place)}
    pickle = next((suffixes[suffix] for suffix in _PICKLES if suffix in suffixes), None)
    if ".py" in suffixes:
        return f"{shown(suffixes['.py'])} is a program that comes with the model: only models that are data get in."
    if pickle and _WEIGHTS not in suffixes:
        return f"{shown(pickle)} is a pickle, which can run anything when it is loaded: fetch the model as safetensors."
    for path in _files(place):
        if path.name.endswith("config.json") and "auto_map" in _object_in(path):
            return f"{shown(path)} wants code that comes with the model (auto_map): only models that are data get in."
    return ""


def _steps(directory: Path) -> Iterator[str]:
    """The directories that modules.json names. Raises ValueError for a module that is not of sentence-transformers itself."""
    modules = _read(directory / _MODULES) if (directory / _MODULES).is_file() else []
    for module in modules if isinstance(modules, list) else [None]:
        step, kind = (module.get("path"), module.get("type")) if isinstance(module, dict) else (None, None)
        if not isinstance(step, str) or not isinstance(kind, str) or (step and not is_name(step)):
            raise ValueError(f"{_MODULES} is not understood")
        if not kind.startswith(_TYPES):
            raise ValueError(f"its module {kind!a} is not of sentence-transformers, but a program that comes with it")
        if step:
            yield step


def _kind_of(directory: Path) -> Kind:
    """Raises ValueError for a language model."""
    if (directory / _MODULES).is_file():
        return "embedding"
    listed = _object_in(directory / _CONFIG).get("architectures")
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    if any(name.endswith(_WRITERS) for name in names):
        raise ValueError("it is a language model, and those are run from GGUF files")
    return "reranking" if any(name.endswith(_CLASSIFIER) for name in names) else "embedding"


def _is_data(path: Path) -> bool:
    if path.name == HOLDING:  # of another library
        return False
    return _suffix(path) in _DATA or path.name.upper().startswith(_LICENCES)


def _files(directory: Path) -> list[Path]:
    """None where the directory is missing: a module without parameters has nothing in it, and copies leave it out."""
    return [path for path in listed(directory) if path.is_file() and not path.name.startswith(".")]


def _suffix(path: Path) -> str:
    return path.suffix.lower()


def _object_in(path: Path) -> dict[str, Any]:
    """The object that the file is, empty where it is something else. Raises ValueError."""
    value = _read(path)
    return value if isinstance(value, dict) else {}


def _read(path: Path) -> Any:
    """Raises ValueError for what cannot be read, or is no JSON."""
    try:
        return json.loads(read_small(path, _LARGEST))
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path.name} is no JSON") from None
