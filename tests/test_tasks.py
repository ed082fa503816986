"""Whole tasks with a scripted model and everything else real: tools, permissions, sandbox, index, sealed journals.

Each ends with its check green; undo brings the tree back as it was, modes and times included, and redo the result.
"""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from offline_agent.app import open_program
from offline_agent.events import Acted, Answered, Called, Event, Piece
from offline_agent.llm.scripted import ScriptedModel
from offline_agent.settings import Settings, load_settings
from offline_agent.types import ToolCall

from .guard.trees import look

TASKS = Path(__file__).parent / "cases" / "tasks"
ALLOWED = ["edit", "bash:*"]
"""What a person who trusts the sandbox says with --allow."""


class Task(NamedTuple):
    """`answers` are what the model says, and `fails` the words that the result of a call must have, by the call's id."""

    prompt: str
    check: str
    answers: list[list[str | Piece]]
    calls: list[str]
    fails: dict[str, str]


def task_of(name: str) -> Task:
    values = tomllib.loads((TASKS / name / "task.toml").read_text())
    task, ids = Task(values["prompt"], values["check"], [], [], {}), count(1)
    for step in values["step"]:
        task.answers.append([step["say"]] if "say" in step else [])
        for call in step.get("call", ()):
            task.answers[-1].append(_called(call, f"call{next(ids):05}", task))
    return task


def _called(call: Mapping[str, Any], number: str, task: Task) -> Called:
    task.calls.append(number)
    if "fails" in call:
        task.fails[number] = call["fails"]
    return Called(call=ToolCall(id=number, name=call["tool"], arguments=call["arguments"]))


class Done(NamedTuple):
    """What the events of a turn say, and what the model was told of each call."""

    answered: Answered
    acted: dict[str, Acted]
    told: dict[str, str]


def do(task: Task, root: Path, settings: Settings) -> Done:
    model = ScriptedModel(task.answers, context=32_768)
    with open_program(settings, root, model=model) as program:
        session = program.task(program.one_shot_retriever(changing=True), allow=ALLOWED)
        events: Sequence[Event] = list(session.ask(task.prompt))
    told = {
        message.call_id: message.content for prompt in model.prompts for message in prompt if message.role == "tool"
    }
    [*_, answered] = events
    assert isinstance(answered, Answered)
    return Done(answered, {event.call.id: event for event in events if isinstance(event, Acted)}, told)


def green(task: Task, root: Path) -> bool:
    """Whether the check succeeds. It leaves nothing behind."""
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"}
    return subprocess.run(["bash", "-c", task.check], cwd=root, env=environment, capture_output=True).returncode == 0


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("OFFLINE_AGENT_VAULT_KEY", "file")
    return load_settings()


@pytest.fixture
def root(name: str, tmp_path: Path) -> Path:
    place = tmp_path.resolve() / name
    shutil.copytree(TASKS / name / "repo", place)
    for path in (place, *place.rglob("*")):
        os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    return place


NAMES = sorted(path.parent.name for path in TASKS.glob("*/task.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_done_and_can_be_undone_and_done_again(name: str, root: Path, settings: Settings) -> None:
    task = task_of(name)
    assert not green(task, root)
    before = look(root)
    done = do(task, root, settings)
    assert (done.answered.stopped, done.answered.verified) == ("end", True), done.answered.text
    assert {call for call, acted in done.acted.items() if acted.failed} == {*task.fails}, done.told
    assert sorted(done.acted) == task.calls  # explore has acted after what it did
    for call, words in task.fails.items():
        assert words in done.told[call]
    assert green(task, root)
    after = look(root)
    with open_program(settings, root) as program:
        program.workbench.undo().undo()
        assert look(root) == before
        program.workbench.undo().redo()
        assert look(root) == after


@pytest.mark.parametrize("name", ["move-a-package", "recover-from-a-slip"])
def test_a_checkout_is_left_as_it_was_but_for_the_files(name: str, root: Path, settings: Settings) -> None:
    """Also where a denied file was committed, so that its repository's objects are hidden from commands."""
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all of it"]):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True)
    task, before = task_of(name), look(root)
    assert do(task, root, settings).answered.stopped == "end"
    assert green(task, root)
    with open_program(settings, root) as program:
        program.workbench.undo().undo()
    assert look(root) == before
