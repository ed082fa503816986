from pathlib import Path

import pytest

from offline_agent.errors import UsageError
from offline_agent.protocols import Database
from offline_agent.vault.credentials import Credentials


def test_what_was_set_is_got(database: Database) -> None:
    credentials = Credentials(database)
    assert (credentials.get("openai"), credentials.names()) == (None, [])
    credentials.set("openai", "sk-1")
    credentials.set("lan", "pässword\0")
    assert (credentials.get("openai"), credentials.get("lan")) == ("sk-1", "pässword\0")
    assert credentials.names() == ["lan", "openai"]


def test_nothing_of_a_replaced_or_removed_one_is_left(database: Database, tmp_path: Path) -> None:
    credentials = Credentials(database)
    credentials.set("a", "first-secret")
    credentials.set("a", "second-secret")
    assert b"first-secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert credentials.remove("a")
    assert not credentials.remove("a")
    assert credentials.get("a") is None
    assert b"second-secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_what_is_no_text_is_refused_and_not_repeated(database: Database) -> None:
    credentials = Credentials(database)
    with pytest.raises(UsageError) as refused:
        credentials.set("a", "geheim\udcff")
    assert "geheim" not in str(refused.value)
    with pytest.raises(UsageError):
        credentials.set("\udcff", "x")
    assert credentials.get("\udcff") is None
    assert credentials.names() == []
