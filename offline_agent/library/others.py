"""Where models lie on this machine: at a path that a person names, and in what other programs keep.

    Ollama          $OLLAMA_MODELS, ~/.ollama/models, and where its service on Linux has them
    LM Studio       MODELS/PUBLISHER/REPOSITORY/FILE.gguf; MODELS is in its settings, else ~/.lmstudio/models
    Hugging Face    $HF_HUB_CACHE, $HF_HOME/hub, ~/.cache/huggingface/hub

Only names and sizes are looked at, and what is small and says what the rest is. What cannot be read, or vanishes, is not there; a
link that leads back is followed once.

Sources: Ollama's envconfig/config.go and its Linux service; LM Studio's documentation, "Import Models", its home pointer and
settings.json as other programs read them; huggingface_hub's constants.py.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from offline_agent.errors import ModelMissing, StorageError, UsageError
from offline_agent.library import hugging_face, ollama
from offline_agent.library.bring import shown
from offline_agent.library.found import Found, gguf_at, is_model_file
from offline_agent.library.sentences import embedder_at, is_embedder
from offline_agent.library.small import read_small

_OLLAMA, _LM_STUDIO, _HUGGING_FACE = "Ollama", "LM Studio", "Hugging Face"
_OLLAMA_SERVICE = Path("usr/share/ollama/.ollama/models")
_DEEPEST = 8
"""Directories below the one that was named."""
_REPOSITORY_PART = re.compile(r"[\w.-]+")
_LARGEST = 1 << 20


def found_at(path: Path) -> list[Found]:
    """The models at `path`: a file or part of one, a directory with some below, a model for sentence-transformers, a manifest of
    Ollama, or the place where a program keeps its models. Raises ModelMissing, StorageError, and UsageError where there are none.
    """
    try:
        found = list(_at(path))
    except (FileNotFoundError, NotADirectoryError):
        raise ModelMissing(
            f"There is nothing at {shown(path)}. Check the path, and that its disk is mounted."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise StorageError(
            f"{shown(path)} cannot be read ({reason}). Check that you may, and that it is all there."
        ) from None
    if not found:
        raise UsageError(
            f"There is no model in {shown(path)}: neither *.gguf files nor safetensors with a config.json."
        )
    return found


def find_others(home: Path, environ: Mapping[str, str], root: Path = Path("/")) -> list[Found]:
    """What other programs of the person keep, program by program, by name. `home` is theirs, `environ` the environment, `root`
    where the system's directories are."""
    found: list[Found] = []
    for directory in _places(_ollama_places(home, environ, root)):
        found += ollama.manifests_in(directory)
    for directory in _places(_lm_studio_places(home)):
        found += _lm_studio(directory)
    for directory in _places(_hugging_face_places(home, environ)):
        found += _hugging_face(directory)
    return found


def _at(path: Path) -> Iterator[Found]:
    path.stat()  # raises for what is not there
    if path.is_file():
        yield ollama.manifest_at(path) or gguf_at(path)
        return
    if not path.is_dir():
        raise StorageError(f"{shown(path)} is not a regular file or directory. Name a file with a model.")
    store = next((store for store in (path, path / "models") if ollama.is_store(store)), None)
    if store:
        yield from ollama.manifests_in(store)
    elif hugging_face.is_cache(path) or hugging_face.is_repository(path):
        yield from _hugging_face(path)
    else:
        os.listdir(path)  # raises for what may not be read; below it, such is left out
        yield from _below(path)


def _below(directory: Path, tool: str = "", repositories_of: Path | None = None) -> Iterator[Found]:
    """The models in the directory and below. In `repositories_of`, a path begins with the publisher and name of a repository."""
    embedders: list[Path] = []
    for place in _directories(directory):
        if any(place.is_relative_to(embedder) for embedder in embedders):
            continue  # its modules lie there
        with suppress(OSError):
            repository = _repository(place, repositories_of)
            if is_embedder(place):
                embedders.append(place)
                yield embedder_at(place, tool, repository)
            paths = [path for path in sorted(place.iterdir()) if is_model_file(path) and path.is_file()]
            yield from (gguf_at(path, tool, repository) for path in paths)


def _directories(directory: Path) -> Iterator[Path]:
    """The directory and those below, each once wherever links lead; hidden ones are other programs' own."""
    waiting, seen = [(directory, 0)], set()
    while waiting:
        place, depth = waiting.pop()
        with suppress(OSError):
            status = place.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            below = [path for path in sorted(place.iterdir(), reverse=True) if not path.name.startswith(".")]
            if depth < _DEEPEST:
                waiting += [(path, depth + 1) for path in below if path.is_dir()]
            yield place


def _hugging_face(directory: Path) -> Iterator[Found]:
    """The models of the cache, or of one repository in it; of a file that several revisions share, the first."""
    with suppress(OSError):
        inside = [directory] if hugging_face.is_repository(directory) else sorted(directory.iterdir())
        for repository in filter(hugging_face.is_repository, inside):
            seen: set[Path] = set()
            for snapshot in hugging_face.snapshots_of(repository):
                for found in _below(snapshot, _HUGGING_FACE):
                    files = {file.path.resolve() for file in found.files}
                    if found.fault or not files <= seen:
                        yield found
                    seen |= files


def _lm_studio(models: Path) -> Iterator[Found]:
    yield from _below(models, _LM_STUDIO, models)


def _repository(place: Path, models: Path | None) -> str:
    parts = place.relative_to(models).parts if models else ()
    named = len(parts) == 2 and all(_REPOSITORY_PART.fullmatch(part) for part in parts)
    return "/".join(parts) if named else ""


# --- where each program keeps them -----------------------------------------------------------------------------------


def _places(candidates: Iterable[Path]) -> list[Path]:
    """Those that are there, each once."""
    there: dict[Path, Path] = {}
    for path in candidates:
        with suppress(OSError, ValueError):
            if path.is_dir():
                there.setdefault(path.resolve(), path)
    return list(there.values())


def _ollama_places(home: Path, environ: Mapping[str, str], root: Path) -> Iterator[Path]:
    if named := environ.get("OLLAMA_MODELS"):
        yield Path(named)
    yield home / ".ollama" / "models"
    yield root / _OLLAMA_SERVICE


def _lm_studio_places(home: Path) -> Iterator[Path]:
    bases = [home / ".lmstudio", home / ".cache" / "lm-studio"]
    with suppress(OSError, UnicodeDecodeError):
        bases.insert(0, home / read_small(home / ".lmstudio-home-pointer", _LARGEST).decode().strip())
    for base in bases:
        yield from (home / folder for folder in _downloads_folder(base / "settings.json"))
        yield base / "models"


def _downloads_folder(path: Path) -> list[str]:
    with suppress(OSError, ValueError, RecursionError):
        settings = json.loads(read_small(path, _LARGEST))
        folder = settings.get("downloadsFolder") if isinstance(settings, dict) else None
        return [folder] if isinstance(folder, str) else []
    return []


def _hugging_face_places(home: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    base = environ.get("HF_HOME") or str(Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "huggingface")
    named = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE") or f"{base}/hub"
    yield home / named.removeprefix("~/")
