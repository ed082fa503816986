"""One command makes the built-in model from nothing; see `scripts/build-pocket --help`."""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from . import data, export, extract, fidelity, tokenizer, train

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "pocket.gguf"
CATALOGUE = ROOT / "models" / "catalogue.toml"
CARD = ROOT / "models" / "cards" / "pocket.md"
EVALUATE = ROOT / "scripts" / "evaluate-pocket"
MEASURED = re.compile(r"(<!-- measured -->\n).*(\n<!-- /measured -->)", re.DOTALL)

HELP = """\
Make models/pocket.gguf, the built-in model, from nothing but the Python source on this machine.

stages, each skipped when its result is there and newer than what it is made from:
  extract    Python packages and the standard library -> spans.jsonl        about 1 minute
  tokenizer  spans -> tokenizer.json                                        seconds
  data       spans and phrasings -> data/*.npz, what training reads         about 2 minutes
  train      hand-written circuits, then training on one core -> checkpoint --minutes
  export     checkpoint -> pocket.gguf                                      seconds
  evaluate   the GGUF beside torch, and scripts/evaluate-pocket: questions
             on held-out code through the whole program -> evaluation.md    about 4 minutes

examples:
  scripts/build-pocket                       all of it, in the cache directory; an interrupted run goes on where it was
  scripts/build-pocket --minutes 10          a worse model, soon
  scripts/build-pocket --only evaluate       measure again; without a build at hand, the model that is shipped
  scripts/build-pocket --install             and replace models/pocket.gguf, its catalogue entry and the card's figures

Everything is seeded. How far training gets in the time depends on the machine, so two machines make equally good models,
not equal ones. To start over, delete the directory given by --work.
"""


@dataclass(frozen=True)
class Work:
    """Where each stage leaves its result."""

    folder: Path

    @property
    def spans(self) -> Path:
        return self.folder / "spans.jsonl"

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer.json"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def model(self) -> Path:
        return self.folder / "pocket.gguf"

    @property
    def report(self) -> Path:
        return self.folder / "evaluation.md"


def parse_arguments() -> argparse.Namespace:
    """The command line of scripts/build-pocket."""
    parser = argparse.ArgumentParser(
        prog="scripts/build-pocket", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "offline-agent" / "build-pocket"
    parser.add_argument("--work", type=Path, default=cache, metavar="DIR", help=f"where results go (default {cache})")
    parser.add_argument("--minutes", type=float, default=70, metavar="N", help="how long to train (default 70)")
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto", help="what to train on (default auto)"
    )
    parser.add_argument(
        "--only", choices=list(STAGES), metavar="STAGE", help="do this stage, even if its result is there"
    )
    parser.add_argument(
        "--install", action="store_true", help="ship the result: models/pocket.gguf, catalogue and card"
    )
    return parser.parse_args()


def main() -> None:
    """Every stage in its order, or the one asked for; then shipping, if asked for."""
    options = parse_arguments()
    work = Work(options.work)
    work.data.mkdir(parents=True, exist_ok=True)
    for name, stage in STAGES.items():
        if options.only in (None, name):
            print(f"{name}:", flush=True)
            stage(work, options)
    if options.install:
        install(work)


def missing(target: Path, sources: list[Path], forced: bool) -> bool:
    """Whether `target` has to be made: it is not there, or older than what it is made from."""
    fresh = target.exists() and all(target.stat().st_mtime >= source.stat().st_mtime for source in sources)
    if fresh and not forced:
        print(f"  {target} is there")
    return forced or not fresh


def run_extract(work: Work, options: argparse.Namespace) -> None:
    """Python on this machine -> spans.jsonl."""
    if missing(work.spans, [], options.only == "extract"):
        extract.extract(work.spans)


def run_tokenizer(work: Work, options: argparse.Namespace) -> None:
    """spans.jsonl and the phrasings of training -> tokenizer.json."""
    if missing(work.tokenizer, [work.spans], options.only == "tokenizer"):
        tokenizer.make(work.spans, work.tokenizer)


def run_data(work: Work, options: argparse.Namespace) -> None:
    """Spans and tokenizer -> an .npz for each stage of training."""
    last = work.data / f"{list(data.TRAINING_PLAN)[-1]}.npz"
    if missing(last, [work.spans, work.tokenizer], options.only == "data"):
        data.make_training(work.spans, work.tokenizer, work.data)


def run_train(work: Work, options: argparse.Namespace) -> None:
    """Goes on from the checkpoint, unless that was trained on older data."""
    if work.checkpoint.exists() and missing(work.checkpoint, [*work.data.glob("*.npz")], forced=False):
        work.checkpoint.unlink()
    recipe = train.Recipe(minutes=options.minutes, device=train.device(options.device))
    train.train(recipe, work.tokenizer, work.data, work.checkpoint)


def run_export(work: Work, options: argparse.Namespace) -> None:
    """The checkpoint -> pocket.gguf."""
    if missing(work.model, [work.checkpoint], options.only == "export"):
        trained, _ = train.load_trained(work.checkpoint)
        export.export(trained, Tokenizer.from_file(str(work.tokenizer)), work.model)
        print(f"  {work.model}, {work.model.stat().st_size / 1e6:.1f} MB")


def run_evaluate(work: Work, options: argparse.Namespace) -> None:
    """The model of this build, or the shipped one where nothing was built."""
    file = work.model if work.model.exists() else MODEL
    if not missing(work.report, [file], options.only == "evaluate"):
        return
    paragraph = fidelity.report(file)
    print(f"  {paragraph}", flush=True)
    temporary = work.report.with_suffix(".partial")
    subprocess.run([EVALUATE, "--model", file, "--report", temporary], check=True)
    temporary.write_text(f"{temporary.read_text(encoding='utf-8').rstrip()}\n\n{paragraph}\n", encoding="utf-8")
    temporary.replace(work.report)


STAGES: dict[str, Callable[[Work, argparse.Namespace], None]] = {
    "extract": run_extract,
    "tokenizer": run_tokenizer,
    "data": run_data,
    "train": run_train,
    "export": run_export,
    "evaluate": run_evaluate,
}


def install(work: Work) -> None:
    """Ship the model: the file, its hash and size in the catalogue, its measured figures in the card."""
    temporary = MODEL.with_suffix(".partial")
    shutil.copyfile(work.model, temporary)
    temporary.replace(MODEL)
    digest, size = hashlib.sha256(MODEL.read_bytes()).hexdigest(), MODEL.stat().st_size
    before, entry = CATALOGUE.read_text(encoding="utf-8").split("[models.pocket]\n", 1)
    entry = re.sub(r'(?m)^sha256 = "[0-9a-f]*"', f'sha256 = "{digest}"', entry, count=1)
    entry = re.sub(r"(?m)^size = \d+", f"size = {size}", entry, count=1)
    CATALOGUE.write_text(f"{before}[models.pocket]\n{entry}", encoding="utf-8")
    if work.report.exists():
        report = work.report.read_text(encoding="utf-8").strip()
        card = CARD.read_text(encoding="utf-8")
        CARD.write_text(MEASURED.sub(lambda found: f"{found[1]}{report}{found[2]}", card), encoding="utf-8")
    print(f"installed {MODEL}\n  sha256 {digest}\n  size {size}")


if __name__ == "__main__":
    main()
