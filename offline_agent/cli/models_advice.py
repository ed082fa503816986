"""`models recommend`: which models suit this machine, and why."""

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import get_args

from offline_agent import app
from offline_agent.cli.options import settings_for
from offline_agent.cli.terminal import emit, file_size
from offline_agent.models import Task

_INDENT = "   "


def add_to(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "recommend",
        help="the three that suit this machine best, and why",
        description="Looks at the memory that is free, the GPU, and for a tenth of a second at how fast memory is, and says which "
        "models of the catalogue suit a task best here. Speeds are estimates: `models bench` measures. Nothing is fetched.",
    )
    command.add_argument(
        "--task",
        choices=get_args(Task),
        default="ask",
        help="ask: questions about code (default); edit: changes; agent: long tasks with tools; complete: completion; embed: "
        "search by meaning; rerank: its refinement",
    )
    command.add_argument(
        "--json", action="store_true", help="one JSON object; sizes in bytes, speeds in tokens a second"
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    machine, found = app.recommended(settings_for(arguments), arguments.task)
    if arguments.json:
        models = [{**one.model_dump(), "commands": commands(one)} for one in found]
        answer = {"task": arguments.task, "machine": machine.model_dump(), "models": models}
        emit(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        emit("\n".join(described(arguments.task, machine, found)))
    return 0


def described(task: str, machine: app.Machine, found: tuple[app.Recommendation, ...]) -> Iterator[str]:
    memory = machine.memory
    gpu = f"{app.gigabytes(memory.gpu_free)} free on the GPU" if memory.gpu_free else "no GPU that llama.cpp uses"
    free = f"{app.gigabytes(memory.free)} of memory free" if memory.free else "memory of unknown size"
    yield f"For --task {task}, with {free} at {machine.bandwidth / 1e9:.0f} GB/s, {gpu}:"
    for number, one in enumerate(found, start=1):
        size = file_size(one.size) if one.size else "of unknown size"
        here = ", here already" if one.installed else ""
        yield f"\n{number}  {one.name}  ({size}, fits {one.fits}{here})"
        yield from (_wrapped(reason) for reason in one.reasons)
        yield from (f"{_INDENT}{command}" for command in commands(one))
    if not found:
        yield "No model of the catalogue fits. Close what is large, or bring a smaller file: --model PATH."


def commands(one: app.Recommendation) -> list[str]:
    """What to type to have it used."""
    pull = [] if one.installed else [f"offline-agent models pull {one.name}"]
    return [*pull, f"offline-agent models default {one.name}"]


def _wrapped(reason: str) -> str:
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
    return textwrap.fill(reason, columns - 1, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False)
