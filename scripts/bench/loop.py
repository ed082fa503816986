"""Milliseconds of a step of the loop besides model and tools, with a scripted model and everything else real.

    a step: the model is asked -> it calls a tool -> the tool runs -> what it gave is masked, looked at, kept -> the model is asked

The figure to hold is the median of what is neither the model's nor the tools': under 10 ms. Of that the inspector's share (masking
of secrets, looking for orders) is told apart: it grows with what is read.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from offline_agent.agent.hands import Hands
from offline_agent.agent.loop import Session
from offline_agent.agent.profiles import PROFILES
from offline_agent.app import Program, open_program
from offline_agent.events import Called, Event, Piece
from offline_agent.guard.askers import Nobody
from offline_agent.llm.scripted import ScriptedModel
from offline_agent.models import ModelInfo
from offline_agent.protocols import ChatModel, Inspector, Tool
from offline_agent.settings import load_settings
from offline_agent.types import Message, Sampling, ToolCall, ToolResult, ToolSpec

_CONTEXT = 4_000_000  # words: nothing is compacted
_WARM = 3  # steps that are not counted
_READ_LINES = 120


class Watch:
    """Seconds spent in each part of a step."""

    def __init__(self) -> None:
        self.spent = {"model": 0.0, "tools": 0.0, "inspector": 0.0}

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spent[part] += time.perf_counter() - began


class TimedModel:
    """A ChatModel that notes when each request comes, and how much of the time was its own."""

    def __init__(self, model: ChatModel, watch: Watch) -> None:
        self._model = model
        self._watch = watch
        self.marks: list[tuple[float, dict[str, float]]] = []

    def load(self) -> ModelInfo:
        return self._model.load()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        with self._watch.on("model"):
            return self._model.count_tokens(texts)

    def measure(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
        with self._watch.on("model"):
            return self._model.measure(messages, tools)

    def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        tools: Sequence[ToolSpec] = (),
        choice: Literal["auto", "required"] = "auto",
    ) -> Iterator[Piece]:
        self.marks.append((time.perf_counter(), dict(self._watch.spent)))
        with self._watch.on("model"):
            pieces = list(self._model.stream(messages, sampling, tools, choice))
        yield from pieces

    def close(self) -> None:
        self._model.close()


class TimedTool:
    """A Tool."""

    def __init__(self, tool: Tool, watch: Watch) -> None:
        self._tool = tool
        self._watch = watch
        self.spec = tool.spec
        self.arguments: type[BaseModel] = tool.arguments

    def run(self, arguments: Any) -> ToolResult | Generator[Event, None, ToolResult]:
        with self._watch.on("tools"):
            return self._tool.run(arguments)


class TimedInspector:
    """An Inspector."""

    def __init__(self, inspector: Inspector, watch: Watch) -> None:
        self._inspector = inspector
        self._watch = watch

    def mask(self, text: str) -> str:
        with self._watch.on("inspector"):
            return self._inspector.mask(text)

    def suspicion(self, text: str) -> str:
        with self._watch.on("inspector"):
            return self._inspector.suspicion(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repo", type=Path, default=Path(), help="what is read (default: this checkout)")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(
            {"HOME": home, "OFFLINE_AGENT_VAULT_KEY": "file", "OFFLINE_AGENT_ASK_STEPS": "1000000"}
        )
        ask = settings.ask.model_copy(update={"tokens": 10**12, "minutes": 1e6})
        with open_program(settings.model_copy(update={"ask": ask}), given.repo, say=lambda sentence: None) as program:
            steps = measured(program, given.steps)
    figures = {part: _figures([step[part] for step in steps]) for part in steps[0]}
    print(json.dumps(figures, indent=2) if given.json else _table(figures, len(steps)))


def measured(program: Program, steps: int) -> list[dict[str, float]]:
    """Milliseconds of each step, by part."""
    root, watch = program.repository.root, Watch()
    calls = [Called(call=ToolCall(id=f"c{number:08}", **call)) for number, call in enumerate(calls_in(root, steps))]
    model = TimedModel(ScriptedModel([*([call] for call in calls), "Done."], context=_CONTEXT), watch)
    session = session_of(program, model, watch)
    for _ in session.ask("What is in this repository?"):
        pass
    return [_step(one, other) for one, other in zip(model.marks[_WARM:], model.marks[_WARM + 1 :], strict=False)]


def session_of(program: Program, model: ChatModel, watch: Watch) -> Session:
    """As app/sessions.py opens one, with everything timed."""
    index = program.one_shot_retriever(changing=True)
    bench, archive = program.workbench, program.archive
    transcript = archive.sessions.begin(str(program.repository.root), "scripted")
    hands = bench.hands(index, Nobody(), PROFILES["build"], bench.policy("build"), transcript.id)
    card = program.card.model_copy(update={"answers": "prose", "remembers_turns": True, "context": _CONTEXT})
    return Session(index, model, card, program.settings.ask, transcript, archive.audit, None, timed(hands, watch))


def timed(hands: Hands, watch: Watch) -> Hands:
    tools = tuple(TimedTool(tool, watch) for tool in hands.tools)
    return replace(hands, tools=tools, inspector=TimedInspector(hands.inspector, watch))


def calls_in(root: Path, steps: int) -> Iterator[Mapping[str, Any]]:
    """Reading, searching and listing, in turn, each somewhere else."""
    files = sorted(path.relative_to(root) for path in root.rglob("*.py") if not _hidden(path.relative_to(root)))
    if not files:
        raise SystemExit(f"{root} has no Python files to read. Name another repository with --repo.")
    for number in range(steps):
        file = files[number * 7 % len(files)]
        yield (
            {"name": "read", "arguments": {"path": str(file), "start": 1, "end": _READ_LINES}},
            {"name": "grep", "arguments": {"pattern": f"def {file.stem}", "path": str(file.parent)}},
            {"name": "list", "arguments": {"path": str(file.parent)}},
        )[number % 3]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _step(one: tuple[float, dict[str, float]], other: tuple[float, dict[str, float]]) -> dict[str, float]:
    (began, before), (ended, after) = one, other
    parts = {part: 1000 * (after[part] - before[part]) for part in before}
    whole = 1000 * (ended - began)
    return {
        "whole step": whole,
        "loop": whole - parts["model"] - parts["tools"],
        "of it inspector": parts["inspector"],
    } | {"tools": parts["tools"]}


def _figures(times: Iterable[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {"p50": statistics.median(ordered), "p95": ordered[int(len(ordered) * 0.95)]}


def _table(figures: Mapping[str, Mapping[str, float]], steps: int) -> str:
    rows = [f"{f'milliseconds, {steps} steps':24} {'p50':>7} {'p95':>7}"]
    rows += [f"{part:24} {times['p50']:7.2f} {times['p95']:7.2f}" for part, times in figures.items()]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
