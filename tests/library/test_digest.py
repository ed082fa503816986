import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.library.digest import PIECE, copy_open, hash_file


@settings(max_examples=25)
@given(st.one_of(st.integers(0, 3), st.integers(PIECE - 2, PIECE + 2), st.just(3 * PIECE)), st.binary(max_size=8))
def test_files_of_any_length_are_hashed_and_copied(
    tmp_path_factory: pytest.TempPathFactory, length: int, end: bytes
) -> None:
    root = tmp_path_factory.mktemp("digest")
    content = bytes(range(256)) * (length // 256) + bytes(length % 256) + end
    (root / "a").write_bytes(content)
    pieces: list[int] = []
    expected = hashlib.sha256(content).hexdigest()
    assert hash_file(root / "a", pieces.append) == expected
    assert sum(pieces) == len(content)
    with io.FileIO(root / "a") as source, io.FileIO(root / "b", "xb") as target:
        assert copy_open(source, target) == expected
    assert (root / "b").read_bytes() == content


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        os.truncate(file.fileno(), 256 << 20)
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from offline_agent.library.digest import hash_file\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "hash_file(Path(sys.argv[1]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "large")], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) < 16_384  # KiB


def test_what_is_not_there_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hash_file(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        hash_file(tmp_path)
