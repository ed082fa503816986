"""How fast a model is here, measured through the same process that answers in a session.

    for each number of threads   start -> warm up -> read a prompt, write behind it: each length, `runs` times -> peak memory
    then, `runs` times           start -> first question, cold;  start with what an earlier process has saved -> first question

Each point is the median of its runs. No prompt begins like the one before, since what two share would not be computed twice.
"""

import statistics
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from offline_agent.benchmarks import SpeedPoint
from offline_agent.errors import PromptTooLong
from offline_agent.events import Finished, Reading
from offline_agent.llm.bench_machine import peak_memory
from offline_agent.llm.bench_plan import (
    SHORTEST,
    Pace,
    Plan,
    Step,
    even_length,
    lengths_of,
    runs_of,
    seconds_of,
    why_none,
)
from offline_agent.llm.bench_text import prompt_of
from offline_agent.llm.process import LlamaProcess
from offline_agent.models import ModelCard, ModelInfo
from offline_agent.settings import ModelSettings
from offline_agent.types import Message, Sampling, ToolSpec, Usage

_WARM_UP = 16  # tokens of the answer that tells how fast the rest will go
_TRIES = 4  # further answers where one was too short to be timed
_QUESTION = "Where is the configuration read?"
_NO_TIME = 1e-9  # seconds, where a clock shows none


@dataclass
class Speed:
    """What was measured so far. `first_cold` and `first_saved` are seconds to the first token of an answer in a new process."""

    info: ModelInfo | None = None
    loads: list[float] = field(default_factory=list)
    points: list[SpeedPoint] = field(default_factory=list)
    peak_memory: int = 0
    first_cold: list[float] = field(default_factory=list)
    first_saved: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class MemoryStates:
    """A StateStore in memory: what a new process saves, apart from what the vault takes."""

    def __init__(self) -> None:
        self._states: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self._states.get(key)

    def put(self, key: str, state: bytes) -> None:
        self._states[key] = state


class SpeedBench:
    """Measures one model; `checked` is as for LlamaProcess. `opening` and `tools` are what a session with it begins with. What is
    measured is in `speed`, also when `run` is left early or ends with an error."""

    def __init__(
        self,
        card: ModelCard,
        path: Path,
        settings: ModelSettings,
        plan: Plan,
        opening: Sequence[Message] = (),
        tools: Sequence[ToolSpec] = (),
        checked: bool = False,
    ) -> None:
        self.speed = Speed()
        self._card = card
        self._path = path
        self._settings = settings
        self._plan = plan
        self._opening = tuple(opening)
        self._tools = tuple(tools)
        self._checked = checked
        self._prompts = 0
        self._done = self._of = 0.0

    def run(self) -> Generator[Step, None, None]:
        """A step when it is known how long all will take, after each thing that was timed, and at the end. Raises a ModelError."""
        for threads in self._plan.threads or (None,):
            settings = self._settings.model_copy(update={"threads": threads or self._settings.threads})
            with self._running(settings) as model:
                pace = self._warm_up(model)
                if not self._of:
                    self._of = seconds_of(self._plan, model.load().context, pace, self._opening_seconds(pace))
                    yield Step(done=0.0, of=self._of)
                yield from self._points(model, pace)
                self.speed.peak_memory = max(self.speed.peak_memory, peak_memory(model.pid or 0))
        yield from self._first_tokens(pace)
        yield Step(done=self._done, of=self._done)

    # --- reading and writing ---

    def _points(self, model: LlamaProcess, pace: Pace) -> Iterator[Step]:
        info = model.load()
        for length in lengths_of(self._plan, info.context):
            times = runs_of(self._plan, length, info.context, pace)
            if not times:
                self._note(why_none(length, info.context, pace))
                continue
            runs: list[tuple[float, float]] = []
            for _ in range(times):
                runs.append(self._point(model, length, pace.writes))
                self._keep(length, info, runs)
                yield self._step(pace.seconds(length))
            point = self.speed.points[-1]
            pace = replace(pace, prefill=point.prefill, decode=point.decode or pace.decode, length=length)

    def _keep(self, length: int, info: ModelInfo, runs: Sequence[tuple[float, float]]) -> None:
        """The median of what there is so far, in place of that of one run less."""
        prefill, decode = (statistics.median(values) for values in zip(*runs, strict=True))
        threads = info.fit.threads if info.fit else 0
        point = SpeedPoint(prompt_tokens=length, threads=threads, prefill=prefill, decode=decode)
        self.speed.points[len(self.speed.points) - (len(runs) > 1) :] = [point]

    def _point(self, model: LlamaProcess, length: int, writes: int) -> tuple[float, float]:
        """Tokens a second: reading a prompt that is new, and writing behind it."""
        asked = self._prompt(model, length)
        first, _ = _ask(model, [asked], (), writes)
        written, seconds = first.answer_tokens, first.answer_seconds
        for _ in range(_TRIES):
            if written >= writes:
                break
            again, _ = _ask(model, [asked], (), writes - written)  # all but its last token is computed already
            written, seconds = written + again.answer_tokens, seconds + again.answer_seconds
        if not written:
            self._note("It ended its answers at once, so how fast it writes is not known.")
        computed = first.prompt_tokens - first.reused_tokens
        return computed / max(first.prompt_seconds, _NO_TIME), written / max(seconds, _NO_TIME)

    def _warm_up(self, model: LlamaProcess) -> Pace:
        """The first prompt of a process pays for memory that is touched for the first time; it only tells how fast about."""
        usage, _ = _ask(model, [self._prompt(model, SHORTEST)], (), _WARM_UP)
        prefill = (usage.prompt_tokens - usage.reused_tokens) / max(usage.prompt_seconds, _NO_TIME)
        decode = max(1, usage.answer_tokens) / max(usage.answer_seconds, _NO_TIME)
        info = model.load()
        even = even_length(info.parameters, info.fit.layers if info.fit else 0)
        return Pace(self.speed.loads[-1], prefill, decode, usage.prompt_tokens, even)

    def _prompt(self, model: LlamaProcess, length: int) -> Message:
        self._prompts += 1
        return _said(prompt_of(length, self._prompts, lambda text: model.measure([_said(text)])))

    # --- the first question ---

    def _first_tokens(self, pace: Pace) -> Iterator[Step]:
        """Cold and saved in turn: what else the machine does hits both."""
        shelf, opening = MemoryStates(), self._opening_seconds(pace)
        try:
            self._first_token(shelf, 0)
        except PromptTooLong:
            self._note("What a session begins with does not fit the context, so the first token was not measured.")
            return
        yield self._step(opening)
        for run in range(1, self._plan.runs + 1):
            cold, _ = self._first_token(None, run)
            self.speed.first_cold.append(cold)
            yield self._step(opening)
            saved, restored = self._first_token(shelf, run)
            self.speed.first_saved += [saved] if restored else []
            yield self._step(pace.load)

    def _first_token(self, store: MemoryStates | None, number: int) -> tuple[float, int]:
        """Seconds, and how many tokens of the prompt came from the store."""
        with self._running(self._settings, store) as model:
            usage, first = _ask(model, [*self._opening, _said(f"{number}. {_QUESTION}")], self._tools, 1)
        return first, usage.restored_tokens

    def _opening_seconds(self, pace: Pace) -> float:
        """A new process that computes what a session begins with; a token has four characters, about."""
        told = sum(len(message.content) for message in self._opening)
        told += sum(len(tool.model_dump_json()) for tool in self._tools)
        return pace.load + told / 4 / pace.prefill

    # --- processes ---

    @contextmanager
    def _running(self, settings: ModelSettings, store: MemoryStates | None = None) -> Iterator[LlamaProcess]:
        """A new process, loaded."""
        began = time.perf_counter()
        with closing(LlamaProcess(self._card, self._path, settings, store, checked=self._checked)) as model:
            info = model.load()
            self.speed.loads.append(time.perf_counter() - began)
            self.speed.info = self.speed.info or info
            yield model

    def _step(self, seconds: float) -> Step:
        self._done += seconds
        self._of = max(self._of, self._done)
        return Step(done=self._done, of=self._of)

    def _note(self, sentence: str) -> None:
        if sentence not in self.speed.notes:
            self.speed.notes.append(sentence)


def _ask(model: LlamaProcess, messages: Sequence[Message], tools: Sequence[ToolSpec], most: int) -> tuple[Usage, float]:
    """What the answer cost, and the seconds until something of it was there. Greedy: drawing from many costs time of its own."""
    began, first, usage = time.perf_counter(), 0.0, Usage(stopped="user")
    for piece in model.stream(messages, Sampling(max_tokens=most), tools):
        if not isinstance(piece, Reading):
            first = first or time.perf_counter() - began
        if isinstance(piece, Finished):
            usage = piece.usage
    return usage, first


def _said(text: str) -> Message:
    return Message(role="user", content=text)
