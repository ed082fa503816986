"""A disk that is full or may not be written, and processes that write at once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from offline_agent.errors import StorageError, VaultError, VaultInUse
from offline_agent.settings import LogSettings, VaultSettings
from offline_agent.types import Message
from offline_agent.vault.archive import Archive

from .test_keeper import keeper

TOP = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")


@contextmanager
def opened(place: Path) -> Iterator[Archive]:
    vault = keeper(place).open()
    archive = Archive(vault, vault.blob_key, VaultSettings(), LogSettings())
    try:
        yield archive
    finally:
        archive.close()
        vault.close()


def mount(place: Path, *options: str) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)], capture_output=True)
    if done.returncode:
        pytest.skip("no right to mount here")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB, of which 1 is taken by a file that can be removed to make room."""
    place = tmp_path / "small"
    place.mkdir()
    mount(place, "size=8m")
    (place / "ballast").write_bytes(bytes(1 << 20))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path, but_kilobytes: int = 0) -> None:
    """Nothing more than that fits any more."""
    with (place / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    os.truncate(place / "filler", (place / "filler").stat().st_size - 1024 * but_kilobytes)


def make_room(place: Path) -> None:
    for name in ("filler", "ballast"):
        (place / name).unlink(missing_ok=True)


def say(archive: Archive, text: str) -> None:
    archive.sessions.begin("/repo", "none").add(Message(role="user", content=text))


def said(archive: Archive) -> set[str]:
    messages = (archive.sessions.messages(info.id) for info in archive.sessions.recent())
    return {message.content[:5] for each in messages for message in each}


def expect_whole(archive: Archive) -> None:
    assert list(archive.faults()) == []
    for database in (archive.main, archive.logs._database):
        assert list(database.execute("PRAGMA integrity_check")) == [("ok",)]


def expect_one_clear_line(error: Exception) -> None:
    text = str(error)
    assert "\n" not in text
    assert text.endswith(".")
    assert "space" in text or "disk" in text


def write_until_full(archive: Archive) -> tuple[int, StorageError]:
    """How many messages and audit records were stored, and what the next one said."""
    for number in range(10_000):
        try:
            say(archive, f"{number:05}" + os.urandom(5000).hex())
            archive.audit.add("command", number=number)
        except StorageError as error:
            return number, error
    raise AssertionError("the disk was never full")


@as_root
def test_messages_on_a_full_disk(small: Path) -> None:
    with opened(small) as archive:
        expect_whole(archive)
        number, error = write_until_full(archive)
        expect_one_clear_line(error)
        expect_whole(archive)
        assert {f"{each:05}" for each in range(number)} <= said(archive)
        make_room(small)
        say(archive, "after")
    with opened(small) as archive:
        expect_whole(archive)
        assert {"after", *(f"{each:05}" for each in range(number))} <= said(archive)


@as_root
def test_a_blob_on_a_full_disk(small: Path) -> None:
    content = os.urandom(700_000)
    with opened(small) as archive:
        kept = archive.blobs.put(b"kept", "undo")
        fill(small)
        with pytest.raises(StorageError) as caught:
            archive.blobs.put(content, "undo")
        expect_one_clear_line(caught.value)
        assert archive.blobs.read(kept) == b"kept"
        assert len(archive.blobs.entries()) == 1
        assert list((small / "data").rglob("new-*")) == []
        make_room(small)
        assert archive.blobs.read(archive.blobs.put(content, "undo")) == content
        expect_whole(archive)


@as_root
@pytest.mark.parametrize("kilobytes", [0, 100, 700, 900])
def test_rotation_on_a_full_disk(small: Path, kilobytes: int) -> None:
    """It stops before, in and after the databases, and among the blobs."""
    with opened(small) as archive:
        for number in range(100):
            say(archive, f"{number:05}" + os.urandom(2500).hex())
        kept = archive.blobs.put(os.urandom(400_000), "undo")
    before = (small / "data/vault.header").read_bytes()
    fill(small, kilobytes)
    with pytest.raises(StorageError) as caught:
        keeper(small).rotate()
    expect_one_clear_line(caught.value)
    assert (small / "data/vault.header").read_bytes() == before
    assert not (small / "data/2").exists()
    make_room(small)
    with opened(small) as archive:
        assert len(said(archive)) == 100
        expect_whole(archive)
    keeper(small).rotate()
    with opened(small) as archive:
        assert len(said(archive)) == 100
        assert archive.blobs.exists(kept)
        expect_whole(archive)


@as_root
def test_a_vault_is_made_on_a_full_disk(small: Path) -> None:
    fill(small)
    with pytest.raises(VaultError) as caught, opened(small) as archive:
        say(archive, "first")
    expect_one_clear_line(caught.value)
    make_room(small)
    with opened(small) as archive:
        say(archive, "first")
        expect_whole(archive)
        assert said(archive) == {"first"}


@as_root
@pytest.mark.parametrize("kilobytes", [0, 4, 8, 12, 40, 100, 200])
def test_a_vault_is_made_where_there_is_hardly_room(small: Path, kilobytes: int) -> None:
    """Wherever making it stops, it goes on from there."""
    fill(small, kilobytes)
    try:
        with opened(small) as archive:
            say(archive, "first")
    except StorageError as error:
        expect_one_clear_line(error)
    make_room(small)
    with opened(small) as archive:
        say(archive, "again")
        expect_whole(archive)
        assert "again" in said(archive)


def snapshot(place: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


@as_root
def test_a_home_that_may_not_be_written(small: Path) -> None:
    with opened(small) as archive:
        say(archive, "kept")
        kept = archive.blobs.put(b"content", "undo")
    before = snapshot(small)
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    for forbidden in (lambda: keeper(small).open(), keeper(small).rotate, keeper(small).destroy):
        with pytest.raises(StorageError, match=r"[Cc]annot .*\.$") as caught:
            forbidden()
        assert "\n" not in str(caught.value)
    assert snapshot(small) == before
    subprocess.run(["mount", "-o", "remount,rw", str(small)], check=True)
    with opened(small) as archive:
        expect_whole(archive)
        assert said(archive) == {"kept"}
        assert archive.blobs.read(kept) == b"content"


WRITER = """
import logging, sys
from pathlib import Path
from offline_agent.types import Message
from offline_agent.vault.logs import VaultHandler
from tests.vault.test_disk import opened
from tests.vault.test_keeper import keeper
place, name = Path(sys.argv[1]), sys.argv[2]
with opened(place) as archive:
    log = logging.Logger("writer")
    log.addHandler(VaultHandler(lambda: archive._vault.database("logs"), name))
    session = archive.sessions.begin("/repo", name)
    for number in range(100):
        session.add(Message(role="user", content=f"{name} {number}"))
        archive.audit.add("command", name=name, number=number)
        log.info("%s %d", name, number)
        if number % 20 == 0:
            archive.blobs.put(f"{name} {number // 40}".encode() * 1000, "undo")
"""


def test_three_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(TOP)}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name], env=environment) for name in ("one", "two", "three")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    everything = {f"{name} {number}" for name in ("one", "two", "three") for number in range(100)}
    with opened(tmp_path) as archive:
        expect_whole(archive)
        for info in archive.sessions.recent():
            contents = [message.content for message in archive.sessions.messages(info.id)]
            assert contents == [f"{info.model} {number}" for number in range(100)]
        assert len(archive.sessions.recent()) == 3
        audited = [f"{record.body['name']} {record.body['number']}" for record in archive.audit.records()]
        assert sorted(audited) == sorted(everything)
        assert sorted(entry.message for entry in archive.logs.read()) == sorted(everything)
        assert len(archive.blobs.entries()) == 9


def test_nobody_rotates_or_destroys_what_another_process_uses(tmp_path: Path) -> None:
    """Across processes; test_keeper.py has the same within one."""
    script = (
        "import sys; from pathlib import Path; from tests.vault.test_disk import opened, say\n"
        "with opened(Path(sys.argv[1])) as archive:\n"
        "    say(archive, 'kept'); print('ready', flush=True); sys.stdin.read(); say(archive, 'later')"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(TOP)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    for forbidden in (keeper(tmp_path).rotate, keeper(tmp_path).destroy):
        with pytest.raises(VaultInUse, match="End it and try again"):
            forbidden()
    other.communicate("", timeout=30)
    assert other.returncode == 0
    keeper(tmp_path).rotate()
    with opened(tmp_path) as archive:
        assert said(archive) == {"kept", "later"}
    keeper(tmp_path).destroy()
    assert not (tmp_path / "data").exists()
