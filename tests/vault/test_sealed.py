import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.errors import VaultDamaged
from offline_agent.vault.sealed import SealedVault, sealed_uri
from offline_agent.vault.secret import Secret

KEY = Secret(bytes(range(32)))
WORD = "canaryword"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed database with rows and a full-text index."""
    root = tmp_path_factory.mktemp("sealed")
    database = SealedVault(root, KEY).database("d")
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
    database.execute("CREATE VIRTUAL TABLE f USING fts5 (x)")
    with database.transaction():
        database.executemany("INSERT INTO t (x) VALUES (?)", [(f"{WORD} {number} " * 20,) for number in range(200)])
        database.executemany("INSERT INTO f VALUES (?)", [(f"{WORD} {number} " * 20,) for number in range(200)])
    database.close()
    return root / "d.db"


def rows(root: Path) -> Iterator[object]:
    database = SealedVault(root, KEY).database("d")
    try:
        yield database.execute("SELECT * FROM t")
        yield database.execute("SELECT * FROM f WHERE f MATCH ?", (WORD,))
        yield database.execute("PRAGMA integrity_check")
    finally:
        database.close()


def flipped(content: bytes, position: int, bit: int) -> bytes:
    damaged = bytearray(content)
    damaged[position] ^= 1 << bit
    return bytes(damaged)


def must_be_noticed(content: bytes, root: Path) -> None:
    for old in root.glob("d.db*"):
        old.unlink()
    (root / "d.db").write_bytes(content)
    with pytest.raises(VaultDamaged):
        list(rows(root))


def test_every_flipped_byte_of_the_first_page_is_noticed(sealed: Path, tmp_path: Path) -> None:
    content = sealed.read_bytes()
    bits = random.Random(7)
    for position in range(4096):
        must_be_noticed(flipped(content, position, bits.randrange(8)), tmp_path)


@settings(max_examples=150)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(
    sealed: Path, tmp_path_factory: pytest.TempPathFactory, where: float, bit: int
) -> None:
    content = sealed.read_bytes()
    must_be_noticed(flipped(content, int(where * len(content)), bit), tmp_path_factory.mktemp("flipped"))


@given(pages=st.integers(1, 40))
@settings(max_examples=20)
def test_a_file_cut_short_is_noticed(sealed: Path, tmp_path_factory: pytest.TempPathFactory, pages: int) -> None:
    content = sealed.read_bytes()
    must_be_noticed(content[: -pages * 4096], tmp_path_factory.mktemp("cut"))


def test_nothing_is_readable(sealed: Path) -> None:
    assert WORD.encode() not in sealed.read_bytes()
    assert b"SQLite format" not in sealed.read_bytes()


def test_what_is_not_checkpointed_is_sealed_too(tmp_path: Path) -> None:
    database = SealedVault(tmp_path, KEY).database("d")
    database.execute("CREATE TABLE t (x)")
    database.execute("INSERT INTO t VALUES (?)", (WORD * 100,))
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"d.db", "d.db-wal", "d.db-shm"} == set(files)
    assert not any(WORD.encode() in content for content in files.values())
    database.close()


@pytest.mark.parametrize(("name", "key"), [("e", KEY), ("d", Secret(bytes(32)))])
def test_another_name_or_key_does_not_open_it(sealed: Path, tmp_path: Path, name: str, key: Secret) -> None:
    (tmp_path / f"{name}.db").write_bytes(sealed.read_bytes())
    with pytest.raises(VaultDamaged, match="another database's file"):
        SealedVault(tmp_path, key).database(name)


def test_a_plain_database_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_bytes(b"SQLite format 3\x00" + bytes(4080))
    with pytest.raises(VaultDamaged):
        SealedVault(tmp_path, KEY).database("d")


def test_a_copy_under_another_key_holds_the_same(sealed: Path, tmp_path: Path) -> None:
    vault = SealedVault(sealed.parent, KEY)
    other = Secret(bytes(reversed(range(32))))
    database = vault.database("d")
    database.execute("VACUUM INTO ?", (sealed_uri(tmp_path / "caf\u00e9 %41.db", other, "caf\u00e9 %41"),))
    copy = SealedVault(tmp_path, other).database("caf\u00e9 %41")
    assert copy.execute("SELECT * FROM t") == database.execute("SELECT * FROM t")
    assert copy.execute("PRAGMA integrity_check") == [("ok",)]
    copy.close()
    database.close()


def test_errors_tell_no_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="Cannot") as caught:
        SealedVault(tmp_path / "file", KEY).database("d")
    assert KEY.reveal().hex() not in str(caught.value)
