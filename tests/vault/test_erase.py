import random
from pathlib import Path

import pytest

from offline_agent.errors import StorageError
from offline_agent.vault.erase import erasing
from offline_agent.vault.plain import PlainVault
from offline_agent.vault.schema import MAIN


def on_disk(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.iterdir()))


@pytest.mark.parametrize("seed", range(6))
def test_nothing_deleted_is_left_in_any_file(tmp_path: Path, seed: int) -> None:
    """Rows of all sizes, in any order, deleted in any order: short ones share pages, long ones have pages of their own."""
    dice = random.Random(seed)
    database = PlainVault(tmp_path).database("main", durable=True)
    database.migrate(MAIN)
    ids = [f"{dice.getrandbits(48):012x}" for _ in range(dice.randint(5, 40))]
    order = [id_ for id_ in ids for _ in range(dice.randint(1, 6))]
    dice.shuffle(order)
    for id_ in order:
        text = f"<{id_}>" * (dice.choice([10, 100, 1500, 30_000]) // 14 + 1)
        database.execute(
            "INSERT INTO messages (session, role, content, at, citations) VALUES (?, 'user', ?, 1.0, '[]')", (id_, text)
        )
    gone, kept = ids[::2], ids[1::2]
    for id_ in gone:
        with erasing(database):
            database.execute("DELETE FROM messages WHERE session = ?", (id_,))
    rest = on_disk(tmp_path)
    assert [id_ for id_ in gone if id_.encode() in rest] == []
    assert all(id_.encode() in rest for id_ in kept)
    database.close()


def test_what_fails_inside_is_not_done(tmp_path: Path) -> None:
    database = PlainVault(tmp_path).database("main")
    database.execute("CREATE TABLE t (x)")
    database.execute("INSERT INTO t VALUES ('kept')")
    with pytest.raises(KeyboardInterrupt), erasing(database):
        database.execute("DELETE FROM t")
        raise KeyboardInterrupt
    assert list(database.execute("SELECT x FROM t")) == [("kept",)]
    assert list(database.execute("PRAGMA secure_delete")) == [(2,)]  # `fast` again
    database.close()


def test_a_reader_elsewhere_is_said(tmp_path: Path) -> None:
    database = PlainVault(tmp_path).database("main")
    reader = PlainVault(tmp_path).database("main")
    database.execute("CREATE TABLE t (x)")
    database.execute("PRAGMA busy_timeout = 20")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t")
    with pytest.raises(StorageError, match="write-ahead log"), erasing(database):
        database.execute("INSERT INTO t VALUES (1)")
    reader.execute("COMMIT")
    assert list(database.execute("SELECT x FROM t")) == [(1,)]
    database.close()
    reader.close()
