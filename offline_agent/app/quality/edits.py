"""Whether a model can change files as it is asked: the tasks in models/tasks/edits, each done by the `build` agent in a copy of its
own, and graded by a check that is run in the sandbox afterwards.
"""

import json
import shutil
import tomllib
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from offline_agent.actions import Command
from offline_agent.app.quality.outcomes import Graded, Progress, Seen, ignore, judged, why_no_tools
from offline_agent.app.quality.stage import Stage, apart, ask, scratch
from offline_agent.errors import PromptTooLong
from offline_agent.events import Answered
from offline_agent.guard.rule_files import NAME
from offline_agent.models import ModelCard
from offline_agent.protocols import ChatModel
from offline_agent.settings import AskSettings, Settings
from offline_agent.types import Value

TASKS = "tasks/edits"
"""Below the declarations of the models."""
MINUTES = 10.0
"""For one task: a small model on a processor reads some thousand tokens in one."""
_STEPS = 24
_SECONDS = 30.0  # that a command may take, the check too
_CHECK = "python3 -B -X pycache_prefix=/tmp/checked - <<'END OF CHECK'\n{script}\nEND OF CHECK"
_COMPILED = shutil.ignore_patterns("__pycache__")
_LAST = 200  # characters of what a check says


class EditTask(Value):
    """A directory of models/tasks/edits (see models/tasks/README.md): what is asked for, about the files in `repository`, and a
    program in Python that succeeds once it is done."""

    name: str
    request: str
    languages: tuple[str, ...]
    repository: Path
    check: str

    @property
    def command(self) -> Command:
        """Runs the check. It comes by standard input: what the agent did to the files cannot have changed it."""
        return Command(line=_CHECK.format(script=self.check), seconds=_SECONDS)


def edit_tasks(models_directory: Path) -> tuple[EditTask, ...]:
    """By name."""
    return tuple(_task(place.parent) for place in sorted(models_directory.glob(f"{TASKS}/*/task.toml")))


def _task(place: Path) -> EditTask:
    values = tomllib.loads((place / "task.toml").read_text(encoding="utf-8"))
    check = (place / "check.py").read_text(encoding="utf-8")
    return EditTask(name=place.name, repository=place / "repo", check=check, **values)


def measure_edits(
    settings: Settings,
    model: ChatModel,
    card: ModelCard,
    progress: Progress = ignore,
    limit: int | None = None,
    seen: Seen = ignore,
) -> Graded:
    """The share of tasks whose check was green. At most `limit` tasks. No score where commands cannot be confined here: what a
    model wrote is never run bare. Nothing of it is recorded, and nothing is left. Raises a ModelError."""
    if why := why_no_tools(card) or _why_no_checks(settings, model, card):
        return Graded(notes=(why,))
    tasks = edit_tasks(settings.models_directory)[:limit]
    return Graded(score=judged(tasks, lambda task: _judge(settings, model, card, task), progress, seen))


def _why_no_checks(settings: Settings, model: ChatModel, card: ModelCard) -> str:
    """A sentence where checks cannot be run here, else ""."""
    if settings.sandbox.mechanism == "none":
        return 'Edits were not measured: [sandbox] mechanism is "none", and what a model wrote is not run bare.'
    with scratch() as place, workplace(settings, place, model, card) as stage:
        if stage.report.mechanism == "none":
            return f"Edits were not measured. {stage.report.problem}"
        tried = stage.run(Command(line="python3 -c 'import ast, json, subprocess'", seconds=_SECONDS))
    if tried.exit_code == 0:
        return ""
    return (
        f"Edits were not measured: python3 does not run in the sandbox, and the checks need it. {_last(tried.output)}"
    )


def _judge(settings: Settings, model: ChatModel, card: ModelCard, task: EditTask) -> str:
    with scratch() as place:
        # Not with the modes, which may not let it be changed; an installer has compiled what is Python.
        shutil.copytree(task.repository, place / "repo", copy_function=shutil.copyfile, ignore=_COMPILED)
        with workplace(settings, place, model, card) as stage:
            try:
                answered = ask(stage.task(), task.request, MINUTES).answered
            except PromptTooLong as error:
                return f"{task.name}: {error}"
            ran = stage.run(task.command)
    if ran.exit_code == 0:
        return ""
    output = ran.output.replace(f"{place}/repo/", "")  # which is another one each time
    said = _last(output) if ran.ended == "itself" else "it did not end in time"
    return f"{task.name}: the check failed ({said}){_ending(answered)}."


@contextmanager
def workplace(settings: Settings, place: Path, model: ChatModel, card: ModelCard) -> Generator[Stage, None, None]:
    """A stage for `place/repo`, with everything that it keeps beside it. The rules are the program's own: a person's would make
    their models incomparable, and nobody is there who could let a model go on in circles."""
    for name in ("repo", "config"):
        (place / name).mkdir(exist_ok=True)
    (place / "config" / NAME).write_text(json.dumps({"permission": {"doom_loop": "deny"}}))
    sandbox = settings.sandbox.model_copy(update={"seconds": _SECONDS, "longest_seconds": 2 * _SECONDS, "writable": ()})
    own = {"config_directory": place / "config", "sandbox": sandbox, "ask": AskSettings(steps=_STEPS, minutes=MINUTES)}
    with closing(Stage(apart(settings, place).model_copy(update=own), place / "repo", model, card)) as stage:
        yield stage


def _ending(answered: Answered | None) -> str:
    """How the turn ended where that was not with an answer."""
    if answered is None:
        return f", and the model was stopped after {MINUTES:g} minutes"
    if answered.stopped == "end":
        return ""
    return f", and the turn had ended early: {answered.text.rstrip('.')}" if answered.text else ", and it wrote nothing"


def _last(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1].strip()[:_LAST] if lines else "it said nothing"
