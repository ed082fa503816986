"""The model runtime in figures: all on the same models and machine, in one run.

    speed     decoding and reading a prompt, against a loop of llama.cpp alone in a process of its own
    bench     what `models bench` says of both, against the same loop
    turns     how much of the earlier prompt and answer a later turn computes again, for each family of models
    process   first token in a new process, with a saved prefix and without
    calls     calls that parse and validate, for each family, from random weights at temperature 1
    cancel    milliseconds from a cancel until the answer has ended
    hello     tokens and bytes of the first prompt, with every tool
    draft     guessing ahead against not: a file that is said once more, and noise

Models have random weights and the shape of SmolLM2-135M, or of next to nothing where speed is not the question: it does not depend
on what they say. What is compared is measured in turn, and the median taken.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.bench.families import FAMILIES
from scripts.bench.random_model import SHAPES, write_random_model
from scripts.bench.runtime.calls import well_formed
from scripts.bench.runtime.cancels import cancels
from scripts.bench.runtime.figures import Figure, report
from scripts.bench.runtime.speed import against_bare, bench_against_bare, drafting
from scripts.bench.runtime.turns import hello, new_process, second_turn

_FAMILY = FAMILIES["hermes"]


class Models:
    """Files that are made when they are first wanted."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory

    def shaped(self, name: str) -> Path:
        path = self.directory / f"{name}.gguf"
        if not path.exists():
            report(f"random weights in the shape of {name}")
            write_random_model(path, SHAPES[name], _FAMILY, "q8_0")
        return path


def measure(models: Models, options: argparse.Namespace) -> Iterator[Figure]:
    shaped = models.shaped

    def process() -> Iterator[Figure]:
        yield from new_process(shaped("smollm2-135m"), options.runs)
        if options.large:
            yield from new_process(shaped("qwen2.5-0.5b"), options.runs)

    parts: dict[str, Callable[[], Iterator[Figure]]] = {
        "hello": lambda: hello(shaped("smollm2-135m"), _FAMILY),
        "speed": lambda: against_bare(shaped("smollm2-135m"), options.runs),
        "bench": lambda: bench_against_bare(shaped("smollm2-135m"), options.runs),
        "turns": lambda: second_turn(models.directory),
        "process": process,
        "cancel": lambda: cancels(shaped("smollm2-135m"), options.cancels),
        "draft": lambda: drafting(models.directory, shaped("smollm2-135m"), options.runs),
        "calls": lambda: well_formed(models.directory, options.calls),
    }
    for name in options.only.split(",") if options.only else parts:
        if name not in parts:
            raise SystemExit(f"There is no part {name!r}; known are {', '.join(parts)}.")
        yield from parts[name]()


def show(figure: Figure) -> None:
    aim = "" if figure.least is None else f"at least {figure.least:g}"
    aim = aim if figure.most is None else f"at most {figure.most:g}"
    verdict = ("met" if figure.met else "MISSED") if aim else ""
    value = (
        f"{figure.value:,.0f}" if figure.value >= 100 or figure.value == int(figure.value) else f"{figure.value:.3g}"
    )
    print(f"{figure.name:58}{value:>9} {figure.unit:9}{aim:15}{verdict}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench-runtime", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="parts, with commas between them; by default all")
    parser.add_argument("--runs", type=int, default=5, help="repetitions of what is timed")
    parser.add_argument("--calls", type=int, default=1000, help="calls of each family")
    parser.add_argument("--cancels", type=int, default=50)
    parser.add_argument("--large", action="store_true", help="a new process with the shape of Qwen2.5-0.5B too")
    parser.add_argument("--models", type=Path, help="a directory to keep the models in for the next run")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = []
    with TemporaryDirectory() as scratch:
        for figure in measure(Models(options.models or Path(scratch)), options):
            figures.append(figure)
            if not options.json:
                show(figure)
    if options.json:
        json.dump([{**asdict(figure), "met": figure.met} for figure in figures], sys.stdout, indent=1)
        print()
    raise SystemExit(any(not figure.met for figure in figures))


if __name__ == "__main__":
    main()
