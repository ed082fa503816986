"""Benchmarks as text, in 80 columns."""

from collections.abc import Iterator, Sequence

from offline_agent import app
from offline_agent.benchmarks import Benchmark, Score, SpeedPoint
from offline_agent.cli.terminal import local_time, printable

_NAME = 20  # columns; a name that is longer is cut in its middle
_TITLES = (
    f"{'':<{_NAME}}{'load':>5}{'memory':>8}{'reads':>8}{'writes':>7}   {'first token':<12}{'calls':>5}{'cited':>6}{'edits':>6}",
    f"{'':<{_NAME}}{'s':>5}{'MB':>8}{'tok/s':>8}{'tok/s':>7}{'cold s':>7}{'saved s':>8}{'%':>5}{'%':>6}{'%':>6}",
)
_DATE = 17  # columns
_NONE = "-"
_MINUS_SIGN = "\N{MINUS SIGN}"
_SAME = 0.02
"""Measured twice, speeds differ by as much even where nothing else runs: a smaller change is not told."""


def table(benchmarks: Sequence[Benchmark]) -> Iterator[str]:
    """A line for each model; below, its speeds by length and threads where there are several, and what else there is to say."""
    yield from _TITLES
    yield from map(_line, benchmarks)
    several = [benchmark for benchmark in benchmarks if len(benchmark.speeds) > 1]
    if several:
        yield from ("", *_lengths(several))
    notes = [_note(one, note) for one in benchmarks for note in one.notes]
    if notes:
        yield from ("", *map(printable, notes))


def history(benchmarks: Sequence[Benchmark], changes: "Sequence[app.Change | None]") -> Iterator[str]:
    """A line for each run, with what changed since the one before of that model on that machine."""
    yield f"{'':<{_DATE + _NAME}}{'prompt':>7}{'reads tok/s':>13}{'writes tok/s':>13}{'right':>10}"
    for benchmark, change in zip(benchmarks, changes, strict=True):
        quality, ratios = app.quality_of(benchmark), change or app.Change()
        point = ratios.point or _longest(benchmark)
        cells = (
            f"{f'{point.prompt_tokens:,}' if point else _NONE:>7}",
            f"{_changed(_speed(point.prefill if point else 0.0), ratios.prefill):>13}",
            f"{_changed(_speed(point.decode if point else 0.0), ratios.decode):>13}",
            f"{_changed(_NONE if quality is None else f'{100 * quality:.0f} %', ratios.quality):>10}",
        )
        name = shortened(benchmark.model, _NAME - 1)
        yield f"{local_time(benchmark.at, 'minutes'):<{_DATE}}{name:<{_NAME}}{''.join(cells)}"
        yield from (f"{'':<{_DATE}}{sentence}" for sentence in _differences(change))


def shortened(name: str, most: int = _NAME - 1) -> str:
    """A name in so many columns: its beginning, and its end, which tells one quantisation from another."""
    name = printable(name)
    if len(name) <= most:
        return name
    end = most // 2 - 1
    return f"{name[: most - end - 1]}~{name[len(name) - end :]}"


def _line(one: Benchmark) -> str:
    saved = one.first_token_saved
    cells = (
        f"{_seconds(one.load_seconds):>5}",
        f"{f'{one.peak_memory / 1e6:,.0f}' if one.peak_memory else _NONE:>8}",
        f"{_speed(one.prefill):>8}",
        f"{_speed(one.decode):>7}",
        f"{_seconds(one.first_token_cold):>7}",
        f"{_NONE if saved is None else _seconds(saved):>8}",
        f"{_percent(one.calls):>5}",
        f"{_percent(one.citations):>6}",
        f"{_percent(one.edits):>6}",
    )
    return f"{shortened(one.model):<{_NAME}}{''.join(cells)}"


def _lengths(benchmarks: Sequence[Benchmark]) -> Iterator[str]:
    """Reading and writing by length of prompt; a line for each number of threads."""
    lengths = sorted({point.prompt_tokens for one in benchmarks for point in one.speeds})[-5:]
    yield f"{'reads/writes tok/s':<{_NAME}}" + "".join(f"{length:>12,}" for length in lengths)
    for one in benchmarks:
        for threads in sorted({point.threads for point in one.speeds}):
            points = {point.prompt_tokens: point for point in one.speeds if point.threads == threads}
            cells = "".join(f"{_both(points.get(length)):>12}" for length in lengths)
            yield f"{shortened(one.model, _NAME - 5):<{_NAME - 4}}{f't{threads}':<4}{cells}"


def _note(benchmark: Benchmark, note: str) -> str:
    return note if note.startswith(benchmark.model) else f"{shortened(benchmark.model)}: {note}"


def _both(point: SpeedPoint | None) -> str:
    return _NONE if point is None else f"{_speed(point.prefill)}/{_speed(point.decode)}"


def _longest(benchmark: Benchmark) -> SpeedPoint | None:
    return max(benchmark.speeds, key=lambda point: (point.prompt_tokens, point.decode), default=None)


def _differences(change: "app.Change | None") -> Iterator[str]:
    if change is not None and change.version:
        yield f"the run before was of offline-agent {printable(change.version)}"
    if change is not None and change.another_file:
        yield "the run before was of another file of that name"


def _changed(figure: str, ratio: float | None) -> str:
    if ratio is None or abs(ratio - 1) < _SAME:
        return figure
    return f"{figure} {f'{100 * (ratio - 1):+.0f}%'.replace('-', _MINUS_SIGN)}"


def _speed(tokens: float) -> str:
    if not tokens:
        return _NONE
    return f"{tokens:,.0f}" if tokens >= 10 else f"{tokens:.1f}"


def _seconds(seconds: float) -> str:
    if not seconds:
        return _NONE
    return f"{seconds:.0f}" if seconds >= 100 else f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}"


def _percent(score: Score | None) -> str:
    return _NONE if score is None or not score.of else f"{100 * score.share:.0f}"
