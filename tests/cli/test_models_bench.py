"""`models bench` as a person runs it, with the built-in model."""

import argparse
import json
from pathlib import Path
from typing import Never

import pytest

from offline_agent import app
from offline_agent.benchmarks import Benchmark, Score, SpeedPoint
from offline_agent.cli import bench_table, main, models_bench
from offline_agent.settings import load_settings

ROOT = Path(__file__).parents[2]
POCKET = ROOT / "models" / "pocket.gguf"
SHORT = ("--only", "speed", "--lengths", "128", "--runs", "1")


def test_a_model_is_measured_kept_and_drawn_though_another_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn, broken = tmp_path / "speed.html", tmp_path / "broken.gguf"
    broken.write_bytes(POCKET.read_bytes()[:4_000_000])
    assert main(["models", "bench", *SHORT, "--json", "--plot", str(drawn), str(broken), str(POCKET)]) == 42
    said = capsys.readouterr()
    measured = json.loads(said.out)
    [benchmark] = [Benchmark.model_validate(one) for one in measured["benchmarks"]]
    assert (benchmark.model, benchmark.quantisation, benchmark.context) == ("pocket", "F16", 2048)
    assert benchmark.size == POCKET.stat().st_size
    assert [(point.prompt_tokens, point.threads) for point in benchmark.speeds] == [(128, 1)]
    assert min(benchmark.decode, benchmark.prefill, benchmark.first_token_cold, benchmark.load_seconds) > 0
    assert benchmark.peak_memory > benchmark.size
    assert benchmark.calls is None
    assert measured["advice"]["model"] == "pocket"
    assert "broken.gguf" in said.err
    assert "pocket: its speed takes about" in said.err
    assert ">pocket<" in drawn.read_text()

    assert main(["models", "bench", "--history", "--json", "pocket"]) == 0
    [kept] = json.loads(capsys.readouterr().out)["benchmarks"]
    assert kept.pop("change") is None
    assert Benchmark.model_validate(kept) == benchmark
    assert main(["models", "bench", "--history", "none"]) == 0
    assert "Nothing was measured yet of none." in capsys.readouterr().out
    assert main(["models", "bench", "--history"]) == 0
    assert "No quality was measured." in capsys.readouterr().out


class InterruptedIndex:
    """An Index at which somebody presses Ctrl-C."""

    def search(self, question: str, limit: int = 8) -> Never:
        raise KeyboardInterrupt


def test_ctrl_c_ends_all(repository: Path) -> None:
    [subject], _ = app.bench_subjects(load_settings(), ["pocket"])
    place, index = app.open_repository(repository), InterruptedIndex()
    wanted = app.Wanted(parts=("citations",), repository=place, index=index)  # type: ignore[arg-type]
    kept: list[Benchmark] = []
    session = models_bench.Session()
    models_bench.measure_all([subject, subject], wanted, kept.append, session)
    assert session.stopped
    assert kept == []


def test_ctrl_c_keeps_what_was_measured() -> None:
    [subject], _ = app.bench_subjects(load_settings(), [str(POCKET)])

    def told(part: str, done: float, of: float) -> None:
        if trial.benchmark.speeds:
            raise KeyboardInterrupt

    trial = app.Trial(subject, app.Wanted(plan=app.QUICK), told)
    with pytest.raises(KeyboardInterrupt):
        trial.run()
    assert trial.measured
    assert [point.prompt_tokens for point in trial.benchmark.speeds] == [128]
    assert trial.benchmark.notes == ("It was stopped before all of it was measured.",)


def test_only_models_on_this_machine_are_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["models", "bench", "http://127.0.0.1:9/v1"]) == 2
    assert main(["models", "bench", "no-such-model"]) == 2
    monkeypatch.setenv("OFFLINE_AGENT_ENDPOINT_URL", "http://127.0.0.1:9/v1")
    assert main(["models", "bench"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "is an address" in said[0]
    assert "http://127.0.0.1:9/v1 answers here" in said[-1]


def test_nothing_measured_is_said(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert main(["models", "bench", "--history"]) == 51
    assert not (home / ".local").exists()
    assert "vault" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--only", "speed,colour"), ("--lengths", "128,x"), ("--runs", "0")])
def test_options_that_mean_nothing_are_refused(option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["models", "bench", *option])
    assert option[0] in capsys.readouterr().err


def bench(at: float, decode: float, **more: object) -> Benchmark:
    speeds = tuple(
        SpeedPoint(prompt_tokens=tokens, threads=threads, prefill=1234.5, decode=decode)
        for tokens in (128, 512, 2048, 8192, 32768, 131072)
        for threads in (1, 16)
    )
    values = {"sha256": "ab" * 32, "version": "0.1.0", "machine": "m", "size": 1, "speeds": speeds}
    values |= {
        "load_seconds": 123.4,
        "peak_memory": 63_000_000_000,
        "first_token_cold": 98.76,
        "first_token_saved": 9.87,
    }
    name = "an-organisation-and-a-model-of-some-name-32b-q4_k_m"
    return Benchmark.model_validate({"model": name, "at": at, **values, **more})


def test_tables_fit_80_columns_and_tell_what_changed() -> None:
    score = Score(right=1, of=1)
    old = bench(1.0, 1000.0, calls=score, citations=score, edits=score)
    new = bench(2.0, 1120.0, version="0.2.0", sha256="cd" * 32, calls=score, edits=Score(right=0, of=3))
    lines = list(bench_table.table([old, new]))
    assert max(map(len, lines)) <= 80
    assert sum("q4_k_m" in line for line in lines) == 2 + 4
    assert "100   100   100" in lines[2]
    told = list(bench_table.history([new, old], [app.compare(new, [old, new]), None]))
    assert max(map(len, told)) <= 80
    assert "1,120 +12%" in told[1]
    assert "50 % \N{MINUS SIGN}50%" in told[1]
    assert "offline-agent 0.1.0" in told[2]
    assert "another file" in told[3]
    assert len(told) == 1 + 1 + 2 + 1


def test_lists_of_numbers_are_sorted_and_named_once() -> None:
    parser = argparse.ArgumentParser()
    models_bench.add_to(parser.add_subparsers())
    arguments = parser.parse_args(["bench", "--threads", "4, 1,4", "--only", "edits,speed"])
    assert arguments.threads == (1, 4)
    assert arguments.only == ("speed", "edits")
