import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from offline_agent.errors import StorageError, VaultDamaged
from offline_agent.vault.plain import PlainVault


def test_everything_is_private(tmp_path: Path) -> None:
    vault = PlainVault(tmp_path / "data")
    database = vault.database("repos/a/index")
    database.execute("CREATE TABLE t (x)")
    vault.directory("repos/a/chroma")
    for path in (tmp_path / "data").rglob("*"):
        others = stat.S_IMODE(path.stat().st_mode) & 0o077
        assert others == 0 or path.suffix in (".db-wal", ".db-shm"), path
    database.close()


def test_transactions_are_all_or_nothing(tmp_path: Path) -> None:
    database = PlainVault(tmp_path).database("d")
    database.execute("CREATE TABLE t (x)")
    with pytest.raises(KeyboardInterrupt), database.transaction():
        database.execute("INSERT INTO t VALUES (1)")
        with database.transaction():
            database.executemany("INSERT INTO t VALUES (?)", [(2,), (3,)])
        raise KeyboardInterrupt
    assert list(database.execute("SELECT * FROM t")) == []
    database.close()


def test_many_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from offline_agent.vault.plain import PlainVault\n"
        "d = PlainVault(Path(sys.argv[1])).database('d'); d.execute('CREATE TABLE IF NOT EXISTS t (x)')"
    )
    racers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(8)]
    assert [racer.wait() for racer in racers] == [0] * 8


def test_destroy_removes_one_name_only(tmp_path: Path) -> None:
    vault = PlainVault(tmp_path)
    vault.database("repos/a/index/db").close()
    vault.database("repos/a/history").close()
    vault.destroy("repos/a/index")
    vault.destroy("repos/a/index")
    assert sorted(path.name for path in (tmp_path / "repos/a").iterdir()) == ["history.db"]


@pytest.mark.parametrize("name", ["../up", "/etc", ""])
def test_names_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        PlainVault(tmp_path).directory(name)


def test_a_damaged_database_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_bytes(os.urandom(4096))
    with pytest.raises(VaultDamaged, match="vault verify"):
        PlainVault(tmp_path).database("d")


def test_no_directory_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="XDG_DATA_HOME"):
        PlainVault(tmp_path / "file").database("d")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("no right to mount here")
    try:
        database = PlainVault(small / "data").database("d")
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES ('kept')")
        with pytest.raises(StorageError, match="Free some disk space"), database.transaction():
            for _ in range(100):
                database.execute("INSERT INTO t VALUES (?)", ("x" * 10_000,))
        assert list(database.execute("SELECT x FROM t")) == [("kept",)]
        database.close()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
