"""A store as comma separated values."""

from pathlib import Path

import store


def export(path: Path) -> str:
    return ",".join(store.read_records(path))
