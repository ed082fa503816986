"""JSON lines that a person may have written by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def read_lines(file: Path, fields: Sequence[str]) -> list[dict[str, Any]]:
    """The objects of a file, each with all of `fields`. Raises SystemExit naming file and line where that is not so."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"{file} cannot be read: {error}") from None
    numbered = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [_object(line, f"{file}:{number}", fields) for number, line in numbered]


def _object(line: str, where: str, fields: Sequence[str]) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise SystemExit(f"{where} is not JSON: {error}") from None
    missing = [field for field in fields if field not in value] if isinstance(value, dict) else list(fields)
    if missing:
        raise SystemExit(f"{where} lacks {', '.join(missing)}.")
    assert isinstance(value, dict)
    return value
