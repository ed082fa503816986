"""A repository to measure on: real source files that every Python has, copied into a scratch directory."""

import shutil
import sysconfig
from pathlib import Path


def make_repository(directory: Path, files: int = 300) -> Path:
    """About `files` modules of the standard library, 2 to 60 kB each, always the same ones; returns the repository's root."""
    library = Path(sysconfig.get_path("stdlib"))
    sources = [path for path in sorted(library.rglob("*.py")) if _suitable(path.relative_to(library))]
    root = directory / "repository"
    for source in sources[:: max(1, len(sources) // files)][:files]:
        target = root / source.relative_to(library)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    (root / ".git").mkdir()
    return root


def _suitable(path: Path) -> bool:
    skipped = {"site-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__", "encodings"}
    return not skipped & set(path.parts)
