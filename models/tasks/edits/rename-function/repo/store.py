"""Records, one a line."""

from pathlib import Path


def load_all(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line]
