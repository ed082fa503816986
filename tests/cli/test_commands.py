"""The commands as a person runs them: real index, real llama.cpp, one home for each test."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from offline_agent.cli import main

POCKET = Path(__file__).parents[2] / "models" / "pocket.gguf"


def run(*arguments: str | Path, stdin: str | None = "") -> "subprocess.CompletedProcess[str]":
    """The program in a process of its own; `stdin=None` closes standard input."""
    command = [sys.executable, "-m", "offline_agent", *map(str, arguments)]
    if stdin is None:
        command = ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *command]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)


def test_search_speaks_json(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "where is apply_discount defined", "--json", "--limit", "2", "--repo", str(repository)]) == 0
    hits = json.loads(capsys.readouterr().out)
    assert len(hits) <= 2
    assert hits[0]["path"] == "pricing.py"
    assert (hits[0]["start_line"], hits[0]["end_line"], hits[0]["symbol"]) == (1, 3, "apply_discount")
    assert hits[0]["text"].startswith("def apply_discount")
    assert hits[0]["score"] >= hits[-1]["score"]


def test_search_for_people(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "Cart.add", "--repo", str(repository)]) == 0
    assert capsys.readouterr().out.startswith("1. cart.py:4-6 Cart.add")


def test_ask_answers_with_citations_that_exist(repository: Path) -> None:
    done = run("ask", "--json", "--repo", repository, "Where is apply_discount defined?")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["search"]["lexical"] is True
    assert answer["model"] == "pocket"
    assert {citation["path"] for citation in answer["citations"]} <= {"pricing.py", "cart.py", "README.md"}
    assert answer["citations"][0]["path"] == "pricing.py"


def test_ask_reads_standard_input(repository: Path) -> None:
    done = run("ask", "--repo", repository, stdin="Where is apply_discount defined?\n")
    assert done.returncode == 0, done.stderr
    assert "pricing.py:1-3" in done.stdout
    assert complaints(done) == []


def test_an_empty_repository_is_answered(tmp_path: Path) -> None:
    done = run("ask", "--repo", tmp_path, "Where is main defined?")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_index_status_and_clear(repository: Path, capsys: pytest.CaptureFixture[str], home: Path) -> None:
    (repository / "logo.png").write_bytes(b"\x89PNG\0\0")
    main(["search", "x", "--repo", str(repository)])
    capsys.readouterr()
    assert main(["index", "--repo", str(repository), "status"]) == 0
    said = capsys.readouterr().out
    assert "skipped logo.png: binary" in said
    assert main(["index", "--repo", str(repository), "clear"]) == 0
    assert not list(home.rglob("chunks.sqlite3"))
    assert (repository / "pricing.py").exists()


def test_doctor_finds_everything_right(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--repo", str(repository)]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert "hash right" in checks["model"]["found"]
    assert "every hash right" in checks["embedder"]["found"]


def test_doctor_finds_a_broken_model(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(POCKET.read_bytes()[:100_000])
    assert main(["doctor", "--model", str(broken), "--repo", str(repository)]) == 1
    assert "wrong model" in capsys.readouterr().out


def expect_one_line(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    [complaint] = complaints(done)
    assert complaint.startswith("offline-agent: ")
    for word in words:
        assert word in complaint


def complaints(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """What was said on standard error, but for what is said once about a new vault."""
    return [line for line in done.stderr.splitlines() if "The vault's key is the file" not in line]


def test_a_missing_model(repository: Path) -> None:
    expect_one_line(run("ask", "--repo", repository, "--model", "/nowhere/x.gguf", "q"), 41, "/nowhere/x.gguf")


@pytest.mark.parametrize("content", [POCKET.read_bytes()[:5_000_000], POCKET.read_bytes()[:50], os.urandom(4096), b""])
def test_a_broken_model(repository: Path, tmp_path: Path, content: bytes) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(content)
    expect_one_line(run("ask", "--repo", repository, "--model", model, "q"), 42, "model.gguf")


def test_no_question(repository: Path) -> None:
    expect_one_line(run("ask", "--repo", repository), 2, "no question")


def test_a_binary_file_on_standard_input_is_no_crash(repository: Path) -> None:
    command = [sys.executable, "-m", "offline_agent", "ask", "--repo", str(repository), "What is this?"]
    done = subprocess.run(command, input=bytes(range(256)), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_question_longer_than_the_model_reads(repository: Path) -> None:
    expect_one_line(run("ask", "--repo", repository, stdin="many words " * 3000), 45, "tokens")


def test_words_that_are_no_text(repository: Path) -> None:
    command = [
        sys.executable.encode(),
        b"-m",
        b"offline_agent",
        b"search",
        b"--repo",
        os.fsencode(repository),
        b"caf\xe9 cart",
    ]
    assert b"cart.py" in subprocess.run(command, capture_output=True, check=True).stdout


def test_standard_input_is_closed(repository: Path) -> None:
    expect_one_line(run("ask", "--repo", repository, stdin=None), 2, "no question")


def test_chat_without_a_terminal(repository: Path) -> None:
    expect_one_line(run("chat", "--repo", repository), 2, "terminal", "ask")


def test_no_such_repository() -> None:
    expect_one_line(run("search", "--repo", "/no/where", "q"), 10, "/no/where")


def test_a_home_directory_is_not_a_project(home: Path) -> None:
    expect_one_line(run("search", "--repo", home, "q"), 10, "not a project")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_repository(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    expect_one_line(run("search", "--repo", tmp_path / "closed", "q"), 10, "permissions")


def test_a_read_only_home(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environment = os.environ | {"XDG_DATA_HOME": str(tmp_path / "file")}
    command = [sys.executable, "-m", "offline_agent", "search", "--repo", str(repository), "q"]
    expect_one_line(subprocess.run(command, env=environment, capture_output=True, text=True), 21, "XDG_DATA_HOME")


def test_a_reader_that_leaves_early_is_no_error(repository: Path) -> None:
    command = f'"{sys.executable}" -m offline_agent search --repo "{repository}" cart | true'
    done = subprocess.run(["/bin/bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root or a user namespace")
def test_nothing_needs_a_network(repository: Path) -> None:
    command = [
        "unshare",
        "-n",
        sys.executable,
        "-m",
        "offline_agent",
        "ask",
        "--repo",
        str(repository),
        "Where is Cart?",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if "unshare" in done.stderr:
        pytest.skip("no right to make a network namespace here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_process_of_ours_opens_an_internet_socket(repository: Path, tmp_path: Path) -> None:
    """Front, model worker and index worker with torch and Chroma: every socket call of all of them is looked at."""
    log = tmp_path / "strace.log"
    for command in (["index", "--repo", repository, "build"], ["ask", "--repo", repository, "Where is Cart defined?"]):
        traced = [
            "strace",
            "-f",
            "--seccomp-bpf",  # stops for these calls alone, which is a third quicker
            "-e",
            "trace=socket,connect",
            "-o",
            log,
            sys.executable,
            "-m",
            "offline_agent",
            *command,
        ]
        done = subprocess.run([str(word) for word in traced], capture_output=True, text=True, timeout=120)
        if "ptrace" in done.stderr:
            pytest.skip("no right to trace here")
        assert done.returncode == 0, done.stderr
        calls = log.read_text()
        assert "AF_UNIX" in calls
        assert "AF_INET" not in calls
