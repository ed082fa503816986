"""What the library writes down of a model, beside its files: `holding.json`, a Holding."""

import os
from pathlib import Path

from pydantic import ValidationError

from offline_agent.errors import StorageError
from offline_agent.library.small import read_small
from offline_agent.models import Holding, SourceFile

HOLDING = "holding.json"

_LARGEST = 1 << 22
"""Bytes; ten thousand files take less."""
_MEND = "Import or pull it again, or remove it."


def read_holding(directory: Path) -> Holding:
    """What `directory`, which has the name of its model, says that it holds. Raises StorageError where that cannot be believed: no
    file of it may lie elsewhere."""
    try:
        holding = Holding.model_validate_json(read_small(directory / HOLDING, _LARGEST))
    except FileNotFoundError:
        raise StorageError(f"{directory} is no model: it has no {HOLDING}. {_MEND}") from None
    except OSError as error:
        raise StorageError(
            f"{directory / HOLDING} cannot be read ({error.strerror}). Check its owner and mode."
        ) from None
    except ValidationError:
        raise StorageError(f"{directory / HOLDING} is damaged. {_MEND}") from None
    if holding.name != directory.name or (fault := fault_of(holding)):
        fault = fault if holding.name == directory.name else f"it is that of {holding.name!a}"
        raise StorageError(f"{directory / HOLDING} cannot be used: {fault}. {_MEND}")
    return holding


def write_holding(directory: Path, holding: Holding) -> None:
    """Writes it down for good. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(directory / HOLDING, flags, 0o644), "wb") as file:
        file.write(holding.model_dump_json(indent=1).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def fault_of(holding: Holding) -> str:
    """Why these files cannot be a model's, in words; empty where they can."""
    names = [file.name for file in holding.files]
    if not names:
        return "it names no files"
    if len(set(names)) < len(names) or HOLDING in names:
        return "two files have the same name"
    for name in names:
        try:
            SourceFile(name=name)
        except ValidationError:
            return f"{name!a} is no path below the model's directory"
    return ""
