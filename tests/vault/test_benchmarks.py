from contextlib import closing
from pathlib import Path

import pytest

from offline_agent.benchmarks import Benchmark, Score, SpeedPoint
from offline_agent.protocols import Database
from offline_agent.vault.approvals import SealedApprovals
from offline_agent.vault.benchmarks import Benchmarks
from offline_agent.vault.plain import PlainVault
from offline_agent.vault.schema import MAIN


def measured(model: str, at: float, **more: object) -> Benchmark:
    values = {"sha256": "ab" * 32, "version": "0.1.0", "machine": "a CPU, 2 cores", "size": 9, **more}
    return Benchmark.model_validate({"model": model, "at": at, **values})


def test_the_newest_come_first_and_come_back_whole(database: Database) -> None:
    benchmarks = Benchmarks(database)
    one = measured(
        "qwen",
        1.0,
        speeds=(SpeedPoint(prompt_tokens=128, threads=2, prefill=90.5, decode=11.25),),
        edits=Score(right=3, of=4, failures=("rename-é: the test fails",)),
    )
    two, three = measured("pocket", 2.0), measured("qwen", 3.0)
    for benchmark in (three, one, two):
        benchmarks.add(benchmark)
    assert benchmarks.all() == [three, two, one]
    assert benchmarks.of("qwen") == [three, one]
    assert benchmarks.of("none") == []


def test_the_oldest_make_room(database: Database) -> None:
    benchmarks = Benchmarks(database, kept=3)
    for at in (5.0, 1.0, 4.0, 2.0, 3.0):
        benchmarks.add(measured("qwen", at))
    assert [one.at for one in benchmarks.all()] == [5.0, 4.0, 3.0]


def test_removing_erases_those_of_one_model(database: Database, tmp_path: Path) -> None:
    benchmarks = Benchmarks(database)
    benchmarks.add(measured("qwen", 1.0, repository="/home/me/secret-project"))
    benchmarks.add(measured("pocket", 2.0))
    assert benchmarks.remove("qwen") == 1
    assert benchmarks.remove("qwen") == 0
    assert [one.model for one in benchmarks.all()] == ["pocket"]
    assert b"secret-project" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_what_another_version_measured_is_passed_over(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    benchmarks = Benchmarks(database)
    benchmarks.add(measured("qwen", 1.0))
    body = measured("qwen", 2.0).model_dump_json().replace('"notes"', '"colour": "red", "notes"')
    database.execute("INSERT INTO benchmarks (model, at, body) VALUES ('qwen', 2.0, ?)", (body,))
    assert [one.at for one in benchmarks.of("qwen")] == [1.0]
    assert "not understood" in caplog.text


def test_a_vault_of_version_3_gets_them_and_keeps_what_it_has(tmp_path: Path) -> None:
    vault = PlainVault(tmp_path)
    with closing(vault.database("main", durable=True)) as database:
        database.migrate(MAIN[:3])
        database.execute("INSERT INTO prompts (repository, text) VALUES ('r', 'kept')")
        database.execute(
            "INSERT INTO approvals (repository, permission, pattern, at) VALUES ('r', 'bash', 'make *', 5.0)"
        )
    with closing(vault.database("main", durable=True)) as database:
        Benchmarks(database).add(measured("qwen", 1.0))
        assert [one.pattern for one in SealedApprovals(database, "r").all()] == ["make *"]
        assert list(database.execute("SELECT text FROM prompts")) == [("kept",)]
        assert list(database.execute("PRAGMA user_version")) == [(4,)]
