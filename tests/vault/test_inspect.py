import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offline_agent.records import KeySource, Verified
from offline_agent.settings import LogSettings, VaultSettings
from offline_agent.types import Message
from offline_agent.vault.archive import Archive
from offline_agent.vault.header import NO_COST, Header
from offline_agent.vault.inspect import counts, gone, holders, outside, remains, size_of, swaps_in_clear, verify
from offline_agent.vault.lock import shared
from offline_agent.vault.repositories import Repository
from offline_agent.vault.sealed import SealedVault
from offline_agent.vault.secret import Secret

KEY = Secret(bytes(range(32)))
SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


def archive_in(directory: Path) -> tuple[SealedVault, Archive]:
    vault = SealedVault(directory, KEY)
    return vault, Archive(vault, vault.blob_key, VaultSettings(), LogSettings())


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A generation with something of everything in it."""
    vault, archive = archive_in(tmp_path / "1")
    with closing(archive):
        archive.sessions.begin("/a", "pocket").add(Message(role="user", content="Where? " * 20_000))
        archive.audit.add("model", name="pocket")
        archive.blobs.put(b"content", "test")
        key = archive.repositories.key(str(tmp_path / "it's gone"))
        with closing(archive.journals(key).begin()) as journal:
            journal.add({"do": "turn"}, [b"x" * 1000])
        archive.logs.count()
        with closing(vault.database(f"repos/{key}/index")) as index:
            index.execute("CREATE TABLE chunks (text)")
            index.execute("INSERT INTO chunks VALUES (?)", ("x" * 50_000,))
    return tmp_path / "1"


def verified(directory: Path) -> list[Verified]:
    vault, archive = archive_in(directory)
    with closing(archive):
        return list(verify(directory, vault, archive))


def faults(directory: Path) -> dict[str, str]:
    return {part.part.partition("repos")[0]: " ".join(part.faults) for part in verified(directory) if part.faults}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def test_what_is_whole_has_no_faults(full: Path) -> None:
    seen: list[tuple[int, int]] = []
    vault, archive = archive_in(full)
    with closing(archive):
        parts = list(verify(full, vault, archive, lambda done, total: seen.append((done, total))))
    assert [part.part for part in parts if not part.faults] == [part.part for part in parts]
    assert len(parts) == 6
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_it_goes_on_after_a_fault_and_says_what_to_do(full: Path) -> None:
    [index] = full.glob("repos/*/index.db")
    flip(index)
    flip(full / "logs.db")
    next(full.glob("blobs/*/*")).write_bytes(b"other")
    [journal] = full.glob("undo/*/1")
    flip(journal)
    found = faults(full)
    assert set(found) == {"database logs", "database ", "audit chain and blobs", "undo"}
    assert f"undoes turn 1, {journal}, is damaged" in found["undo"]
    assert "Nothing depends on the log" in found["database logs"]
    assert "gone' clear" in found["database "]
    assert "`offline-agent index --repo " in found["database "]
    assert not [fault for part in verified(full) for fault in part.faults if "\n" in fault]


def test_a_damaged_record_database_keeps_no_other_from_being_verified(full: Path) -> None:
    (full / "main.db").write_bytes(b"rubbish" * 10_000)
    parts = {part.part: part.faults for part in verified(full)}
    assert "Restore the vault from a backup" in parts["database main"][0]
    assert "cannot be verified" in parts["audit chain and blobs"][0]
    assert parts["database logs"] == parts["undo"] == ()


@pytest.mark.parametrize("loss", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_record_database_that_is_gone_is_a_fault_and_not_a_new_one(full: Path, loss: "object") -> None:
    assert callable(loss)
    loss(full / "main.db")
    for rest in full.glob("main.db-*"):
        rest.unlink()
    assert set(faults(full)) == {"database main", "audit chain and blobs"}
    assert not list(full.glob("main.db-wal"))


def test_everything_is_counted(full: Path) -> None:
    _, archive = archive_in(full)
    with closing(archive):
        found = counts(full, archive)
    assert (found.sessions, found.messages, found.audit_records, found.log_entries, found.blobs) == (1, 1, 1, 0, 1)
    [repository] = found.repositories
    assert repository.gone
    assert repository.bytes > 50_000


def test_a_path_that_is_no_utf_8_is_counted_too(full: Path) -> None:
    _, archive = archive_in(full)
    with closing(archive):
        archive.repositories.key(os.fsdecode(b"/caf\xe9"))
        assert "\ufffd" in counts(full, archive).model_dump_json()


def header() -> Header:
    common = {"source": KeySource.FILE, "generation": 1, "vault_id": bytes(16), "salt": bytes(16), "cost": NO_COST}
    return Header.seal(KEY, KEY, **common)  # type: ignore[arg-type]


def test_what_shows_without_opening_it(full: Path) -> None:
    status = outside(full.parent, header(), Path("/keys/k.key"))
    assert (status.key_file, status.counts, status.in_use) == ("/keys/k.key", None, False)
    assert status.sizes.total >= status.sizes.indexes + status.sizes.records + status.sizes.log + status.sizes.blobs
    assert min(status.sizes.indexes, status.sizes.records, status.sizes.log, status.sizes.blobs) > 0


@pytest.fixture
def other(tmp_path: Path) -> Iterator[int]:
    """A process that holds the lock."""
    script = "import sys; from pathlib import Path; from offline_agent.vault.lock import shared\n"
    script += "held = shared(Path(sys.argv[1])); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(tmp_path / "vault.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate()


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="/proc/locks is Linux's")
def test_who_has_it_open_is_told(tmp_path: Path, other: int) -> None:
    with shared(tmp_path / "vault.lock"):
        assert holders(tmp_path / "vault.lock") == (other,)
    assert holders(tmp_path / "no.lock") == ()
    assert holders(tmp_path / "vault.lock", tmp_path / "no list") == ()


def test_swap_that_is_encrypted_or_memory_is_no_worry(tmp_path: Path) -> None:
    for name, mapped in (("dm-0", "CRYPT-PLAIN-swap"), ("dm-1", "LVM-abc")):
        (tmp_path / "sys" / name / "dm").mkdir(parents=True)
        (tmp_path / "sys" / name / "dm/uuid").write_text(f"{mapped}\n")
    names = ("/dev/zram0", "/dev/dm-0", "/dev/dm-1", "/swap.img")
    (tmp_path / "swaps").write_text(SWAPS + "".join(f"{name}  partition  100  0  -2\n" for name in names))
    assert swaps_in_clear(tmp_path / "swaps", tmp_path / "sys") == ("/dev/dm-1", "/swap.img")
    (tmp_path / "swaps").write_text(SWAPS)
    assert swaps_in_clear(tmp_path / "swaps", tmp_path / "sys") == ()
    assert swaps_in_clear(tmp_path / "none", tmp_path / "sys") == ()


@given(text=st.text(alphabet="1 FLOCK->\n:/", max_size=60), inode_seen=st.booleans())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_content_of_proc_is_a_crash(tmp_path: Path, text: str, inode_seen: bool) -> None:
    lock, table = tmp_path / "lock", tmp_path / "table"
    lock.touch()
    line = f"\n1: FLOCK  ADVISORY  WRITE {text.strip() or '-1'} fe:00:{lock.stat().st_ino}" if inode_seen else ""
    table.write_text(f"{text}{line}")
    holders(lock, table)
    swaps_in_clear(table, tmp_path)


def test_what_is_left_of_a_vault_counts_as_one(tmp_path: Path) -> None:
    assert not remains(tmp_path / "nowhere")
    (tmp_path / "models").mkdir()
    assert not remains(tmp_path)
    (tmp_path / "2").mkdir()
    assert remains(tmp_path)


def test_only_what_surely_does_not_exist_is_gone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    roots = [tmp_path, tmp_path / "file", tmp_path / "file/below", tmp_path / "none", tmp_path / ("n" * 300)]
    found = gone(Repository("k", str(root), 0.0) for root in roots)
    assert [repository.root for repository in found] == [str(root) for root in roots[1:4]]


def test_sizes(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(b"123")
    (tmp_path / "a/d").write_bytes(b"45")
    assert [size_of(tmp_path / name) for name in ("a", "a/d", "none")] == [5, 2, 0]
