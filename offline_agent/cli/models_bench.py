"""`models bench`: how fast and how good the models on this machine are, and which to use here."""

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from offline_agent import app
from offline_agent.benchmarks import Benchmark
from offline_agent.cli import bench_table, plot
from offline_agent.cli.options import add_repository, open_existing, program_for, settings_for, tell, whole_number
from offline_agent.cli.passphrase import TerminalPassphrases
from offline_agent.cli.terminal import counted, emit, printable, progress_line, readable
from offline_agent.errors import AgentError, RepositoryError, Stopped, UsageError

_MOST_SECONDS = 90  # above, time is told in minutes
_DESCRIPTION = (
    "Measures models on this machine: seconds to load, tokens a second for reading prompts of several lengths and for writing, "
    "seconds to the first token with nothing computed and with a saved beginning, memory; whether tool calls are well formed, "
    "whether answers about your repository cite the right place, and how many of 20 small edit tasks are done. Without NAME: the "
    "model that answers, and all that the library has. What was measured is kept in the vault, also after Ctrl-C."
)


def add_to(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser("bench", help="how fast and how good they are here", description=_DESCRIPTION)
    command.add_argument("names", metavar="NAME", nargs="*", help="as `models list` names it, or a GGUF file")
    command.add_argument(
        "--only",
        type=_parts,
        metavar="PARTS",
        help=f"some of {','.join(app.PARTS)}, with commas between (default: all of them)",
    )
    command.add_argument(
        "--quick", action="store_true", help=f"two short prompts, one run of each, {app.FEW} cases of each kind"
    )
    command.add_argument(
        "--runs", type=whole_number(1), metavar="N", help="measure each speed N times, and take the median (default: 3)"
    )
    command.add_argument(
        "--lengths",
        type=_numbers,
        metavar="N,...",
        help="tokens of the prompts (default: 128, 512 and so on, up to the context)",
    )
    command.add_argument(
        "--threads", type=_numbers, metavar="N,...", help="numbers of threads to try (default: as in a session)"
    )
    command.add_argument("--limit", type=whole_number(1), metavar="N", help="at most N cases of each kind")
    add_repository(command)
    command.add_argument("--history", action="store_true", help="measure nothing: show what was, and how it changed")
    command.add_argument("--json", action="store_true", help="one JSON object: benchmarks, advice; seconds, bytes")
    command.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw speed against quality, of what was measured now or before: .png, .svg or .html",
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.plot is not None:
        plot.check(arguments.plot)  # before minutes are spent on what could not be drawn
    return history(arguments) if arguments.history else measure(arguments)


# --- measuring -------------------------------------------------------------------------------------------------------


@dataclass
class Session:
    """What came of measuring several models: their benchmarks, and the exit code."""

    found: list[Benchmark] = field(default_factory=list)
    code: int = 0
    stopped: bool = False


def measure(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    subjects, faults = app.bench_subjects(settings, arguments.names)
    for fault in faults:
        tell(printable(fault))
    if not subjects:
        raise UsageError("No model on this machine can be measured. `offline-agent models recommend` names some.")
    session = Session()
    with ExitStack() as held:
        stored, wanted = _prepared(arguments, held)
        measure_all(subjects, wanted, stored.add, session)
        everything = stored.all()
    _report(arguments, session, everything)
    if session.stopped:
        tell(
            "stopped. What was measured until then is kept."
            if session.found
            else "stopped before anything was measured."
        )
        return Stopped.exit_code
    return session.code


def _prepared(arguments: argparse.Namespace, held: ExitStack) -> "tuple[app.Benchmarks, app.Wanted]":
    """Where benchmarks are kept, opened before anything takes long, and what to measure."""
    plan = app.QUICK if arguments.quick else app.THOROUGH
    own = {"lengths": arguments.lengths, "threads": arguments.threads, "runs": arguments.runs}
    wanted = app.Wanted(
        parts=arguments.only or app.PARTS,
        plan=plan.model_copy(update={name: value for name, value in own.items() if value}),
        limit=arguments.limit or (app.FEW if arguments.quick else None),
    )
    if "citations" in wanted.parts:
        try:
            program = held.enter_context(program_for(arguments))
        except RepositoryError as error:
            if arguments.only:
                raise
            tell(f"citations are not measured. {printable(str(error))}")
            wanted = replace(wanted, parts=tuple(part for part in wanted.parts if part != "citations"))
        else:
            with progress_line("reading") as show:
                index = program.one_shot_retriever(show)
            return program.archive.benchmarks, replace(wanted, repository=program.repository, index=index)
    opened = app.open_vault(settings_for(arguments), TerminalPassphrases(), tell)
    return held.enter_context(closing(opened)).archive.benchmarks, wanted


def measure_all(
    subjects: "Sequence[app.Subject]", wanted: "app.Wanted", keep: Callable[[Benchmark], None], session: Session
) -> None:
    """One after the other. A model that fails does not keep others from being measured, and Ctrl-C nothing from being kept."""
    with _bar() as bar:
        for number, subject in enumerate(subjects):
            show = _Show(bar, subject, subjects[number + 1 :])
            trial = app.Trial(subject, wanted, show)
            show.trial = trial
            try:
                trial.run()
            except KeyboardInterrupt:
                session.stopped = True
            except AgentError as error:
                session.code = session.code or error.exit_code
                tell(f"{printable(subject.name)}: {printable(str(error))}")
            if trial.measured:
                session.found.append(trial.benchmark)
                keep(trial.benchmark)
            if session.stopped:
                return


Bar = Callable[[str, float, float], None]


class _Show:
    """Says how long it will take as soon as that is known, and moves the bar."""

    def __init__(self, bar: Bar, subject: "app.Subject", later: "Sequence[app.Subject]") -> None:
        self._bar = bar
        self._subject = subject
        self._later = later
        self._said: set[str] = set()
        self.trial: app.Trial | None = None

    def __call__(self, part: "app.Part", done: float, of: float) -> None:
        if part not in self._said:
            first = not self._said
            self._said.add(part)
            if part == "speed":
                self._say_speed(of)
            elif first or self._said == {"speed", part}:
                self._say_rest()
        self._bar(f"{printable(self._subject.name)}, {part}", done, of)

    def _say_speed(self, seconds: float) -> None:
        """Other models take as much longer as their files are larger: each token is computed from all of it."""
        sizes = [self._subject.size, *(each.size for each in self._later)]
        whole = seconds * sum(sizes) / max(1, sizes[0])
        more = f", for all {len(sizes)} models {_duration(whole)}" if self._later else ""
        tell(f"{printable(self._subject.name)}: its speed takes about {_duration(seconds)}{more}.")

    def _say_rest(self) -> None:
        seconds = self.trial.rest_seconds if self.trial else 0.0
        if seconds:
            tell(f"{printable(self._subject.name)}: the other parts take very roughly {_duration(seconds)}.")


def _duration(seconds: float) -> str:
    if seconds <= _MOST_SECONDS:
        return counted(max(1, round(seconds)), "second")
    return counted(round(seconds / 60), "minute")


@contextmanager
def _bar() -> Iterator[Bar]:
    """A bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda what, done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("loading", total=None)

        def show(what: str, done: float, of: float) -> None:
            if progress.tasks[0].description != what:
                progress.reset(task, description=what)
            progress.update(task, completed=done, total=of)

        yield show


def _report(arguments: argparse.Namespace, session: Session, everything: Sequence[Benchmark]) -> None:
    """What was measured, and which model to use by all that is known of this machine."""
    if not session.found:
        return
    newest = app.latest_benchmarks(everything, session.found[0].machine)
    advice = app.advise(newest)
    if arguments.json:
        listed = [benchmark.model_dump(mode="json") for benchmark in session.found]
        emit(json.dumps({"benchmarks": listed, "advice": advice.model_dump()}, ensure_ascii=False, indent=2))
    else:
        emit("\n".join(bench_table.table(session.found)))
        _say(advice)
    _draw(arguments, newest)


def _say(advice: "app.Advice") -> None:
    """On a terminal no word is cut at the edge."""
    width = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else 0
    emit("\n" + (textwrap.fill(advice.why, width, break_long_words=False) if width else advice.why))


def _draw(arguments: argparse.Namespace, benchmarks: Sequence[Benchmark]) -> None:
    if arguments.plot is None:
        return
    plot.draw([plot.point_of(benchmark) for benchmark in benchmarks], arguments.plot)
    tell(f"drawn: {readable(str(arguments.plot))}")


# --- what was measured before ----------------------------------------------------------------------------------------


def history(arguments: argparse.Namespace) -> int:
    with closing(open_existing(arguments)) as opened:
        benchmarks = opened.archive.benchmarks.all()
    shown = [one for one in benchmarks if not arguments.names or one.model in arguments.names]
    if not shown:
        which = f" of {', '.join(map(readable, arguments.names))}" if arguments.names else ""
        print(printable(f"Nothing was measured yet{which}. `offline-agent models bench` does."))
        return 0
    changes = [app.compare(one, shown) for one in shown]
    newest = app.latest_benchmarks(shown, shown[0].machine)
    if arguments.json:
        listed = [
            {**one.model_dump(mode="json"), "change": change.model_dump() if change else None}
            for one, change in zip(shown, changes, strict=True)
        ]
        found = {"benchmarks": listed, "advice": app.advise(newest).model_dump()}
        emit(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        emit("\n".join(bench_table.history(shown, changes)))
        _say(app.advise(newest))
    _draw(arguments, newest)
    return 0


# --- options ---------------------------------------------------------------------------------------------------------


def _parts(text: str) -> "tuple[app.Part, ...]":
    named = [word.strip() for word in text.split(",")]
    for word in named:
        if word not in app.PARTS:
            raise argparse.ArgumentTypeError(f"{readable(word)!r} is none of {', '.join(app.PARTS)}")
    return tuple(part for part in app.PARTS if part in named)


def _numbers(text: str) -> tuple[int, ...]:
    parse = whole_number(1)
    return tuple(sorted({parse(word.strip()) for word in text.split(",")}))
