import hashlib
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offline_agent.errors import StorageError, VaultDamaged
from offline_agent.protocols import Audit, Database
from offline_agent.vault.audit import AuditChain, Broken, Head, verify_export
from offline_agent.vault.plain import PlainVault

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=8)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
KEPT_FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def chain(database: Database) -> AuditChain:
    return AuditChain(database, itertools.count(1_700_000_000.25, 1.0).__next__)


def filled(chain: AuditChain, count: int = 5) -> AuditChain:
    for number in range(count):
        chain.add("command.run", command=["git", "status", str(number)], verdict={"rule": "ask", "ok": True})
    return chain


def without_triggers(database: Database) -> Database:
    for name in ("audit_update", "audit_delete", "audit_insert"):
        database.execute(f"DROP TRIGGER {name}")
    return database


def test_records_come_back_in_order(chain: AuditChain) -> None:
    audit: Audit = chain
    audit.add("edit", path="a.py", lines=[1, 2])
    audit.add("undo")
    first, second = chain.records()
    assert (first.number, first.at, first.kind) == (1, "2023-11-14T22:13:20.250000Z", "edit")
    assert (first.body, first.previous) == ({"path": "a.py", "lines": [1, 2]}, "0" * 64)
    assert (second.number, second.body, second.previous) == (2, {}, first.hash)
    assert chain.head() == (2, second.hash)


def test_since_and_limit(chain: AuditChain) -> None:
    filled(chain)
    assert [record.number for record in chain.records(limit=2)] == [4, 5]
    assert [record.number for record in chain.records(since=1_700_000_002.25)] == [3, 4, 5]
    assert [record.number for record in chain.records(since=1_700_000_002.26, limit=1)] == [5]


def test_the_recipe_is_enough_to_verify_an_export(chain: AuditChain) -> None:
    """With nothing of the program's: what the module's docstring says, in a few lines."""
    chain.add(
        "ask", text="naïve \u2028 \U0001f600 \x7f \t", numbers=[1, -0.5, 1e300, 10**30], nested={"b": 1, "a": None}
    )
    filled(chain)
    previous = "0" * 64
    for line in chain.export():
        record = json.loads(line)
        covered = {key: record[key] for key in ("at", "body", "kind", "number")}
        text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert record["previous"] == previous
        assert record["hash"] == hashlib.sha256((previous + text).encode()).hexdigest()
        previous = record["hash"]
    assert chain.head() == (6, previous)


def test_an_untouched_chain_verifies(chain: AuditChain) -> None:
    assert chain.verify() is None
    assert verify_export([]) is None
    filled(chain, 7)
    early = chain.head()
    filled(chain, 1200)
    assert chain.verify() is None
    assert chain.verify(kept=early) is None
    lines = [f"{line}\r\n" for line in chain.export()]
    assert len(lines) == 1207
    assert verify_export([*lines, "\n"], kept=early) is None


@KEPT_FIXTURE
@given(kind=ANY_TEXT, body=st.dictionaries(ANY_TEXT, ANY_JSON, max_size=3))
def test_any_body_verifies(chain: AuditChain, kind: str, body: dict[str, Any]) -> None:
    chain.add(kind, body=body)
    assert chain.verify() is None
    assert verify_export(line.encode().decode() for line in chain.export()) is None


@pytest.mark.parametrize("body", [{"x": float("nan")}, {"x": object()}, {"x": {(1, 2): 3}}])
def test_what_json_cannot_hold_is_refused_and_leaves_the_chain(chain: AuditChain, body: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        chain.add("odd", **body)
    assert chain.head().number == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET kind = 'x'",
        "DELETE FROM audit WHERE number = 5",
        "INSERT OR REPLACE INTO audit SELECT number, at, 'x', body, previous, hash FROM audit WHERE number = 2",
        "REPLACE INTO audit VALUES (1, '', '', '', '', '')",
    ],
)
def test_the_table_only_grows(chain: AuditChain, database: Database, statement: str) -> None:
    filled(chain)
    with pytest.raises(StorageError, match="only grows"):
        database.execute(statement)
    assert chain.verify() is None


@KEPT_FIXTURE
@given(
    victim=st.integers(1, 5),
    column=st.sampled_from(["at", "kind", "body", "previous", "hash"]),
    value=st.text(max_size=5) | st.binary(max_size=5) | st.integers(0, 9) | st.sampled_from(["{}", "0" * 64, b"\xff"]),
    as_text=st.booleans(),
)
def test_a_changed_column_names_its_record(
    chain: AuditChain, database: Database, victim: int, column: str, value: object, as_text: bool
) -> None:
    if chain.head().number == 0:
        without_triggers(database)
        filled(chain)
    if victim == 1 and column == "previous" and value in ("0" * 64, b"0" * 64):
        return  # what it already is
    [(before,)] = database.execute(f"SELECT {column} FROM audit WHERE number = ?", (victim,))
    new = "CAST(? AS TEXT)" if as_text else "?"  # bytes as text need not be UTF-8
    database.execute(f"UPDATE audit SET {column} = {new} WHERE number = ?", (value, victim))
    broken = chain.verify()
    database.execute(f"UPDATE audit SET {column} = ? WHERE number = ?", (before, victim))
    assert broken is not None
    assert broken.number == victim
    assert chain.verify() is None


@pytest.mark.parametrize("victim", [1, 3, 5])
@pytest.mark.parametrize("new", [0, -3, 9, 1 << 62])
def test_a_changed_number_names_the_record_that_is_missing(
    chain: AuditChain, database: Database, victim: int, new: int
) -> None:
    without_triggers(database)
    filled(chain)
    database.execute("UPDATE audit SET number = ? WHERE number = ?", (new, victim))
    broken = chain.verify()
    assert broken is not None
    assert broken.number == victim


@pytest.mark.parametrize("victim", [1, 3, 4])
def test_a_removed_record_is_missed(chain: AuditChain, database: Database, victim: int) -> None:
    without_triggers(database)
    filled(chain).add("last")
    database.execute("DELETE FROM audit WHERE number = ?", (victim,))
    assert chain.verify() == Broken(victim, "It is missing.")


def test_removing_the_newest_is_noticed(chain: AuditChain, database: Database) -> None:
    without_triggers(database)
    filled(chain)
    kept = chain.head()
    database.execute("DELETE FROM audit WHERE number > 3")
    assert chain.verify() == Broken(4, "It is missing, and so is every later one up to 5.")
    [(hash_,)] = database.execute("SELECT hash FROM audit WHERE number = 3")
    database.execute("UPDATE audit_head SET number = 3, hash = ?", (hash_,))
    assert chain.verify() is None  # who has the key can do that; hence a head in another place
    assert chain.verify(kept) == Broken(4, "It is missing, and so is every later one up to 5.")


def test_a_chain_written_anew_differs_from_the_head_that_was_kept(chain: AuditChain, database: Database) -> None:
    kept = filled(chain).head()
    without_triggers(database)
    database.execute("DELETE FROM audit")
    database.execute("UPDATE audit_head SET number = 0, hash = ?", ("0" * 64,))
    filled(chain, 6)
    assert chain.verify() is None
    for broken in (chain.verify(kept), verify_export(chain.export(), kept)):
        assert broken is not None
        assert broken.number == 5


def test_records_outside_the_chain(chain: AuditChain, database: Database) -> None:
    filled(chain)
    database.execute("INSERT INTO audit SELECT -1, at, kind, body, previous, hash FROM audit WHERE number = 1")
    assert chain.verify() == Broken(6, "It stands outside the chain: it was not written by offline-agent.")


@pytest.mark.parametrize("change", ["number = 3", "number = -7", "hash = 'x'", "hash = x'ff'"])
def test_a_changed_head(chain: AuditChain, database: Database, change: str) -> None:
    filled(chain)
    database.execute(f"UPDATE audit_head SET {change}")
    assert chain.verify() is not None


@pytest.mark.parametrize("change", ["DELETE FROM audit_head", "UPDATE audit_head SET number = 'x'"])
def test_no_head(chain: AuditChain, database: Database, change: str) -> None:
    database.execute(change)
    for use in (chain.verify, chain.head, lambda: chain.add("x")):
        with pytest.raises(VaultDamaged, match="head"):
            use()


@pytest.mark.parametrize("body", ["{", "[]", b"\xff"])
def test_a_damaged_record_is_said_by_number(chain: AuditChain, database: Database, body: object) -> None:
    without_triggers(database)
    filled(chain)
    database.execute("UPDATE audit SET body = ? WHERE number = 3", (body,))
    with pytest.raises(VaultDamaged, match="record 3 "):
        chain.records()
    with pytest.raises(VaultDamaged, match="record 3 "):
        list(chain.export())


@KEPT_FIXTURE
@given(data=st.data())
def test_one_changed_character_of_an_export_names_its_line(chain: AuditChain, data: st.DataObject) -> None:
    if chain.head().number == 0:
        filled(chain)
    lines = list(chain.export())
    victim = data.draw(st.integers(0, 4))
    place = data.draw(st.integers(0, len(lines[victim]) - 1))
    character = data.draw(st.characters(exclude_categories=()).filter(lambda c: c != lines[victim][place]))
    lines[victim] = lines[victim][:place] + character + lines[victim][place + 1 :]
    broken = verify_export(lines)
    assert broken is not None
    assert broken.number == victim + 1


@KEPT_FIXTURE
@given(lines=st.lists(st.text() | ANY_JSON.map(json.dumps), min_size=1))
def test_any_file_is_only_broken(lines: list[str]) -> None:
    assert (verify_export(lines) is None) == (not any(line.strip() for line in lines))


def test_lines_missing_from_an_export(chain: AuditChain) -> None:
    lines = list(filled(chain).export())
    assert verify_export([*lines[:2], *lines[3:]]) == Broken(3, "It is missing.")
    assert verify_export(lines[:3]) is None
    assert verify_export(lines[:3], kept=Head(5, json.loads(lines[4])["hash"])) == (
        Broken(4, "It is missing, and so is every later one up to 5.")
    )


def test_all_who_append_at_once_make_one_chain(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from offline_agent.vault.plain import PlainVault\n"
        "from offline_agent.vault.audit import AuditChain\n"
        "chain = AuditChain(PlainVault(Path(sys.argv[1])).database('main', durable=True))\n"
        "for n in range(25): chain.add('tick', who=sys.argv[2], n=n)"
    )
    racers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(who)]) for who in range(4)]
    assert [racer.wait() for racer in racers] == [0] * 4
    database = PlainVault(tmp_path).database("main", durable=True)
    chain = AuditChain(database)
    assert chain.verify() is None
    said = [(record.body["who"], record.body["n"]) for record in chain.records()]
    assert sorted(said) == [(str(who), n) for who in range(4) for n in range(25)]
    database.close()


def test_a_killed_process_leaves_a_whole_chain(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from offline_agent.vault.plain import PlainVault\n"
        "from offline_agent.vault.audit import AuditChain\n"
        "chain = AuditChain(PlainVault(Path(sys.argv[1])).database('main', durable=True))\n"
        "for n in range(10**9): chain.add('tick', n=n); print(chain.head().number, flush=True)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    first = [child.stdout.readline() for _ in range(50)]
    child.kill()
    said = [*first, *child.stdout.read().splitlines()]
    child.wait()
    child.stdout.close()
    database = PlainVault(tmp_path).database("main", durable=True)
    chain = AuditChain(database)
    assert chain.verify() is None
    assert int(said[-1]) <= chain.head().number <= int(said[-1]) + 1
    database.close()
