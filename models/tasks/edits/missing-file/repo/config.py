"""The configuration: a JSON file over defaults."""

import json
from pathlib import Path
from typing import Any

DEFAULTS: dict[str, Any] = {"port": 8080, "debug": False}


def load_config(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text())
    return {**DEFAULTS, **values}
