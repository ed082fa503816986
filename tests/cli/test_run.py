"""`run` from the outside: a real model file that acts, real tools, the real sandbox; how it ends, and what it says."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from offline_agent.cli.run import in_json
from offline_agent.events import Answered, Event, Searched, Token
from offline_agent.settings import load_settings
from offline_agent.types import Chunk, Hit, SearchResult
from tests.cli.actor import write_actor
from tests.cli.typed import COMMAND, unattended

WRITTEN = "def f():\n    return 2\n"
NUMBER = "5fd3c0a9"  # of a command whose processes are looked for


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes f.py, runs a command that reads it, and says so."""
    calls = (("write", {"path": "f.py", "content": WRITTEN}), ("run", {"command": "cp f.py g.py && cat g.py"}))
    return write_actor(tmp_path_factory.mktemp("models") / "actor.gguf", *calls, say="f returns 2 now.")


def run(repository: Path, model: Path, *arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return unattended("run", "--repo", str(repository), "--model", str(model), *arguments, **options)


def events_of(done: "subprocess.CompletedProcess[str]") -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def acted(done: "subprocess.CompletedProcess[str]") -> list[bool]:
    """Of each call in order whether it failed."""
    return [bool(event["failed"]) for event in events_of(done) if event["type"] == "acted"]


def test_a_task_from_standard_input_is_done_and_told_as_json(repository: Path, actor: Path) -> None:
    allowed = ("--allow", "edit:?.py", "--allow", "bash:cp *", "--json")
    done = run(repository, actor, *allowed, stdin=None, input="make f return 2\n")
    events = events_of(done)
    assert done.returncode == 0, done.stderr
    assert acted(done) == [False, False]
    assert (events[-1]["type"], events[-1]["text"], events[-1]["stopped"]) == ("answered", "f returns 2 now.", "end")
    assert [event["type"] for event in events].count("answered") == 1
    assert (repository / "g.py").read_text() == WRITTEN


def test_what_would_ask_is_denied_and_the_model_goes_on(repository: Path, actor: Path) -> None:
    done = run(repository, actor, "--allow", "bash:cp *", "--json", "make f return 2")
    assert done.returncode == 0, done.stderr
    assert acted(done) == [True, True]  # cp has nothing to copy
    assert not (repository / "f.py").exists()


def test_a_configured_deny_holds_against_yes_and_allow(repository: Path, actor: Path, home: Path) -> None:
    rules = home / ".config" / "offline-agent" / "permission.json"
    rules.parent.mkdir(parents=True)
    rules.write_text(json.dumps({"permission": {"edit": {"f.py": "deny"}}}))
    done = run(repository, actor, "--yes", "--allow", "edit", "--json", "make f return 2")
    assert done.returncode == 0, done.stderr
    assert acted(done) == [True, True]
    assert not (repository / "f.py").exists()


def test_a_limit_that_is_reached_has_an_exit_code(repository: Path, actor: Path) -> None:
    done = run(repository, actor, "--yes", "--max-steps", "1", "make f return 2")
    assert done.returncode == 65, done.stderr
    assert "I stopped after 1 step " in done.stdout
    assert not (repository / "f.py").exists()


def test_plan_only_reads(repository: Path, actor: Path) -> None:
    done = run(repository, actor, "--agent", "plan", "--yes", "--json", "make f return 2")
    assert events_of(done)[-1]["type"] == "answered"
    assert not (repository / "f.py").exists()


@pytest.mark.parametrize("agent", ["build", "plan"])
def test_where_nothing_confines_commands_an_agent_that_runs_them_does_not_begin(
    agent: str, repository: Path, actor: Path, tmp_path: Path
) -> None:
    environment = os.environ | {"PATH": str(tmp_path), "OFFLINE_AGENT_SANDBOX_MECHANISM": "bubblewrap"}
    done = run(repository, actor, "--yes", "--agent", agent, "make f return 2", env=environment)
    assert (done.returncode == 62) == (agent == "build"), done.stderr
    assert ("bubblewrap (bwrap) is not on PATH" in done.stderr) == (agent == "build")
    assert not (repository / "f.py").exists()


@pytest.mark.parametrize("rule", ["edit:", "", ":x"])
def test_a_rule_that_cannot_be_understood_is_told_before_a_model_is_looked_for(rule: str, repository: Path) -> None:
    done = run(repository, repository / "none.gguf", "--allow", rule, "a task")
    assert done.returncode == 2, done.stdout
    assert "--allow" in done.stderr


def test_a_model_that_uses_no_tools_is_given_no_task(repository: Path, home: Path) -> None:
    own = home / ".config" / "offline-agent" / "models.toml"
    own.parent.mkdir(parents=True, exist_ok=True)
    pocket = load_settings().models_directory / "pocket.gguf"
    own.write_text(f'[models.forgetful]\nfile = "{pocket}"\nremembers_turns = false\n')
    done = unattended("run", "--repo", str(repository), "--yes", "--model", "forgetful", "make f return 2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "forgetful answers questions and uses no tools" in done.stderr


def test_the_built_in_model_does_what_one_tool_can_do(repository: Path) -> None:
    done = unattended("run", "--repo", str(repository), "--yes", "create the file notes.txt with the text hello")
    assert done.returncode == 0, done.stderr
    assert (repository / "notes.txt").read_text() == "hello\n"


def test_ctrl_c_ends_the_command_the_model_and_the_turn(repository: Path, tmp_path: Path) -> None:
    """What the turn had done until then can be undone."""
    calls = (("write", {"path": "f.py", "content": WRITTEN}), ("run", {"command": f"touch begun; sleep 300.{NUMBER}"}))
    model = write_actor(tmp_path / "sleeper.gguf", *calls)
    arguments = ["run", "--yes", "--repo", str(repository), "--model", str(model), "sleep"]
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _wait_for(repository / "begun", process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not list(_processes(NUMBER, str(model)))
    undone = unattended("undo", "--repo", str(repository), "--json")
    assert {"f.py", "begun"} <= set(json.loads(undone.stdout)["paths"])
    assert not (repository / "f.py").exists()


def _wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def _processes(*words: str) -> Iterator[str]:
    """The command lines that have one of the words in them."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes().decode("utf-8", "replace")
        except OSError:  # it has ended meanwhile
            continue
        if any(word in line for word in words):
            yield line


def test_json_has_the_answer_whole_and_of_a_search_the_places(capsys: pytest.CaptureFixture[str]) -> None:
    chunk = Chunk(path="a.py", start_line=1, end_line=3, text="x = 'é\x1b'\n")
    events: list[Event] = [
        Searched(result=SearchResult(hits=(Hit(chunk=chunk, score=1.0),))),
        Token(text="It is"),
        Answered(text="It is\nhere."),
    ]
    assert list(in_json(events)) == events
    searched, answered = map(json.loads, capsys.readouterr().out.splitlines())
    assert searched["result"]["hits"] == ["a.py:1-3"]
    assert answered["text"] == "It is\nhere."
