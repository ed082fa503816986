from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import VaultTooNew
from offline_agent.protocols import Database
from offline_agent.vault.plain import PlainVault
from offline_agent.vault.schema import LOGS, MAIN, storable


def layout(database: Database) -> set[tuple[str, str]]:
    rows = database.execute("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
    return {(kind, name) for kind, name in rows}


@pytest.mark.parametrize("steps", [MAIN, LOGS], ids=["main", "logs"])
def test_every_earlier_version_ends_in_the_same_tables(tmp_path: Path, steps: tuple[tuple[str, ...], ...]) -> None:
    layouts = []
    for version in range(len(steps)):
        database = PlainVault(tmp_path).database(f"from-{version}")
        database.migrate(steps[:version])
        database.migrate(steps)
        layouts.append(layout(database))
        database.close()
    assert all(each == layouts[0] for each in layouts)


def test_a_later_step_keeps_what_earlier_versions_stored(database: Database) -> None:
    database.migrate(MAIN)
    database.execute("INSERT INTO prompts (repository, text) VALUES ('r', 'kept')")
    steps = (
        *MAIN,
        ("ALTER TABLE prompts ADD COLUMN at REAL",),
        ("UPDATE prompts SET at = 1.0", "CREATE TABLE new (x)"),
    )
    database.migrate(steps)
    database.migrate(steps)
    assert list(database.execute("SELECT repository, text, at FROM prompts")) == [("r", "kept", 1.0)]
    with pytest.raises(VaultTooNew):
        database.migrate(MAIN)


def test_a_step_that_fails_leaves_the_version_before_it(database: Database) -> None:
    database.migrate(MAIN)
    before = layout(database)
    with pytest.raises(Exception, match="nowhere"):
        database.migrate((*MAIN, ("CREATE TABLE half (x)", "INSERT INTO nowhere VALUES (1)")))
    assert layout(database) == before
    database.migrate(MAIN)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_storable_text_is_utf8_and_whole_text_is_untouched(text: str) -> None:
    stored = storable(text)
    assert stored.encode().decode() == stored
    assert storable(stored) == stored
    if "\ud800" <= max(text, default="") <= "\udfff" or any("\ud800" <= c <= "\udfff" for c in text):
        return
    assert stored == text


def test_storable_joins_pairs_and_marks_halves() -> None:
    assert storable("a\ud83d\ude00b\udcffc") == "a\U0001f600b\ufffdc"
