from pathlib import Path

from offline_agent.protocols import Approvals, Database
from offline_agent.vault.approvals import SealedApprovals
from offline_agent.vault.plain import PlainVault
from offline_agent.vault.schema import MAIN


def test_what_was_approved_is_listed_and_revoked(database: Database) -> None:
    approvals: Approvals = SealedApprovals(database, "r", clock=lambda: 5.0)
    assert approvals.all() == []
    one = approvals.add("bash", "git commit *")
    two = approvals.add("edit", "src/*")
    assert approvals.add("bash", "git commit *") == one
    assert [(a.id, a.permission, a.pattern, a.at) for a in approvals.all()] == [
        (1, "bash", "git commit *", 5.0),
        (2, "edit", "src/*", 5.0),
    ]
    assert approvals.revoke(1)
    assert not approvals.revoke(1)
    assert approvals.all() == [two]


def test_each_repository_has_its_own(database: Database) -> None:
    mine, other = SealedApprovals(database, "r"), SealedApprovals(database, "s")
    approved = mine.add("bash", "make *")
    other.add("bash", "make *")
    assert len(other.all()) == 1
    assert not other.revoke(approved.id)
    mine.clear()
    assert (mine.all(), len(other.all())) == ([], 1)


def test_a_number_is_never_given_twice(database: Database) -> None:
    approvals = SealedApprovals(database, "r")
    first = approvals.add("bash", "make *")
    approvals.revoke(first.id)
    assert approvals.add("bash", "rm *").id != first.id


def test_they_are_there_the_next_time(tmp_path: Path) -> None:
    vault = PlainVault(tmp_path)
    database = vault.database("main", durable=True)
    approved = SealedApprovals(database, "r").add("edit", "größe \udcff/*")
    database.close()
    database = vault.database("main", durable=True)
    assert SealedApprovals(database, "r").all() == [approved]
    assert approved.pattern == "größe \ufffd/*"
    database.close()


def test_nothing_of_a_revoked_one_is_left(database: Database, tmp_path: Path) -> None:
    approvals = SealedApprovals(database, "r")
    approvals.revoke(approvals.add("bash", "deploy-to-secret-host *").id)
    assert b"secret-host" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_vault_of_an_earlier_version_gets_them(database: Database) -> None:
    database.migrate(MAIN[:2])
    database.execute("INSERT INTO prompts (repository, text) VALUES ('r', 'kept')")
    approved = SealedApprovals(database, "r").add("bash", "make *")
    assert SealedApprovals(database, "r").all() == [approved]
    assert list(database.execute("SELECT text FROM prompts")) == [("kept",)]
