"""Measuring models: how fast by llm/bench.py, how good by app/quality, together a Benchmark of each."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from offline_agent import __version__
from offline_agent.app.library import Chosen, choose_model, is_name, library_of
from offline_agent.benchmarks import Benchmark, Score
from offline_agent.errors import AgentError, UsageError
from offline_agent.llm.bench_machine import machine_name
from offline_agent.llm.bench_plan import Pace, Plan
from offline_agent.llm.gguf import hash_file
from offline_agent.models import ModelCard
from offline_agent.protocols import Index
from offline_agent.retrieval.repository import Repository
from offline_agent.settings import EndpointSettings, Settings
from offline_agent.types import Message, ToolSpec

if TYPE_CHECKING:
    from offline_agent.app.quality import Graded, Outcome
    from offline_agent.llm.bench import Speed
    from offline_agent.llm.header import Header
    from offline_agent.llm.process import LlamaProcess

Part = Literal["speed", "calls", "citations", "edits"]
PARTS: tuple[Part, ...] = get_args(Part)
FEW = 5
"""Cases of each kind, in a quick measurement."""
Told = Callable[[Part, float, float], None]
"""Called with a part that is under way, how much of it is done, and of how much: seconds of speed, else cases."""

_CASE = {"calls": (40, 150, 60), "citations": (20, 2500, 150), "edits": (20, 6000, 1200)}
"""How many cases there are, and what one has the model read and write, in tokens: guesses, for telling how long it takes."""


@dataclass(frozen=True)
class Wanted:
    """What to measure: `parts`, how thoroughly, and how many cases of each kind at most. Citations are measured in `repository`,
    whose `index` finds what the model is shown."""

    parts: tuple[Part, ...] = PARTS
    plan: Plan = field(default_factory=Plan)
    limit: int | None = None
    repository: Repository | None = None
    index: Index | None = None


@dataclass(frozen=True)
class Subject:
    """A model that is to be measured, and the settings that name it."""

    chosen: Chosen
    settings: Settings

    @property
    def name(self) -> str:
        return self.chosen.card.name

    @cached_property
    def size(self) -> int:
        """Bytes of all its files. Raises a ModelError."""
        from offline_agent.llm.header import model_parts

        return sum(part.stat().st_size for part in model_parts(self.chosen.path) if part.exists())


def bench_subjects(settings: Settings, names: Sequence[str] = ()) -> tuple[list[Subject], list[str]]:
    """The models of these names, or files; without any, the one that answers and all that the library has. And, in sentences,
    which of the latter cannot be used.

    Raises UsageError where a server answers and no model is named, and what `choose_model` raises for one that is named."""
    if names:
        return _each_once(_subject(settings, name) for name in names), []
    if settings.endpoint.url:
        raise UsageError(
            f"{settings.endpoint.url} answers here [endpoint.url], and only models on this machine can be measured. Name one: "
            "`offline-agent models list --installed` shows them."
        )
    found, faults = [], []
    held = [holding.name for holding in library_of(settings).all() if holding.kind == "chat"]
    for name in (None, *held):
        try:
            found.append(_subject(settings, name))
        except AgentError as error:
            faults.append(str(error))
    return _each_once(found), faults


def _subject(settings: Settings, name: str | None) -> Subject:
    """The model that the settings name where `name` is None."""
    if name is not None and "://" in name:
        raise UsageError(
            f"{name} is an address, and only models on this machine can be measured. Name a model or a file."
        )
    named: dict[str, object] = {}
    if name is not None:
        named = {"path": None, "name": name} if is_name(name) else {"path": Path(name)}
    model = settings.model.model_copy(update=named)
    settings = settings.model_copy(update={"model": model, "endpoint": EndpointSettings()})
    return Subject(choose_model(settings), settings)


def _each_once(found: Iterable[Subject]) -> list[Subject]:
    return list({subject.chosen.path.absolute(): subject for subject in found}.values())


class Trial:
    """One model, measured. What was measured until then is in `benchmark`, also where `run` ends with an error or Ctrl-C."""

    def __init__(self, subject: Subject, wanted: Wanted, told: Told) -> None:
        self._subject = subject
        self._chosen = subject.chosen
        self._model_settings = subject.settings.model
        self._wanted = wanted
        self._told = told
        self._at = time.time()
        self._speed: Speed | None = None
        self._scores: dict[Part, Score | None] = {}
        self._notes: list[str] = []
        self._gpu = False

    def run(self) -> None:
        """Raises a ModelError, and whatever measuring the quality raises."""
        self._identity  # noqa: B018  what is no model is said before anything is started
        try:
            if "speed" in self._wanted.parts:
                self._run_speed()
            graded = [part for part in PARTS[1:] if part in self._wanted.parts]
            if graded:
                self._run_quality(graded)
        except KeyboardInterrupt:
            self._notes.append("It was stopped before all of it was measured.")
            raise

    @property
    def measured(self) -> bool:
        """Whether there is anything to keep."""
        speed = self._speed is not None and bool(self._speed.points or self._speed.first_cold)
        return speed or any(score is not None and score.of for score in self._scores.values())

    @property
    def benchmark(self) -> Benchmark:
        sha256, header = self._identity
        about_repository = self._wanted.repository if "citations" in self._scores else None
        return Benchmark(
            model=self._subject.name,
            sha256=sha256,
            at=self._at,
            version=__version__,
            machine=machine_name(self._gpu),
            size=self._subject.size,
            parameters=header.parameters,
            quantisation=header.file_type,
            repository=str(about_repository.root) if about_repository else "",
            calls=self._scores.get("calls"),
            citations=self._scores.get("citations"),
            edits=self._scores.get("edits"),
            notes=(*(self._speed.notes if self._speed else ()), *self._notes),
            **_speed_fields(self._speed),
        )

    @property
    def rest_seconds(self) -> float:
        """About how long what comes after the speed takes; 0 where the speed is not known."""
        speeds = self._speed.points if self._speed else []
        if not speeds:
            return 0.0
        point = speeds[-1]
        pace = Pace(load=0.0, prefill=point.prefill or 1.0, decode=point.decode or 1.0)
        return sum(_case_seconds(part, pace, self._wanted.limit) for part in self._wanted.parts if part in _CASE)

    # --- speed ---

    def _run_speed(self) -> None:
        from offline_agent.llm.bench import SpeedBench

        card, path, checked = self._chosen
        bench = SpeedBench(
            card, path, self._model_settings, self._wanted.plan, _opening(card), _tools(card), checked=checked
        )
        self._speed = bench.speed
        for step in bench.run():
            self._told("speed", step.done, step.of)
            self._gpu = bool(bench.speed.info and bench.speed.info.gpu)

    # --- quality ---

    def _run_quality(self, parts: Sequence[Part]) -> None:
        from offline_agent.llm.process import LlamaProcess

        card, path, checked = self._chosen
        with closing(LlamaProcess(card, path, self._model_settings, checked=checked)) as model:
            self._gpu = model.load().gpu
            for part in parts:
                self._grade(part, model)

    def _grade(self, part: Part, model: "LlamaProcess") -> None:
        from offline_agent.app.quality import score_of

        outcomes: list[Outcome] = []

        def seen(outcome: "Outcome") -> None:
            outcomes.append(outcome)
            self._scores[part] = score_of(outcomes)

        graded = self._measure(part, model, seen)
        self._scores[part] = graded.score
        self._notes += [note for note in graded.notes if note not in self._notes]

    def _measure(self, part: Part, model: "LlamaProcess", seen: "Callable[[Outcome], None]") -> "Graded":
        from offline_agent.app import quality

        settings, card = self._subject.settings, self._chosen.card
        options: dict[str, Any] = {"progress": lambda done, of: self._told(part, done, of), "seen": seen}
        if self._wanted.limit is not None:
            options["limit"] = self._wanted.limit
        if part == "calls":
            return quality.measure_calls(settings, model, card, **options)
        if part == "edits":
            return quality.measure_edits(settings, model, card, **options)
        repository, index = self._wanted.repository, self._wanted.index
        assert repository is not None, "citations are of a repository"
        assert index is not None
        return quality.measure_citations(settings, model, card, repository, index, **options)

    # --- what it is ---

    @cached_property
    def _identity(self) -> "tuple[str, Header]":
        """The hash of its first file, and its header. Raises a ModelError."""
        from offline_agent.llm.header import read_header

        header = read_header(self._chosen.path)
        return self._chosen.card.sha256 or hash_file(self._chosen.path), header


def _speed_fields(speed: "Speed | None") -> dict[str, Any]:
    if speed is None:
        return {}
    return {
        "context": speed.info.context if speed.info else 0,
        "load_seconds": statistics.median(speed.loads) if speed.loads else 0.0,
        "peak_memory": speed.peak_memory,
        "first_token_cold": statistics.median(speed.first_cold) if speed.first_cold else 0.0,
        "first_token_saved": statistics.median(speed.first_saved) if speed.first_saved else None,
        "speeds": tuple(speed.points),
    }


def _case_seconds(part: str, pace: Pace, limit: int | None) -> float:
    cases, reads, writes = _CASE[part]
    return min(cases, limit or cases) * (reads / pace.prefill + writes / pace.decode)


def _opening(card: ModelCard) -> list[Message]:
    """What a session with it begins with, apart from what the person and the project want it to know, and the map."""
    from offline_agent.agent.profiles import BUILD
    from offline_agent.agent.prompt import opening

    return opening(card, told=[BUILD.guidance] if card.converses else ())


def _tools(card: ModelCard) -> tuple[ToolSpec, ...]:
    from offline_agent.agent.explore import Explore
    from offline_agent.agent.profiles import BUILD
    from offline_agent.tools import ask, edit, find, read, recall, shell, todo

    if not card.converses:
        return ()
    kinds = (read.ListDirectory, read.ReadFile, recall.SearchCode, find.Grep, find.Glob, edit.Edit, edit.Write)
    specs = [kind.spec for kind in (*kinds, shell.Run, todo.Todo, ask.AskUser, Explore)]
    named = {spec.name: spec for spec in specs}
    return tuple(named[name] for name in BUILD.tools)
