import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.errors import StorageError, VaultDamaged, VaultError, VaultInUse, VaultTooNew
from offline_agent.vault.journal import SealedJournal, SealedJournals, each_repository
from offline_agent.vault.memory import MemoryJournals

from .test_disk import expect_whole, opened
from .test_keeper import keeper

KEY = bytes(range(32))
MEBIBYTE = 1024 * 1024
NEEDLE = b"a needle that must not be found on the disk "
TOP = Path(__file__).parents[2]


@pytest.fixture
def journals(tmp_path: Path) -> SealedJournals:
    return SealedJournals(tmp_path / "undo/1f0c", KEY)


def entries(journal: SealedJournal) -> list[tuple[dict[str, object], bytes]]:
    return [(record, b"".join(journal.content(place))) for place, record in journal.records()]


def path_of(journals: SealedJournals, number: int) -> Path:
    return journals._directory / str(number)


def filled(journals: SealedJournals, count: int = 3) -> SealedJournal:
    """`count` entries, whose content has 0, 1, 2 ... hundred bytes, closed."""
    journal = journals.begin()
    for number in range(count):
        journal.add({"number": number}, [bytes([number]) * 100] * number)
    journal.close()
    return journal


def test_entries_come_back_in_order(journals: SealedJournals) -> None:
    journal = journals.begin()
    long = os.urandom(2 * MEBIBYTE + 7)
    said: list[tuple[dict[str, object], bytes]] = [
        ({"path": "caf\udce9"}, b""),
        ({"n": 1}, long),
        ({}, b"x"),
        ({"n": 2}, b""),
    ]
    for record, content in said:
        journal.add(record, [content])
    assert entries(journal) == said
    journal.close()
    assert entries(journals.open(1)) == said
    assert journal.size == path_of(journals, 1).stat().st_size > len(long)


def test_numbers_count_up_and_what_is_removed_is_gone(journals: SealedJournals) -> None:
    assert journals.numbers() == []
    for _ in range(11):
        journals.begin().close()
    journals.remove(3)
    journals.remove(3)
    assert journals.numbers() == [1, 2, *range(4, 12)]
    with pytest.raises(StorageError, match="Turn 3 cannot be undone any more"):
        list(journals.open(3).records())
    with pytest.raises(StorageError, match="forgotten"):
        journals.open(3).add({})
    assert journals.begin().number == 12


def test_nothing_readable_or_open_to_others_is_on_disk(tmp_path: Path, journals: SealedJournals) -> None:
    journal = journals.begin()
    journal.add({"text": NEEDLE.decode()}, [NEEDLE * 1000])
    assert NEEDLE not in path_of(journals, 1).read_bytes()
    assert stat.S_IMODE(path_of(journals, 1).stat().st_mode) == 0o600
    for path in (tmp_path / "undo").rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_content_that_breaks_off_leaves_nothing(journals: SealedJournals) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"x" * (3 * MEBIBYTE)
        raise RuntimeError("gone")

    journal = journals.begin()
    for before in (0, 1):
        with pytest.raises(RuntimeError, match="gone"):
            journal.add({"n": 9}, breaking())
        assert len(entries(journal)) == before
        journal.add({"n": before}, [b"whole"])
    assert entries(journal) == [({"n": 0}, b"whole"), ({"n": 1}, b"whole")]


def test_content_is_not_held_in_memory(journals: SealedJournals) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from offline_agent.vault.journal import SealedJournals\n"
        "journals = SealedJournals(Path(sys.argv[1]), bytes(32)); journal = journals.begin(); journal.add({})\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); journal.add({}, (bytes(1 << 20) for _ in range(100)))\n"
        "print(sum(map(len, journal.content(list(journal.records())[1][0]))), peak() - before)"
    )
    command = [sys.executable, "-c", script, str(journals._directory)]
    size, grown = map(int, subprocess.run(command, capture_output=True, check=True, cwd=TOP).stdout.split())
    assert size == 100 * MEBIBYTE
    assert grown < 30 * 1024  # KiB


def test_many_threads_add_at_once(journals: SealedJournals) -> None:
    journal = journals.begin()

    def add(thread: int) -> None:
        for number in range(20):
            journal.add({"thread": thread, "number": number}, [bytes([thread]) * 5000] * 3)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = entries(journal)
    assert len(found) == 80
    assert all(content == bytes([int(str(record["thread"]))]) * 15000 for record, content in found)


@settings(max_examples=60)
@given(cut=st.integers(0, 1500), zeros=st.integers(0, 200))
def test_a_torn_end_loses_only_what_was_not_whole(cut: int, zeros: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        journals = SealedJournals(Path(scratch) / "k", KEY)
        whole, ends = [], []
        journal = journals.begin()
        for number in range(4):
            journal.add({"number": number}, [bytes([number]) * 100] * number)
            ends.append(journal.size)
            whole.append(({"number": number}, bytes([number]) * 100 * number))
        journal.close()
        size = min(cut, ends[-1])
        os.truncate(path_of(journals, 1), size)
        os.truncate(path_of(journals, 1), size + zeros if size < ends[-1] else size)
        left = whole[: sum(end <= size for end in ends)]
        _expect_left_or_damaged(journals, left, zeros)


def _expect_left_or_damaged(journals: SealedJournals, left: list[tuple[dict[str, int], bytes]], zeros: int) -> None:
    """Zeros in the middle of a frame can make it look whole: then it is damaged, never something else."""
    try:
        assert entries(journals.open(1)) == left
    except VaultDamaged:
        assert zeros
        return
    again = journals.open(1)
    try:
        again.add({"after": True}, [b"more"])
    except VaultDamaged:
        assert zeros
        return
    again.close()
    assert entries(journals.open(1)) == [*left, ({"after": True}, b"more")]


@settings(max_examples=150)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_passes_unseen(place: int, bit: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        journals = SealedJournals(Path(scratch) / "k", KEY)
        filled(journals)
        path = path_of(journals, 1)
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= 1 << bit
        path.write_bytes(content)
        with pytest.raises((VaultDamaged, VaultTooNew)):
            entries(journals.open(1))
        (fault,) = journals.verify()
        assert str(path) in fault


def frames_of(path: Path) -> list[bytes]:
    """The start of the file and its frames, as the docstring of frames.py draws them."""
    content, found = path.read_bytes(), []
    found.append(content[:42])
    content = content[42:]
    while content:
        length = 21 + int.from_bytes(content[1:5], "big")
        found.append(content[:length])
        content = content[length:]
    return found


def test_frames_cannot_be_dropped_swapped_repeated_or_moved(journals: SealedJournals) -> None:
    filled(journals, 4)
    filled(journals, 4)
    path = path_of(journals, 1)
    start, a, b, *rest = frames_of(path)
    other = frames_of(path_of(journals, 2))
    c, d = rest[-2:]
    assert len(a) == len(other[1])
    for changed in (
        [start, b, *rest],
        [start, b, a, *rest],
        [start, a, a, b, *rest],
        [start, a, b, *rest[:-2], d, c],
        [start, other[1], b, *rest],
        [*other[:1], a, b, *rest],
    ):
        path.write_bytes(b"".join(changed))
        with pytest.raises(VaultDamaged, match="Other turns are not concerned"):
            entries(journals.open(1))
    path.write_bytes(b"".join(other))
    with pytest.raises(VaultDamaged):
        entries(journals.open(1))
    assert len(entries(journals.open(2))) == 4


def test_an_older_entry_in_place_of_a_later_one_is_seen(journals: SealedJournals) -> None:
    """An entry that was cut and written anew has the same place and length as the one before."""
    journal = filled(journals, 1)
    size = journal.size
    journal.add({"try": 1})
    old = path_of(journals, 1).read_bytes()
    journal.close()
    os.truncate(path_of(journals, 1), size)
    journal.add({"try": 2})
    journal.add({"then": 3})
    new = path_of(journals, 1).read_bytes()
    path_of(journals, 1).write_bytes(old + new[len(old) :])
    with pytest.raises(VaultDamaged):
        list(journals.open(1).records())


def test_another_repository_or_key_opens_nothing(tmp_path: Path, journals: SealedJournals) -> None:
    filled(journals)
    (tmp_path / "undo/2e1d").mkdir()
    (tmp_path / "undo/2e1d/1").write_bytes(path_of(journals, 1).read_bytes())
    for other in (SealedJournals(tmp_path / "undo/2e1d", KEY), SealedJournals(tmp_path / "undo/1f0c", bytes(32))):
        with pytest.raises(VaultDamaged):
            list(other.open(1).records())


def test_a_later_format_is_said(journals: SealedJournals) -> None:
    filled(journals)
    content = bytearray(path_of(journals, 1).read_bytes())
    content[8:10] = b"\0\2"
    path_of(journals, 1).write_bytes(content)
    with pytest.raises(VaultTooNew, match="Update offline-agent"):
        list(journals.open(1).records())


def test_one_writes_and_others_read(journals: SealedJournals) -> None:
    writer = journals.begin()
    writer.add({"n": 1})
    other = journals.open(1)
    for forbidden in (lambda: other.add({"n": 2}), lambda: journals.remove(1)):
        with pytest.raises(VaultInUse, match="Try again"):
            forbidden()
    assert len(entries(other)) == 1
    writer.close()
    other.add({"n": 2})
    assert len(entries(journals.open(1))) == 2


WRITER = """
import os, sys; from pathlib import Path; from offline_agent.vault.journal import SealedJournals
journal = SealedJournals(Path(sys.argv[1]), bytes(range(32))).begin()
number = 0
while True:
    journal.add({"number": number}, [bytes([number % 256]) * 300_000] * 4)
    os.write(1, b"%d\\n" % number)
    number += 1
"""


@pytest.mark.parametrize("said", [1, 4, 9])
def test_a_kill_loses_nothing_that_was_added(journals: SealedJournals, said: int) -> None:
    command = [sys.executable, "-c", WRITER, str(journals._directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TOP) as process:
        assert process.stdout is not None
        for _ in range(said):
            last = int(process.stdout.readline())
        process.kill()
        last = max([last, *map(int, process.stdout.read().split())])
    found = entries(journals.open(1))
    assert len(found) in (last + 1, last + 2)
    assert all(content == bytes([number % 256]) * 1_200_000 for number, (_, content) in enumerate(found))
    journals.open(1).add({"after": True})
    assert len(entries(journals.open(1))) == len(found) + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("no right to mount here")
    try:
        journal = SealedJournals(small / "k", KEY).begin()
        journal.add({"n": 1}, [b"kept"])
        with pytest.raises(StorageError, match="Free some disk space"):
            journal.add({"n": 2}, (bytes(MEBIBYTE) for _ in range(10)))
        journal.add({"n": 3}, [b"small"])
        assert entries(journal) == [({"n": 1}, b"kept"), ({"n": 3}, b"small")]
        journal.close()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_copy_under_another_key_has_the_same_entries(tmp_path: Path, journals: SealedJournals) -> None:
    filled(journals)
    filled(journals, 5)
    journals.remove(1)
    filled(journals)
    with path_of(journals, 3).open("ab") as file:
        file.write(b"\x01")  # a crash came after the first byte of a frame
    journals.copy_to(tmp_path / "new/1f0c", bytes(32))
    [(name, copies)] = each_repository(tmp_path / "new", bytes(32))
    assert (name, copies.numbers()) == ("1f0c", [2, 3])
    for number in (2, 3):
        assert entries(copies.open(number)) == entries(journals.open(number))
    assert list(copies.verify()) == []
    with pytest.raises(VaultError):
        list(SealedJournals(tmp_path / "new/1f0c", KEY).open(2).records())


def test_journals_outlive_a_new_data_key(tmp_path: Path) -> None:
    with opened(tmp_path) as archive:
        key = archive.repositories.key("/repository")
        filled(archive.journals(key))
        before = entries(archive.journals(key).open(1))
    keeper(tmp_path).rotate()
    with opened(tmp_path) as archive:
        assert entries(archive.journals(key).open(1)) == before
        expect_whole(archive)
    assert len(list((tmp_path / "data").glob("*/undo/*/1"))) == 1


def test_a_damaged_journal_stops_a_new_data_key_and_nothing_is_lost(tmp_path: Path) -> None:
    with opened(tmp_path) as archive:
        filled(archive.journals(archive.repositories.key("/repository")))
    [path] = (tmp_path / "data").glob("*/undo/*/1")
    path.write_bytes(path.read_bytes()[:-1] + b"\0" + path.read_bytes()[-1:])
    with pytest.raises(VaultDamaged, match="remove it"):
        keeper(tmp_path).rotate()
    path.unlink()
    keeper(tmp_path).rotate()


def test_pruning_keeps_what_the_settings_keep(journals: SealedJournals) -> None:
    for _ in range(5):
        filled(journals)
    one = journals.open(1).size
    assert journals.prune(4, 10 * one) == one
    assert journals.prune(4, 10 * one) == 0
    assert journals.prune(9, 2 * one + 1) == 2 * one
    assert journals.numbers() == [4, 5]
    assert journals.prune(9, 1) == one
    assert journals.numbers() == [5]
    held = journals.open(5)
    held.add({})
    assert journals.prune(0, 0) == 0
    held.close()
    assert journals.prune(0, 0) > 0
    assert journals.numbers() == []


def test_journals_of_repositories_that_are_not_known_go(tmp_path: Path) -> None:
    with opened(tmp_path) as archive:
        known = archive.repositories.key("/repository")
        filled(archive.journals(known))
        filled(archive.journals("0123456789abcdef"))
        assert archive.prune().bytes == archive.journals(known).open(1).size
        assert [path.name for path in (tmp_path / "data").glob("*/undo/*")] == [known]


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        SealedJournals(tmp_path / "file/k", KEY).begin()
    with pytest.raises(StorageError, match="cannot be read"):
        SealedJournals(tmp_path / "file", KEY).numbers()


def test_the_double_does_the_same() -> None:
    journals = MemoryJournals()
    journal = journals.begin()
    journal.add({"a": 1}, [b"x", b"y"])
    journal.add({"b": 2})
    assert [(record, b"".join(journal.content(place))) for place, record in journals.open(1).records()] == [
        ({"a": 1}, b"xy"),
        ({"b": 2}, b""),
    ]
    assert (journals.begin().number, journals.numbers()) == (2, [1, 2])
    journals.remove(1)
    assert journals.numbers() == [2]
    with pytest.raises(StorageError, match="forgotten"):
        journals.open(1)
