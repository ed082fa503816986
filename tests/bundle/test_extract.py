import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.bootstrap.key import signature_text
from offline_agent.bundle.bootstrap.manifest import MANIFEST, SIGNATURE, Manifest, Member
from offline_agent.bundle.bootstrap.tar import END, lay_out
from offline_agent.bundle.keys import sign
from offline_agent.errors import BundleBroken, StorageError

from .made import CONTENTS, KEY, SEED, make

GGUF = "models/tiny/tiny.gguf"


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    make(tmp_path / "b")
    with Bundle.open(tmp_path / "b", KEY) as opened:
        yield opened


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def everything(name: str) -> bool:
    return True


def below(place: Path) -> set[str]:
    return {path.relative_to(place).as_posix() for path in place.rglob("*")}


def damage(path: Path, member: bytes = b"GGUF") -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(member + b"\0", member + b"\1"))


def test_all_of_it(bundle: Bundle, place: Path) -> None:
    paths = bundle.extract(place, everything)
    assert paths == tuple(place / name for name in CONTENTS)
    assert {path.relative_to(place).as_posix(): path.read_bytes() for path in paths} == CONTENTS


def test_what_is_wanted_and_no_more(bundle: Bundle, place: Path) -> None:
    seen: list[int] = []
    assert bundle.extract(place, lambda name: name.endswith(".whl"), seen.append) == (
        place / "wheels" / "a-1.0-py3-none-any.whl",
    )
    assert below(place) == {"wheels", "wheels/a-1.0-py3-none-any.whl"}
    assert sum(seen) == 0


def test_one_directory_of_it(bundle: Bundle, place: Path) -> None:
    assert bundle.extract(place, everything, below="models/tiny/") == (place / "tiny.gguf",)
    assert below(place) == {"tiny.gguf"}


def test_what_is_damaged_never_gets_its_name(tmp_path: Path, place: Path) -> None:
    make(tmp_path / "b")
    damage(tmp_path / "b")
    (place / "mine").touch()
    with (
        Bundle.open(tmp_path / "b", KEY) as bundle,
        pytest.raises(BundleBroken, match=r"tiny\.gguf is not as it was signed"),
    ):
        bundle.extract(place, everything)
    assert below(place) == {"mine"}


def test_what_is_not_wanted_may_be_damaged(tmp_path: Path, place: Path) -> None:
    make(tmp_path / "b")
    damage(tmp_path / "b")
    with Bundle.open(tmp_path / "b", KEY) as bundle:
        assert bundle.extract(place, lambda name: name != GGUF)


def test_ctrl_c_leaves_nothing(bundle: Bundle, place: Path) -> None:
    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bundle.extract(place, lambda name: name == GGUF, interrupt)
    assert below(place) == set()


def test_a_file_of_that_name_is_replaced_at_the_end(bundle: Bundle, place: Path) -> None:
    (place / "install.pyz").write_bytes(b"older")
    before = (place / "install.pyz").open("rb")
    bundle.extract(place, everything)
    with before:
        assert before.read() == b"older"
    assert (place / "install.pyz").read_bytes() == CONTENTS["install.pyz"]


def test_no_link_is_followed(bundle: Bundle, place: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (place / "models").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match=r"models/tiny/tiny\.gguf cannot be written"):
        bundle.extract(place, everything)
    assert below(place) == {"models"}
    assert below(tmp_path / "elsewhere") == set()


def test_a_link_in_place_of_a_file_is_replaced_itself(bundle: Bundle, place: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (place / "install.pyz").symlink_to(tmp_path / "precious")
    bundle.extract(place, everything)
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not (place / "install.pyz").is_symlink()


def test_a_file_in_place_of_a_directory(bundle: Bundle, place: Path) -> None:
    (place / "models").touch()
    with pytest.raises(StorageError, match="Not a directory"):
        bundle.extract(place, everything)
    assert below(place) == {"models"}


def test_a_directory_in_place_of_a_file(bundle: Bundle, place: Path) -> None:
    (place / "install.pyz").mkdir()
    with pytest.raises(StorageError, match=r"install\.pyz cannot be written"):
        bundle.extract(place, everything)
    assert below(place) == {"install.pyz"}


def test_no_directory_to_write_to(bundle: Bundle, place: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        bundle.extract(place / "none", everything)


# --- room --------------------------------------------------------------------------------------------------------


def test_a_size_beyond_the_disk_is_said_first(tmp_path: Path, place: Path) -> None:
    """A bundle with a hole where its model should be; nothing of it is read."""
    status = os.statvfs(place)
    member = Member("m", status.f_bavail * status.f_frsize + (9 << 30), "0" * 64)
    manifest = Manifest("0.1.0", "3.11", (), (), "", (member,), member.size).to_bytes()
    signature = signature_text(KEY, sign(SEED, manifest))
    sizes = [(MANIFEST, len(manifest)), (SIGNATURE, len(signature)), (member.name, member.size)]
    entries = list(lay_out(sizes))
    with (tmp_path / "b").open("wb") as file:
        for entry, content in zip(entries, (manifest, signature, b""), strict=True):
            file.seek(entry.at)
            file.write(entry.header + content)
        file.truncate(entries[-1].end + len(END))
    with (
        Bundle.open(tmp_path / "b", KEY) as bundle,
        pytest.raises(StorageError, match=r"has room for [\d,]+ bytes and"),
    ):
        bundle.extract(place, everything)
    assert below(place) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_disk_that_fills_up_meanwhile(bundle: Bundle, place: Path) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True)
    if done.returncode:
        pytest.skip("no right to mount here")

    def fill(count: int) -> None:
        with (place / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))

    try:
        with pytest.raises(StorageError, match="No space left on device"):
            bundle.extract(place, everything, fill)
        assert below(place) == {"filler"}
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
