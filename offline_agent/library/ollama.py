"""Ollama's store, read only.

    manifests/HOST/NAMESPACE/MODEL/TAG      JSON: a list of layers, one of them the model
    blobs/sha256-HEX                        a layer; its name is its hash

    {"schemaVersion": 2, "layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:HEX", "size": 1}, ...]}

Source: ollama's manifest/paths.go, manifest/manifest.go, server/images.go and types/model/name.go.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from offline_agent.library.bring import shown
from offline_agent.library.found import Found, FoundFile
from offline_agent.library.small import read_small

_MODEL = "application/vnd.ollama.image.model"
_BESIDES = {"application/vnd.ollama.image.adapter": "an adapter"}
_HOST, _NAMESPACE = "registry.ollama.ai", "library"
_LARGEST = 1 << 20


class _Layer(BaseModel):
    media: str = Field(alias="mediaType")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    size: int = Field(ge=0)


class _Manifest(BaseModel):
    layers: tuple[_Layer, ...] = ()


def is_store(directory: Path) -> bool:
    return (directory / "manifests").is_dir() and (directory / "blobs").is_dir()


def manifests_in(root: Path) -> Iterator[Found]:
    """The language models of the store, by name. What cannot be read is not there."""
    with suppress(OSError):
        for path in sorted((root / "manifests").glob("*/*/*/*")):
            if (found := manifest_at(path)) is not None:
                yield found


def manifest_at(path: Path) -> Found | None:
    """The model of a manifest; None where it is no manifest of a store, or of no single GGUF file."""
    if len(path.parents) < 5 or path.parents[3].name != "manifests" or not is_store(path.parents[4]):
        return None
    try:
        layers = _Manifest.model_validate_json(read_small(path, _LARGEST)).layers
    except (OSError, ValidationError):
        return None
    models = [layer for layer in layers if layer.media == _MODEL]
    if len(models) != 1:  # newer models of it lie in one layer for each tensor
        return None
    blob = path.parents[4] / "blobs" / models[0].digest.replace(":", "-")
    weights = FoundFile(_file_name(path), blob, models[0].size, models[0].digest.removeprefix("sha256:"))
    return Found("Ollama", _name_of(path), path, "chat", (weights,), fault=_fault_of(blob, layers))


def _name_of(path: Path) -> str:
    """As `ollama list` has it: without host and namespace where they are the usual ones."""
    host, namespace, model, tag = path.parts[-4:]
    usual = (host, namespace) == (_HOST, _NAMESPACE)
    shortened = model if usual else f"{namespace}/{model}" if host == _HOST else f"{host}/{namespace}/{model}"
    return shown(Path(f"{shortened}:{tag}"))


def _file_name(path: Path) -> str:
    return f"{path.parts[-2]}-{path.parts[-1]}.gguf"


def _fault_of(blob: Path, layers: tuple[_Layer, ...]) -> str:
    if extra := [_BESIDES[layer.media] for layer in layers if layer.media in _BESIDES]:
        return f"It needs {extra[0]} besides its weights, which cannot be used here."
    with suppress(OSError):
        if blob.is_file():
            return ""
    return f"Its weights, {shown(blob)}, are not there: pull it again with Ollama."
