import fcntl
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from offline_agent.bundle.bootstrap.archive import Bundle
from offline_agent.bundle.bootstrap.manifest import Member
from offline_agent.bundle.keys import public_of
from offline_agent.bundle.write import member_of, write_bundle
from offline_agent.errors import BundleError, InUse, StorageError, UsageError

from .made import CONTENTS, KEY, SEED, make, manifest_of


def names_in(directory: Path) -> set[str]:
    return set(os.listdir(directory))


def test_the_same_makes_the_same_bytes(tmp_path: Path) -> None:
    files = {}
    for name, content in CONTENTS.items():
        files[name] = tmp_path / name.replace("/", "-")
        files[name].write_bytes(content)
    make(tmp_path / "one")
    backwards = dict(reversed(files.items()))
    write_bundle(tmp_path / "two", manifest_of(backwards), backwards, SEED)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_member_is_what_sha256sum_says(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENTS["models/tiny/tiny.gguf"])
    said = subprocess.run(["sha256sum", tmp_path / "f"], check=True, capture_output=True, text=True).stdout.split()[0]
    seen: list[int] = []
    member = member_of("m", tmp_path / "f", seen.append)
    assert member == Member("m", sum(seen), said)


def test_progress_counts_what_is_written(tmp_path: Path) -> None:
    seen: list[int] = []
    make(tmp_path / "b", progress=seen.append)
    assert sum(seen) == sum(map(len, CONTENTS.values()))


def test_parts_are_no_larger_than_asked(tmp_path: Path) -> None:
    paths = make(tmp_path / "b", split=3000)
    sizes = [path.stat().st_size for path in paths]
    assert set(sizes[:-1]) == {3000}
    assert 0 < sizes[-1] <= 3000
    assert names_in(tmp_path) == {path.name for path in paths}


def test_a_bundle_that_fits_one_part_is_not_split(tmp_path: Path) -> None:
    assert make(tmp_path / "b", split=10**6) == (tmp_path / "b",)


def test_parts_that_are_too_many(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="999 is the most"):
        make(tmp_path / "b", split=10)
    assert names_in(tmp_path) == set()


def test_the_name_of_a_part_is_not_for_a_whole(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="named as a part"):
        make(tmp_path / "b.001-of-003")


@pytest.mark.parametrize("older", ["b", "b.001-of-002", "b.002-of-002"])
def test_what_is_there_is_not_overwritten(tmp_path: Path, older: str) -> None:
    (tmp_path / older).write_bytes(b"older")
    with pytest.raises(UsageError, match=f"{older} is there already"):
        make(tmp_path / "b", split=9000)
    assert (tmp_path / older).read_bytes() == b"older"


def test_what_is_there_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    make(tmp_path / "b", split=3000)
    make(tmp_path / "other")
    make(tmp_path / "b", replace=True)
    assert names_in(tmp_path) == {"b", "other"}
    parts = make(tmp_path / "b", split=9000, replace=True)
    assert names_in(tmp_path) == {*(part.name for part in parts), "other"}


def test_a_content_that_changed_since(tmp_path: Path) -> None:
    for content in (b"changeD", b"longer than it was", b"short"):
        with pytest.raises(BundleError, match="not what it was when it was listed"):
            write_bundle(tmp_path / "b", manifest_of({"m": b"changed"}), {"m": content}, SEED)
    assert names_in(tmp_path) == set()


def test_what_failed_leaves_what_was_there(tmp_path: Path) -> None:
    make(tmp_path / "b")
    before = (tmp_path / "b").read_bytes()
    with pytest.raises(BundleError):
        write_bundle(tmp_path / "b", manifest_of({"m": b"x"}), {"m": b"y"}, SEED, replace=True)
    assert (tmp_path / "b").read_bytes() == before
    assert names_in(tmp_path) == {"b"}


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    listed = replace(manifest_of({}), members=(Member("m", 1, "0" * 64),))
    for name, fault in (("none", "No such file"), ("directory", "Is a directory")):
        with pytest.raises(BundleError, match=rf"{name}, which is to be m in the bundle, cannot be read: {fault}"):
            write_bundle(tmp_path / "b", listed, {"m": tmp_path / name}, SEED)
        with pytest.raises(BundleError, match=fault):
            member_of("m", tmp_path / name)


def test_names_that_no_bundle_has(tmp_path: Path) -> None:
    for name in ("../m", "manifest.json", "con"):
        with pytest.raises(BundleError, match="another name"):
            make(tmp_path / "b", {name: b""})
    with pytest.raises(BundleError, match="not of the same names"):
        write_bundle(tmp_path / "b", manifest_of({"m": b""}), {"n": b""}, SEED)
    assert names_in(tmp_path) == set()


def test_no_directory_to_write_to(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no directory"):
        make(tmp_path / "none" / "b")


def test_two_at_once(tmp_path: Path) -> None:
    with (tmp_path / "b.partial").open("wb") as file:
        file.write(b"of the other")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InUse, match="Another process"):
            make(tmp_path / "b")
        assert (tmp_path / "b.partial").read_bytes() == b"of the other"
    make(tmp_path / "b")  # what a killed process left is no hindrance
    assert names_in(tmp_path) == {"b"}


def test_another_seed_is_another_key(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", manifest_of(CONTENTS), CONTENTS, bytes(32))
    with Bundle.open(tmp_path / "b", public_of(bytes(32))) as bundle:
        bundle.check()


@pytest.mark.parametrize("split", ["None", "20000"])
def test_a_killed_writer_leaves_nothing_that_looks_whole(tmp_path: Path, split: str) -> None:
    """Killed after every piece in turn, and then let go on to the end."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.bundle.made import make\n"
        "out, pieces = Path(sys.argv[1]), int(sys.argv[2])\n"
        "seen = []\n"
        "def progress(count):\n"
        "    seen.append(count)\n"
        "    if len(seen) > pieces: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"make(out, {{f'm{{number}}': bytes(9000) for number in range(5)}}, split={split}, progress=progress)\n"
    )
    for pieces, code in ((0, -signal.SIGKILL), (3, -signal.SIGKILL), (9, 0)):
        done = subprocess.run([sys.executable, "-c", script, tmp_path / "b", str(pieces)], capture_output=True)
        assert done.returncode == code, done.stderr
        assert all(name.endswith(".partial") for name in names_in(tmp_path)) == bool(code)
    with Bundle.open(tmp_path / "b", KEY) as bundle:
        bundle.check()


def test_a_file_larger_than_the_file_system_takes(tmp_path: Path) -> None:
    """As FAT32, but with a limit of 20 KiB: in one file it does not fit, in parts it does."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from offline_agent.errors import StorageError\n"
        "from tests.bundle.made import make\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20480, 20480))\n"
        "out = Path(sys.argv[1])\n"
        "try:\n"
        "    make(out, {'m': bytes(30_000)})\n"
        "except StorageError as error:\n"
        "    print(error)\n"
        "make(out, {'m': bytes(30_000)}, split=20480)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "b"], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert "--split 4G" in done.stdout
    assert names_in(tmp_path) == {"b.001-of-002", "b.002-of-002"}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_full_disk(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("no right to mount here")

    def fill(count: int) -> None:
        with (place / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))

    try:
        with pytest.raises(StorageError, match=r"has room for 65,536 bytes and the bundle takes"):
            make(place / "b", {"m": bytes(70_000)})
        with pytest.raises(StorageError, match="No space left on device"):
            make(place / "b", {"m": bytes(20_000), "n": bytes(20_000)}, progress=fill)
        assert names_in(place) == {"filler"}
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
