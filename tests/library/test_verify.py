import os
from collections.abc import Callable
from pathlib import Path

import pytest

from offline_agent.library.verify import verify
from tests.library.shelves import gguf, library_in, put

FILES = {"m-00001-of-00002.gguf": gguf(b"one"), "m-00002-of-00002.gguf": gguf(b"two"), "deep/licence.txt": b"MIT"}


def test_a_model_that_is_as_it_was_has_no_drift(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    kept = put(library, "m", FILES)
    told: list[tuple[int, int]] = []
    assert verify(library, kept, lambda done, total: told.append((done, total))) == []
    assert told == sorted(told)
    assert told[-1] == (kept.size, kept.size)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (flip, "another content"),
        (lambda path: os.truncate(path, 3), "3 bytes in place of 27"),
        (lambda path: path.unlink(), "is missing"),
        (pipe, "no regular file"),
        (link, "no regular file"),
        (lambda path: (path.unlink(), path.mkdir()), "no regular file"),
    ],
)
def test_every_drift_is_told_and_the_first_does_not_end_it(
    tmp_path: Path, damage: Callable[[Path], object], told: str
) -> None:
    library = library_in(tmp_path)
    kept = put(library, "m", FILES)
    directory = library.directory_of("m")
    damage(directory / "m-00001-of-00002.gguf")
    flip(directory / "deep" / "licence.txt")
    (directory / "deep" / "program.py").write_text("x")
    first, second, *added = verify(library, kept)
    assert first.file == "m-00001-of-00002.gguf"
    assert told in first.sentence
    assert second.file == "deep/licence.txt"
    assert "deep/program.py" in {drift.file for drift in added}
    assert all(drift.sentence.endswith(".") for drift in (first, second, *added))


def test_a_model_that_is_gone_altogether_is_all_drift(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    kept = put(library, "m", FILES)
    library.remove("m")
    assert [drift.file for drift in verify(library, kept)] == list(FILES)
