"""Docstrings and comments with the code they were taken out of."""

import re
from collections.abc import Iterator
from pathlib import Path

from offline_agent.types import Chunk

from . import cut
from .git import Clone, batches
from .sources import Package, forbidden, is_test

FEWEST_WORDS = 4
_LONGEST = 1_500  # characters of a docstring or message; what comes after is parameters and examples
_LARGEST_FILE = 200_000


def first_paragraph(words: str) -> str:
    return " ".join(re.split(r"\n\s*\n", words.strip(), maxsplit=1)[0].split())


def queries(words: str) -> list[str]:
    """What somebody could ask for: the first paragraph, and the whole."""
    first = first_paragraph(words)
    if len(re.findall(r"[A-Za-z]{2,}", first)) < FEWEST_WORDS:
        return []
    return [first[:_LONGEST]] + ([words[:_LONGEST]] if len(words) > 1.3 * len(first) else [])


def of_text(path: str, text: str) -> Iterator[tuple[list[str], tuple[Chunk, ...]]]:
    if is_test(path) or len(text) > _LARGEST_FILE:
        return
    for one in cut.described(path, text)[0]:
        asked = queries(one.words)
        if asked:
            yield asked, one.chunks


def of_package(package: Package) -> Iterator[tuple[list[str], tuple[Chunk, ...]]]:
    for file in package.files:
        text = _read(file)
        if text is not None:
            yield from of_text(file.relative_to(package.root).as_posix(), text)


def of_clone(clone: Clone, most_files: int) -> Iterator[tuple[list[str], tuple[Chunk, ...]]]:
    """From the newest commit."""
    files = {path: blob for path, blob in clone.files("HEAD").items() if cut.known(path) and not forbidden(path)}
    chosen = sorted(files)[:: max(1, len(files) // most_files)]
    for some in batches(chosen, 200):
        texts = clone.texts(files[path] for path in some)
        for path in some:
            if files[path] in texts:
                yield from of_text(path, texts[files[path]])


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
