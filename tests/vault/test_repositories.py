import itertools
import re
import subprocess
import sys
from pathlib import Path

from offline_agent.protocols import Database
from offline_agent.vault.repositories import Repositories, Repository


def ticking() -> "itertools.count[float]":
    return itertools.count(1.0, 1.0)


def test_a_root_keeps_its_random_key(database: Database) -> None:
    repositories = Repositories(database)
    first, second = repositories.key("/a"), repositories.key("/b")
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert first != second
    assert (Repositories(database).key("/a"), Repositories(database).key("/b")) == (first, second)


def test_the_last_opened_comes_first(database: Database) -> None:
    repositories = Repositories(database, ticking().__next__)
    a, b = repositories.key("/a"), repositories.key("/b")
    assert repositories.all() == [Repository(b, "/b", 2.0), Repository(a, "/a", 1.0)]
    repositories.touch(a)
    assert repositories.all()[0] == (a, "/a", 3.0)


def test_a_root_that_is_no_utf8(database: Database) -> None:
    repositories = Repositories(database)
    key = repositories.key("/src/\udcff")
    assert repositories.key("/src/\udcff") == key
    assert [row.root for row in repositories.all()] == ["/src/\udcff"]


def test_a_forgotten_root_leaves_no_trace(database: Database, tmp_path: Path) -> None:
    repositories = Repositories(database)
    key = repositories.key("/home/me/very-secret-project")
    repositories.forget(key)
    assert repositories.all() == []
    assert not any(b"very-secret" in path.read_bytes() for path in tmp_path.iterdir())
    assert repositories.key("/home/me/very-secret-project") != key


def test_all_who_ask_at_once_get_the_same(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from offline_agent.vault.plain import PlainVault\n"
        "from offline_agent.vault.repositories import Repositories\n"
        "print(Repositories(PlainVault(Path(sys.argv[1])).database('main', durable=True)).key('/a'))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert len({racer.communicate()[0] for racer in racers}) == 1
    assert [racer.returncode for racer in racers] == [0] * 6
