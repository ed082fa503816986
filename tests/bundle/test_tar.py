"""What other programs make of it: Python's tarfile, and tar itself."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.bundle.bootstrap.tar import BLOCK, END, describe, header_of, lay_out

from .made import CONTENTS, info, make

LONG = "models/n/" + "x" * 120
WIDE = "models/n/modèle 漢.gguf"


@given(st.from_regex(r"[a-z0-9._-]{1,40}(/[a-z0-9._-]{1,50})?", fullmatch=True), st.integers(0, 8**11 - 1))
def test_a_plain_header_is_the_one_of_tarfile(name: str, size: int) -> None:
    assert header_of(name, size) == info(name, size).tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize("name", ["a", "x" * 100, "x" * 101, LONG, WIDE, "é", "x" * 480, "a/" * 300 + "b"])
@pytest.mark.parametrize("size", [0, 8**11 - 1, 8**11, 2**43])
def test_tarfile_reads_any_name_and_size(name: str, size: int) -> None:
    header = header_of(name, size)
    assert len(header) % BLOCK == 0
    with tarfile.open(fileobj=io.BytesIO(header + END), mode="r:") as tar:
        found = tar.next()
    assert found is not None
    assert (found.name, found.size, found.isreg(), found.mode, found.mtime) == (name, size, True, 0o644, 0)


@given(st.lists(st.integers(0, 3000), max_size=8))
def test_entries_follow_one_another(sizes: list[int]) -> None:
    entries = list(lay_out((str(number), size) for number, size in enumerate(sizes)))
    at = 0
    for entry, size in zip(entries, sizes, strict=True):
        assert entry.at == at
        assert entry.stop - entry.start == size
        assert entry.end - entry.stop < BLOCK
        at = entry.end
    assert at % BLOCK == 0


@given(st.binary(max_size=600))
def test_any_block_can_be_described(block: bytes) -> None:
    kind, name, size = describe(block)
    assert kind
    assert isinstance(name, str)
    assert isinstance(size, int)


def test_tar_reads_a_bundle(tmp_path: Path) -> None:
    contents = {**CONTENTS, LONG: b"long", WIDE: b"wide" * 200}
    make(tmp_path / "b", contents)
    subprocess.run(["tar", "-xf", tmp_path / "b", "-C", tmp_path], check=True, capture_output=True)
    assert {name: (tmp_path / name).read_bytes() for name in contents} == contents
    listed = subprocess.run(["tar", "-tf", tmp_path / "b"], check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )
    assert listed[:3] == ["manifest.json", "manifest.sig", "install.pyz"]


def test_a_split_bundle_is_its_parts_one_after_the_other(tmp_path: Path) -> None:
    make(tmp_path / "whole")
    parts = make(tmp_path / "split", split=5000)
    assert len(parts) > 2
    assert b"".join(part.read_bytes() for part in parts) == (tmp_path / "whole").read_bytes()
