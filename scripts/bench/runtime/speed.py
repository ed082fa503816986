"""How fast the program's own model process is: against a bare loop, as a session sees it and as `models bench` tells it, and with
guessing ahead against without."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from offline_agent.benchmarks import SpeedPoint
from offline_agent.llm.bench import SpeedBench
from offline_agent.llm.bench_plan import Pace, Plan
from offline_agent.llm.catalogue import card_for
from offline_agent.settings import ModelSettings
from offline_agent.types import Message, Sampling
from scripts.bench.random_model import plain_words, write_random_model
from scripts.bench.runtime.bare import BareLoop, bare_loop
from scripts.bench.runtime.copying import COPYING, copying_weights, unlike_lines
from scripts.bench.runtime.figures import Answer, Figure, ask, median_ratio, prose, report, running

_PROMPT_WORDS = 900
_LENGTHS = (128, 512)
_ANSWER = Sampling(max_tokens=128)
_LINES = 150
_LONG = Sampling(max_tokens=4096)


def against_bare(path: Path, runs: int) -> Iterator[Figure]:
    """Decoding and reading a prompt, tokens a second, ours by theirs. From outside: templates, pipes and all are in it."""
    settings = ModelSettings(draft="never")
    decoded, read, speeds = [], [], []
    with running(path, settings=settings) as model:
        fit = model.load().fit
        assert fit is not None
        with bare_loop(path, fit) as bare:
            for run in range(runs + 1):
                report(f"against a bare loop, {run} of {runs}")
                ours = ask(model, [Message(role="user", content=prose(_PROMPT_WORDS, run))], _ANSWER)
                computed = ours.usage.prompt_tokens - ours.usage.reused_tokens
                written = ours.usage.answer_tokens
                first, rest = bare.run(computed, written)
                if run and written > 1:  # the first warms both up
                    read.append((first, ours.first))
                    decoded.append((rest, ours.last - ours.first))
                    speeds.append((computed / ours.first, (written - 1) / (ours.last - ours.first)))
    yield Figure("decode speed, ours / bare llama.cpp", median_ratio(decoded), least=0.97)
    yield Figure("prefill speed, ours / bare llama.cpp", median_ratio(read), least=0.95)
    yield Figure("decode", statistics.median(speed for _, speed in speeds), "tokens/s")
    yield Figure("prefill", statistics.median(speed for speed, _ in speeds), "tokens/s")


def bench_against_bare(path: Path, runs: int) -> Iterator[Figure]:
    """What `models bench` measures at each length of prompt, by what the loop does: each point and a run of the loop in turn."""
    measured: dict[int, list[tuple[SpeedPoint, SpeedPoint]]] = {length: [] for length in _LENGTHS}
    plan = Plan(lengths=_LENGTHS * (runs + 1), runs=1)
    bench = SpeedBench(card_for(path), path, ModelSettings(), plan)
    with closing(bench.run()) as steps:
        next(steps)  # how long it takes
        assert bench.speed.info is not None
        assert bench.speed.info.fit is not None
        with bare_loop(path, bench.speed.info.fit) as bare:
            for number, length in enumerate(plan.lengths):
                report(f"models bench against a bare loop, {number} of {len(plan.lengths)}")
                next(steps)
                ours = bench.speed.points[-1]
                theirs = _bare_point(bare, ours)
                if number >= len(_LENGTHS):  # the first round warms both up
                    measured[length].append((ours, theirs))
    for length, pairs in measured.items():
        name = f"models bench / bare llama.cpp, {length} tokens"
        decode = _ratio_of_medians([(ours.decode, theirs.decode) for ours, theirs in pairs])
        prefill = _ratio_of_medians([(ours.prefill, theirs.prefill) for ours, theirs in pairs])
        yield Figure(f"{name}: decode", decode, least=0.95, most=1.05)
        yield Figure(f"{name}: prefill", prefill, least=0.95, most=1.05)


def _ratio_of_medians(pairs: Sequence[tuple[float, float]]) -> float:
    """Where single runs vary by half, as beside other work, this varies less than the median of the ratios."""
    ours, theirs = zip(*pairs, strict=True)
    return float(statistics.median(ours) / statistics.median(theirs))


def _bare_point(bare: BareLoop, ours: SpeedPoint) -> SpeedPoint:
    """The same by the loop, with an answer as long."""
    answer = Pace(0.0, ours.prefill, ours.decode).writes
    first, rest = bare.run(ours.prompt_tokens, answer)
    return ours.model_copy(update={"prefill": ours.prompt_tokens / first, "decode": (answer - 1) / rest})


def drafting(directory: Path, noise: Path, runs: int) -> Iterator[Figure]:
    """Answers guessed ahead against the same answers one token at a time: a file that is said once more, and noise."""
    shape = replace(COPYING, context=8192)
    path = directory / "copying.gguf"
    report("a model that repeats what it has read")
    write_random_model(path, shape, kind="q8_0", maker=copying_weights(shape))
    text = unlike_lines(plain_words(shape.vocabulary), _LINES)
    said = [
        Message(role="user", content="Write the file."),
        Message(role="assistant", content=text),
        Message(role="user", content="Once more."),
    ]
    pairs = _drafted(path, said, _LONG, runs)
    yield Figure("a file once more: its text comes back", float(all(on.text == text for on, _ in pairs)), least=1)
    yield from _compared("a file once more", pairs)
    asked = [Message(role="user", content=prose(300))]
    yield from _compared("noise", _drafted(noise, asked, _ANSWER, runs))


def _drafted(path: Path, messages: Sequence[Message], sampling: Sampling, runs: int) -> list[tuple[Answer, Answer]]:
    """The answers with and without guessing ahead, in turn; the prompt is computed before."""
    always, never = ModelSettings(draft="always"), ModelSettings(draft="never")
    answers = []
    with running(path, settings=always) as guessing, running(path, settings=never) as plain:
        for run in range(runs + 1):
            report(f"drafting with {path.stem}, {run} of {runs}")
            answers.append((ask(guessing, messages, sampling), ask(plain, messages, sampling)))
    return answers[1:]


def _compared(name: str, pairs: Sequence[tuple[Answer, Answer]]) -> Iterator[Figure]:
    same = all(on.message.tokens == off.message.tokens for on, off in pairs)
    usage = pairs[0][0].usage
    yield Figure(f"{name}: same tokens with guessing and without", float(same), least=1)
    yield Figure(
        f"{name}: speed with guessing / without", median_ratio([(_speed(on), _speed(off)) for on, off in pairs])
    )
    yield Figure(f"{name}: guesses that were right", usage.accepted_tokens / max(1, usage.drafted_tokens))
    yield Figure(f"{name}: without", statistics.median(_speed(off) for _, off in pairs), "tokens/s")


def _speed(answer: Answer) -> float:
    return answer.usage.answer_tokens / max(1e-9, answer.last - answer.first)
