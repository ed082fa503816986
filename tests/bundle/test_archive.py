"""Opening, checking and reading; extraction is in test_extract.py, what attackers make in test_hostile.py."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.bootstrap.manifest import Manifest
from offline_agent.bundle.bootstrap.names import fault_among, fault_of
from offline_agent.bundle.bootstrap.parts import open_parts
from offline_agent.bundle.keys import public_of
from offline_agent.errors import BundleBroken, BundleError, BundleUntrusted

from .made import CONTENTS, KEY, STRETCH, make, manifest_of

SMALL = {"a": b"b"}
NAMES = st.lists(
    st.text("aé漢b.-/", min_size=1, max_size=12) | st.text("ab", min_size=90, max_size=120), unique=True, max_size=5
).filter(lambda names: not any(map(fault_of, names)) and not fault_among(names))


def signed_bytes(whole: bytes) -> int:
    """Where manifest and signature end."""
    return whole.index(b"a\0", 1024)


def opened_manifest(path: Path) -> tuple[Manifest, int]:
    with Bundle.open(path, KEY) as bundle:
        return bundle.manifest, len(bundle.manifest.to_bytes())


def check(path: Path) -> None:
    with Bundle.open(path, KEY) as bundle:
        bundle.check()


@given(NAMES, st.data())
@settings(max_examples=30)
def test_contents_come_back(tmp_path_factory: pytest.TempPathFactory, names: list[str], data: st.DataObject) -> None:
    directory = tmp_path_factory.mktemp("bundle")
    sizes = st.integers(0, 3) | st.sampled_from([511, 512, 513, 4096, 4097, 9000])
    contents = {name: os.urandom(data.draw(sizes)) for name in names}
    make(directory / "b", contents, split=data.draw(st.none() | st.integers(2000, 9000)))
    with Bundle.open(directory / "b", KEY) as bundle:
        bundle.check()
        assert {name: bundle.read(name) for name in names} == contents
        place = directory / "place"
        place.mkdir()
        paths = bundle.extract(place, lambda name: True)
    assert {path.relative_to(place).as_posix(): path.read_bytes() for path in paths} == contents


def test_the_manifest_is_what_was_written(tmp_path: Path) -> None:
    make(tmp_path / "b")
    given_manifest = manifest_of(CONTENTS)
    with Bundle.open(tmp_path / "b", KEY) as bundle:
        found = bundle.manifest
        assert bundle.size == (tmp_path / "b").stat().st_size
        assert bundle.size_of(lambda name: name.startswith("models/")) == len(CONTENTS["models/tiny/tiny.gguf"])
    assert [member.name for member in found.members] == list(CONTENTS)
    assert [member.sha256 for member in found.members] == [member.sha256 for member in given_manifest.members]
    assert found.platforms == given_manifest.platforms


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    make(tmp_path / "b")
    seen: list[int] = []
    with Bundle.open(tmp_path / "b", KEY) as bundle:
        bundle.check(seen.append)
        assert sum(seen) == bundle.size_of(lambda name: True) == sum(map(len, CONTENTS.values()))


def test_one_member_is_read(tmp_path: Path) -> None:
    make(tmp_path / "b")
    with Bundle.open(tmp_path / "b", KEY) as bundle:
        assert bundle.read("install.pyz") == CONTENTS["install.pyz"]
        assert bundle.read("wheels/a-1.0-py3-none-any.whl") == b""
        for name, most in (("none", 100), ("manifest.json", 10_000), ("install.pyz", 3)):
            with pytest.raises(BundleError, match=f"no {name}"):
                bundle.read(name, most)


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    make(tmp_path / "b")
    old = public_of(bytes(32), "last year")
    with pytest.raises(BundleUntrusted, match=rf"signed by the key {KEY.id}, .*{old.id}"):
        Bundle.open(tmp_path / "b", old)


def reopened(path: Path, manifest: Manifest, size: int) -> None:
    """As `check`, for who has verified the manifest: the signature is what takes time, and it does not see what follows it."""
    with open_parts(path) as parts:
        Bundle(path, parts, manifest, size).check()


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    """One bit of each: no byte of a bundle is without meaning."""
    path = tmp_path / "b"
    make(path, SMALL)
    whole = path.read_bytes()
    manifest, size = opened_manifest(path)
    with path.open("r+b") as file:
        for at, byte in enumerate(whole):
            os.pwrite(file.fileno(), bytes([byte ^ 1 << at % 8]), at)
            with pytest.raises(BundleError):
                check(path) if at < signed_bytes(whole) else reopened(path, manifest, size)
            os.pwrite(file.fileno(), bytes([byte]), at)
    reopened(path, manifest, size)
    check(path)


def test_a_bundle_cut_at_any_byte_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "b"
    make(path, SMALL)
    whole = path.read_bytes()
    manifest, size = opened_manifest(path)
    for left in reversed(range(len(whole))):
        os.truncate(path, left)
        with pytest.raises(BundleBroken, match=r"cut short|does not begin"):
            check(path) if left < signed_bytes(whole) + 50 else reopened(path, manifest, size)


@given(st.data())
@settings(max_examples=40)
def test_any_damage_is_one_clear_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("bundle") / "b"
    make(path)
    whole = path.read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start, min(len(whole), start + 2000)))
    damaged = whole[:start] + data.draw(st.binary(max_size=2000)) + whole[stop:]
    path.write_bytes(damaged)
    if damaged != whole:
        with pytest.raises(BundleError) as raised:
            check(path)
        assert "\n" not in str(raised.value)


def test_damage_is_found_before_the_rest_is_read(tmp_path: Path) -> None:
    make(tmp_path / "b", {"m": bytes(100_000)})
    data = bytearray((tmp_path / "b").read_bytes())
    data[data.index(bytes(50_000)) + 20_000] = 1
    (tmp_path / "b").write_bytes(data)
    with Bundle.open(tmp_path / "b", KEY) as bundle, pytest.raises(BundleBroken) as raised:
        bundle.check()
    assert "m is not as it was signed, somewhere in bytes" in str(raised.value)
    first, last = (int(number.replace(",", "")) for number in re.findall(r"[\d,]+(?= to|\. Copy)", str(raised.value)))
    assert last - first == STRETCH


def test_who_cuts_it_while_it_is_open_is_found(tmp_path: Path) -> None:
    make(tmp_path / "b")
    with Bundle.open(tmp_path / "b", KEY) as bundle:
        os.truncate(tmp_path / "b", 3000)
        with pytest.raises(BundleBroken, match="is cut short"):
            bundle.check()
