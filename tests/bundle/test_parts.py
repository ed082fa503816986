import hashlib
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.bootstrap.parts import open_parts, part_names
from offline_agent.errors import BundleBroken, BundleError

from .made import KEY, make


def split(directory: Path, *contents: bytes, name: str = "b") -> list[Path]:
    """Files that are named as the parts of one bundle."""
    paths = [directory / part for part in part_names(name, len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def test_names() -> None:
    assert part_names("b.tar", 3) == ["b.tar.001-of-003", "b.tar.002-of-003", "b.tar.003-of-003"]
    assert part_names("b.tar", 1) == ["b.tar"]


@given(st.binary(max_size=60), st.integers(1, 20), st.data())
def test_parts_are_one_stream(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, size: int, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("parts")
    pieces = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    paths = split(directory, *pieces)
    given_path = data.draw(st.sampled_from([directory / "b", *paths]))
    with open_parts(given_path) as parts:
        assert parts.size == len(content)
        assert io.BufferedReader(parts, 7).read() == content  # type: ignore[type-var]
    with open_parts(given_path) as parts:
        for _ in range(3):
            at = data.draw(st.integers(0, len(content)))
            assert parts.seek(at) == at == parts.tell()
            assert parts.readall() == content[at:]


def test_a_whole_bundle_is_one_part(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"whole")
    split(tmp_path, b"ot", b"her")
    with open_parts(tmp_path / "b") as parts:
        assert parts.readall() == b"whole"
        assert parts.names_of(0, 5) == ""
        assert parts.short_parts() == ""


def test_which_part_a_byte_is_in(tmp_path: Path) -> None:
    split(tmp_path, b"0123", b"4567", b"89")
    with open_parts(tmp_path / "b") as parts:
        assert parts.names_of(0, 4) == "b.001-of-003"
        assert parts.names_of(4, 5) == "b.002-of-003"
        assert parts.names_of(3, 9) == "b.001-of-003 or b.002-of-003 or b.003-of-003"
        assert parts.names_of(9, 9) == "b.003-of-003"
        assert parts.names_of(50, 60) == "b.003-of-003"
        assert parts.short_parts() == "b.003-of-003"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_missing_part_is_named(tmp_path: Path, number: int) -> None:
    paths = split(tmp_path, b"0123", b"4567", b"89")
    paths.pop(number - 1).unlink()
    for path in (tmp_path / "b", *paths):
        with pytest.raises(BundleBroken, match=rf"b\.00{number}-of-003 is missing"):
            open_parts(path)


def test_many_missing_parts_are_counted(tmp_path: Path) -> None:
    (tmp_path / "b.001-of-009").touch()
    with pytest.raises(BundleBroken, match=r"b\.006-of-009 and 3 more is missing"):
        open_parts(tmp_path / "b")


@pytest.mark.parametrize(
    ("contents", "number"),
    [
        ((b"012", b"4567", b"4567", b"8"), 1),
        ((b"0123", b"", b"4567", b"8"), 2),
        ((b"0123", b"45678", b"4567", b"8"), 2),
        ((b"0123", b"4567", b"4567", b"89012"), 4),
        ((b"012", b"4567"), 1),
    ],
)
def test_a_part_of_another_size_is_named(tmp_path: Path, contents: tuple[bytes, ...], number: int) -> None:
    split(tmp_path, *contents)
    with pytest.raises(BundleBroken, match=rf"^b\.00{number}-of-00{len(contents)} has"):
        open_parts(tmp_path / "b")


def test_nothing_there(tmp_path: Path) -> None:
    for path in (tmp_path / "b", tmp_path / "none" / "b", tmp_path / "b.000-of-000", tmp_path / "b.001-of-001"):
        with pytest.raises(BundleError, match=r"no bundle|missing"):
            open_parts(path)


def test_parts_of_two_bundles_of_one_name(tmp_path: Path) -> None:
    split(tmp_path, b"01", b"2")
    split(tmp_path, b"01", b"23", b"4")
    with pytest.raises(BundleError, match=r"Say which: b\.001-of-002 or b\.001-of-003"):
        open_parts(tmp_path / "b")
    with open_parts(tmp_path / "b.001-of-002") as parts:
        assert parts.readall() == b"012"


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("pipe", "directory"):
        with pytest.raises(BundleError, match="is no file"):
            open_parts(tmp_path / name)
    with pytest.raises(Exception, match="cannot be read"):
        open_parts(tmp_path / "loop")


# --- bundles in parts --------------------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """A bundle of four parts, the second and third with nothing but a model in them."""
    made = make(tmp_path / "b", {"m.gguf": hashlib.shake_128(b"m").digest(20_480), "n": b"n"}, split=7168)
    assert len(made) == 4
    return list(made)


def check(path: Path) -> None:
    with Bundle.open(path, KEY) as bundle:
        bundle.check()


def test_a_bundle_in_parts(parts: list[Path]) -> None:
    for path in (parts[0].with_name("b"), *parts):
        check(path)


def test_a_truncated_last_part_is_named(parts: list[Path]) -> None:
    os.truncate(parts[-1], 10)
    with pytest.raises(BundleBroken, match=r"^b\.004-of-004 is cut short: the bundle ends in"):
        check(parts[0])


def test_of_two_parts_either_may_be_the_one_that_is_short(tmp_path: Path) -> None:
    first, second = make(tmp_path / "b", {"m": bytes(10_000)}, split=8000)
    os.truncate(second, 10)
    with pytest.raises(BundleBroken, match=r"^b\.001-of-002 or b\.002-of-002 is cut short: the bundle ends in m"):
        check(first)


def test_a_damaged_part_is_named(parts: list[Path]) -> None:
    data = bytearray(parts[2].read_bytes())
    data[3000] ^= 1
    parts[2].write_bytes(data)
    with pytest.raises(BundleBroken, match=r"^b\.003-of-004 is damaged: m\.gguf is not as it was signed"):
        check(parts[0])


def test_a_doubled_part_is_named(parts: list[Path]) -> None:
    parts[2].write_bytes(parts[1].read_bytes())
    with pytest.raises(BundleBroken, match=r"b\.003-of-004"):
        check(parts[0])


def test_a_part_of_another_bundle_is_named(parts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    others = make(
        tmp_path / "other" / "b", {"m.gguf": hashlib.shake_128(b"other").digest(20_480), "n": b"n"}, split=7168
    )
    parts[1].write_bytes(others[1].read_bytes())
    with pytest.raises(BundleBroken, match=r"b\.002-of-004"):
        check(parts[0])


def test_parts_in_the_wrong_order_are_found(parts: list[Path]) -> None:
    second, third = parts[1].read_bytes(), parts[2].read_bytes()
    parts[1].write_bytes(third)
    parts[2].write_bytes(second)
    with pytest.raises(BundleBroken, match=r"b\.002-of-004"):
        check(parts[0])
