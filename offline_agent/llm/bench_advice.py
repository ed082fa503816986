"""Which model to use here, and what changed since it was last measured. Pure: benchmarks in, values with sentences out."""

from collections.abc import Sequence
from typing import Literal

from offline_agent.benchmarks import Benchmark, Score, SpeedPoint
from offline_agent.types import Value

Kind = Literal["calls", "citations", "edits"]
KINDS: tuple[Kind, ...] = ("calls", "citations", "edits")
READABLE = 5.0
"""Tokens a second. People read 238 words of prose a minute (Brysbaert 2019), about 4 a second, and a word is 1.3 tokens: a model
that writes more slowly is waited for at every word."""
PATIENCE = 10.0
"""Seconds to the first token. After so long without a sign people turn to something else (Nielsen 1993, chapter 5)."""


class Advice(Value):
    """The model to use here; "" where none was measured. `why` are one or two sentences."""

    model: str = ""
    why: str = ""


class Change(Value):
    """What differs from the run before on the same machine: ratios, new by old, None where one of them has no figure. Speeds are
    compared at `point`, which both have. `version` is the program's then, "" where it is the same; `another_file` says that the
    model is another file of the same name."""

    point: SpeedPoint | None = None
    prefill: float | None = None
    decode: float | None = None
    quality: float | None = None
    version: str = ""
    another_file: bool = False


def scores_of(benchmark: Benchmark) -> dict[Kind, Score]:
    """Those that were measured."""
    found = {kind: getattr(benchmark, kind) for kind in KINDS}
    return {kind: score for kind, score in found.items() if score is not None and score.of}


def quality_of(benchmark: Benchmark, kinds: Sequence[Kind] = KINDS) -> float | None:
    """The mean share of what was right, over those of `kinds` that were measured."""
    shares = [score.share for kind, score in scores_of(benchmark).items() if kind in kinds]
    return sum(shares) / len(shares) if shares else None


def first_token(benchmark: Benchmark) -> float:
    """Seconds, as a session begins: with the saved prefix where there is one."""
    saved = benchmark.first_token_saved
    return benchmark.first_token_cold if saved is None else saved


def latest_benchmarks(benchmarks: Sequence[Benchmark], machine: str = "") -> list[Benchmark]:
    """The newest of each model, with what it lacks from older ones of the same file and machine; only of `machine` where one is
    named. In the order of names."""
    found: dict[str, Benchmark] = {}
    for benchmark in sorted(benchmarks, key=lambda each: -each.at):
        if machine and benchmark.machine != machine:
            continue
        newer = found.setdefault(benchmark.model, benchmark)
        if (newer.sha256, newer.machine) == (benchmark.sha256, benchmark.machine):
            found[benchmark.model] = _completed(newer, benchmark)
    return [found[name] for name in sorted(found)]


def compare(benchmark: Benchmark, earlier: Sequence[Benchmark]) -> Change | None:
    """Against the newest of `earlier` of that model and machine; None where there is none before it."""
    same = [
        each
        for each in earlier
        if (each.model, each.machine) == (benchmark.model, benchmark.machine) and each.at < benchmark.at
    ]
    if not same:
        return None
    before = max(same, key=lambda each: each.at)
    kinds = [kind for kind in scores_of(benchmark) if kind in scores_of(before)]
    pair = _same_point(benchmark, before)
    return Change(
        point=pair[0] if pair else None,
        prefill=_ratio(*(point.prefill for point in pair)) if pair else None,
        decode=_ratio(*(point.decode for point in pair)) if pair else None,
        quality=_ratio(quality_of(benchmark, kinds), quality_of(before, kinds)),
        version="" if before.version == benchmark.version else before.version,
        another_file=before.sha256 != benchmark.sha256,
    )


def advise(benchmarks: Sequence[Benchmark]) -> Advice:
    """Of the newest of each model: the best among those that are fast enough, and why."""
    timed = [benchmark for benchmark in benchmarks if benchmark.decode]
    if not timed:
        return Advice(why="No speed was measured, so nothing can be said about which model to use here.")
    fast = [benchmark for benchmark in timed if _fast_enough(benchmark)]
    if not fast:
        quickest = max(timed, key=lambda each: each.decode)
        return Advice(model=quickest.model, why=_none_is_fast(quickest, timed))
    kinds = max((tuple(scores_of(benchmark)) for benchmark in fast), key=len)
    graded = [benchmark for benchmark in fast if set(kinds) <= set(scores_of(benchmark))] if kinds else []
    return _by_quality(graded, kinds, timed) if graded else _by_speed(fast, timed)


def _by_quality(graded: Sequence[Benchmark], kinds: Sequence[Kind], timed: Sequence[Benchmark]) -> Advice:
    def rank(benchmark: Benchmark) -> tuple[float, float]:
        return quality_of(benchmark, kinds) or 0.0, benchmark.decode

    best = max(graded, key=rank)
    share = rank(best)[0]
    named = ", ".join(kinds)
    if not share:
        return Advice(
            why=f"Nothing was right ({named}): use another model. `offline-agent models recommend` names some."
        )
    among = "" if len(graded) == 1 else f", the best of the {len(graded)} that are fast enough"
    why = [f"Use {best.model} here: {_percent(share)} right ({named}){among}; {_pace(best)}."]
    better = [
        each for each in timed if each not in graded and set(kinds) <= set(scores_of(each)) and rank(each) > rank(best)
    ]
    lacking = [each.model for each in timed if not set(kinds) <= set(scores_of(each))]
    if better:
        first = max(better, key=rank)
        why.append(f"{first.model} is better ({_percent(rank(first)[0])}) but slow here: {_pace(first)}.")
    elif lacking:
        why.append(f"Not compared, since less was measured of them: {', '.join(lacking)}.")
    return Advice(model=best.model, why=" ".join(why))


def _by_speed(fast: Sequence[Benchmark], timed: Sequence[Benchmark]) -> Advice:
    """Without quality a larger model is the better guess, as long as nobody has to wait for it."""
    best = max(fast, key=lambda each: (each.parameters, each.decode))
    if len(timed) == 1:
        return Advice(
            model=best.model, why=f"{best.model} is fast enough here: {_pace(best)}. No quality was measured."
        )
    among = (
        f"the largest of the {len(fast)} that are fast enough" if len(fast) > 1 else "the only one that is fast enough"
    )
    why = f"Use {best.model} here, by speed alone, as no quality was measured: {among}; {_pace(best)}."
    return Advice(model=best.model, why=why)


def _none_is_fast(quickest: Benchmark, timed: Sequence[Benchmark]) -> str:
    who = (
        quickest.model
        if len(timed) == 1
        else f"None of {len(timed)} is fast enough here. {quickest.model}, the fastest,"
    )
    return f"{who} is slow here: {_pace(quickest)}. A smaller model, or a smaller quantisation, is easier to work with."


def _fast_enough(benchmark: Benchmark) -> bool:
    return benchmark.decode >= READABLE and first_token(benchmark) <= PATIENCE


def _pace(benchmark: Benchmark) -> str:
    first = first_token(benchmark)
    waiting = f", the first after {first:.{1 if first >= 1 else 2}f} s" if first else ""
    return f"it writes {benchmark.decode:,.{0 if benchmark.decode >= 10 else 1}f} tokens a second{waiting}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _completed(newer: Benchmark, older: Benchmark) -> Benchmark:
    """`newer`, with what it lacks; citations only where both are about one repository."""
    names = ["speeds", "load_seconds", "peak_memory", "first_token_cold", "first_token_saved", "calls", "edits"]
    names += ["citations", "repository"] if newer.repository in ("", older.repository) else []
    return newer.model_copy(update={name: getattr(newer, name) or getattr(older, name) for name in names})


def _same_point(new: Benchmark, old: Benchmark) -> tuple[SpeedPoint, SpeedPoint] | None:
    """Of the points that both have, the one with the longest prompt, and of these the one that now writes fastest; new and old."""
    before = {(point.prompt_tokens, point.threads): point for point in old.speeds}
    both = [point for point in new.speeds if (point.prompt_tokens, point.threads) in before]
    if not both:
        return None
    point = max(both, key=lambda each: (each.prompt_tokens, each.decode))
    return point, before[point.prompt_tokens, point.threads]


def _ratio(new: float | None, old: float | None) -> float | None:
    return new / old if new is not None and old else None
