"""One command makes the static embedder; see `scripts/build-embedder --help`."""

import argparse
import importlib.util
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from offline_agent.models import EmbedderCard
from offline_agent.retrieval.embed import directory_of, load
from offline_agent.retrieval.static import WEIGHTS, StaticEmbedder, load_static
from offline_agent.settings import EmbedderSettings

from . import cut, evaluate, export, pairs, sources, start, tokenizer, train, turn
from .git import Clone

MODELS = cut.ROOT / "models"
CARD = MODELS / "cards" / f"{export.NAME}.md"
MEASURED = re.compile(r"(<!-- measured -->\n).*(\n<!-- /measured -->)", re.DOTALL)
TURNING = 20_000  # texts that the axes are chosen by
TESTED_PACKAGES = ("networkx", "rich", "httpx", "click")

HELP = """\
Make models/pocket-static, the static embedder, from source code on this machine.

stages, each skipped when its result is there and newer than what it is made from:
  pairs      packages and clones -> pairs/*.jsonl: docstrings, comments and commits with their code   about 10 minutes
  tokenizer  pairs -> tokenizer.json                                                                   seconds
  start      a sentence encoder -> start.npy, the first vectors                                        1 minute
  train      pairs and first vectors -> table.npy                                                      --steps
  export     table, turned to its principal axes -> model/, which sentence-transformers reads too      seconds
  evaluate   packages and clones that training never saw -> evaluation.md                              minutes

examples:
  scripts/build-embedder                              from installed packages alone: docstrings, no commits
  scripts/build-embedder --clones ~/src/*             and from local git clones (bare ones too)
  scripts/build-embedder --clones ~/src/* --tests ~/src/httpx --install
                                                      measure commit-to-file on a clone too, and ship the result
  scripts/build-embedder --only evaluate --encoder    measure again, next to all-MiniLM-L6-v2 (slow)

Packages and clones under a copyleft licence are left out, so is what retrieval is measured on (see scripts/embedder/sources.py).
--packages NAME ... reads these alone ("python" is the standard library). Everything is seeded: the same sources give the same pairs
and, on the same machine, the same vectors. To start over, delete the directory given by --work.
"""


@dataclass(frozen=True)
class Work:
    """Where each stage leaves its result."""

    folder: Path

    @property
    def pairs(self) -> Path:
        return self.folder / "pairs"

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer.json"

    @property
    def start(self) -> Path:
        return self.folder / "start.npy"

    @property
    def table(self) -> Path:
        return self.folder / "table.npy"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def report(self) -> Path:
        return self.folder / "evaluation.md"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/build-embedder", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "offline-agent" / "build-embedder"
    parser.add_argument("--work", type=Path, default=cache, metavar="DIR", help=f"where results go (default {cache})")
    parser.add_argument("--packages", nargs="*", default=[], metavar="NAME", help="packages to read (default: all)")
    parser.add_argument("--clones", nargs="*", type=Path, default=[], metavar="DIR", help="git clones to read")
    parser.add_argument("--commits", type=int, default=3_500, metavar="N", help="commits of a clone (default 3500)")
    parser.add_argument("--steps", type=int, default=train.Recipe.steps, metavar="N", help="how long to train")
    parser.add_argument("--tests", nargs="*", type=Path, default=[], metavar="DIR", help="clones to be measured on")
    parser.add_argument("--encoder", action="store_true", help="measure all-MiniLM-L6-v2 on docstrings too")
    parser.add_argument(
        "--only", choices=list(STAGES), metavar="STAGE", help="do this stage, even if its result is there"
    )
    parser.add_argument("--install", action="store_true", help="ship the result: models/, catalogue and card")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    work = Work(options.work)
    work.pairs.mkdir(parents=True, exist_ok=True)
    for name, stage in STAGES.items():
        if options.only in (None, name):
            print(f"{name}:", flush=True)
            stage(work, options)
    if options.install:
        export.install(work.model, MODELS)
        if work.report.exists():
            report, card = work.report.read_text(encoding="utf-8").strip(), CARD.read_text(encoding="utf-8")
            CARD.write_text(MEASURED.sub(lambda found: f"{found[1]}{report}{found[2]}", card), encoding="utf-8")
        print(f"installed {MODELS / export.NAME}")


def missing(target: Path, made_from: list[Path], forced: bool) -> bool:
    """Whether `target` has to be made: it is not there, or older than what it is made from."""
    fresh = target.exists() and all(target.stat().st_mtime >= source.stat().st_mtime for source in made_from)
    if fresh and not forced:
        print(f"  {target} is there")
    return forced or not fresh


def run_pairs(work: Work, options: argparse.Namespace) -> None:
    """One file for each package and clone, so that an interrupted run goes on where it was."""
    for name, licence, read in _readers(options):
        target = work.pairs / f"{name}.jsonl"
        if options.only == "pairs" or not target.exists():
            started = time.monotonic()
            count = pairs.write(target, read())
            print(f"  {name}: {count} pairs, {time.monotonic() - started:.0f} s. {licence}", flush=True)


def _readers(options: argparse.Namespace) -> Iterator[tuple[str, str, Callable[[], Iterator[pairs.Pair]]]]:
    for package in sources.packages(options.packages):
        yield f"package-{package.name}", package.licence, partial(pairs.of_package, package)
    for clone in sources.clones(options.clones):
        yield f"clone-{clone.name}", "", partial(pairs.of_clone, clone, options.commits)


def run_tokenizer(work: Work, options: argparse.Namespace) -> None:
    if missing(work.tokenizer, list(work.pairs.glob("*.jsonl")), options.only == "tokenizer"):
        tokenizer.make(pairs.read(work.pairs), work.tokenizer)


def run_start(work: Work, options: argparse.Namespace) -> None:
    if missing(work.start, [work.tokenizer], options.only == "start"):
        vocabulary = _vocabulary(work)
        data = train.Data(pairs.read(work.pairs), vocabulary, train.Recipe())
        np.save(work.start, start.vectors(vocabulary, data.counts(len(vocabulary))))


def run_train(work: Work, options: argparse.Namespace) -> None:
    if missing(work.table, [work.start], options.only == "train"):
        recipe = train.Recipe(steps=options.steps)
        data = train.Data(pairs.read(work.pairs), _vocabulary(work), recipe)
        np.save(work.table, train.train(data, np.load(work.start), recipe))


def run_export(work: Work, options: argparse.Namespace) -> None:
    if missing(work.model / WEIGHTS, [work.table], options.only == "export"):
        codes = [code for pair in pairs.read(work.pairs) for code in pair.codes]
        table = turn.turned(np.load(work.table), _vocabulary(work), codes[:: max(1, len(codes) // TURNING)])
        export.export(table, work.tokenizer, work.model)


def run_evaluate(work: Work, options: argparse.Namespace) -> None:
    """The model of this build, or the shipped one where nothing was built."""
    model = work.model if (work.model / WEIGHTS).exists() else MODELS / export.NAME
    if not missing(work.report, [model / WEIGHTS], options.only == "evaluate"):
        return
    slow: dict[str, evaluate.Encode] = {}
    if options.encoder:
        slow[cut.ENCODER.name] = load(_pinned_encoder(), EmbedderSettings()).encode
    described = [evaluate.docstrings(name, root) for name in TESTED_PACKAGES if (root := _package(name)) is not None]
    changed = [evaluate.localisation(Clone(directory)) for directory in options.tests]
    report = evaluate.report(described, changed, {export.NAME: _static(model).encode}, slow)
    work.report.write_text(report + "\n", encoding="utf-8")
    print(report)


STAGES: dict[str, Callable[[Work, argparse.Namespace], None]] = {
    "pairs": run_pairs,
    "tokenizer": run_tokenizer,
    "start": run_start,
    "train": run_train,
    "export": run_export,
    "evaluate": run_evaluate,
}


def _vocabulary(work: Work) -> dict[str, int]:
    vocabulary: dict[str, int] = json.loads(work.tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    return vocabulary


def _static(directory: Path) -> StaticEmbedder:
    hashes = export.hashes(directory)
    card = EmbedderCard(
        name=export.NAME,
        form="static",
        directory=directory.name,
        dimensions=start.DIMENSIONS,
        max_tokens=256,
        sha256=hashes,
    )
    return load_static(card, directory)


def _pinned_encoder() -> EmbedderCard:
    directory = directory_of(cut.ENCODER, EmbedderSettings())
    return cut.ENCODER.model_copy(update={"sha256": export.hashes(directory)})


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


if __name__ == "__main__":
    main()
