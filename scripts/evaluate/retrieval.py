"""Measures how well questions find what answers them; see `scripts/evaluate-retrieval --help`."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from offline_agent.cli.terminal import printable
from offline_agent.errors import AgentError
from offline_agent.settings import Settings, load_settings
from scripts.evaluate import docstrings, history, localisation, questions
from scripts.evaluate.cases import Outcome, Round
from scripts.evaluate.progress import Meter
from scripts.evaluate.report import as_json, listing, table
from scripts.evaluate.run import How, run
from scripts.evaluate.subject import Tools, tools_of

HELP = """\
Measure how well questions find what answers them: on your own repository, or on any other.

what is asked:
  commits       your history: a commit's message asks, the files that it changed are the answer
  questions     your own questions, with the files that answer them (index/evals/README.md)
  docstrings    what a function's docstring says asks for the function, from which it was removed
  localisation  issues in SWE-bench's format ask for the files that the accepted change touched

examples:
  scripts/evaluate-retrieval commits --clone ~/src/mine --last 50 --no-dense
                                          a first look, in a minute or two
  scripts/evaluate-retrieval commits --clone ~/src/mine --last 50 --keep ~/.cache/eval
                                          and with the transformer, whose vectors take long; --keep goes on where it was
  scripts/evaluate-retrieval questions --repo ~/src/flask --verbose
  scripts/evaluate-retrieval docstrings mypackage --queries 200
  scripts/evaluate-retrieval localisation issues.jsonl --clones ~/src

how to read the table:
  Acc@5 = 80.0     of 80 in 100 questions the whole answer was among the first five files (functions, for docstrings)
  MRR@10           the mean of 1/place, 0 beyond the tenth
  plain BM25       the baseline: 40-line windows of source files (for docstrings the chunks), compounds split, no rule
  words, static, dense     one ranking of the program alone; dense is the transformer
  words + dense, blindly   those two fused by nothing but their places (reciprocal rank fusion)
  everything       what a search in the program does, with the weights of index/ranking.toml
  without X        the same with one ranking or rule left out. Where that is better, X does harm here; but look how much one
                   question is worth before you change a weight

Checkouts and indexes lie unencrypted in a temporary directory, or in that of --keep. Nothing is written anywhere else, and nothing
leaves this machine. Ctrl-C prints what is known so far. Files that did not change are not read again from what was kept: delete it
after a change to how files are cut or words counted.
"""

_INTERRUPTED = 130  # as a shell has it


def main(arguments: Sequence[str] | None = None, tools: Callable[[bool], Tools] | None = None) -> int:
    """Returns the exit status. `tools` makes what indexes are made with, given whether the transformer takes part; by default
    what the settings say."""
    options = parser().parse_args(arguments)
    try:
        settings = load_settings()
        rounds = _limited(_rounds(options, settings), options.limit)
        outcomes, complete = _asked(options, rounds, tools or (lambda dense: tools_of(settings, dense)))
    except AgentError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    show(options, outcomes, complete)
    return 0 if complete else _INTERRUPTED


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="scripts/evaluate-retrieval", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = made.add_subparsers(dest="mode", required=True, metavar="{commits,questions,docstrings,localisation}")
    common = _common()
    one = modes.add_parser("commits", parents=[common], help="messages of commits -> the files they changed")
    one.add_argument("--clone", type=Path, default=Path(), help="the repository, bare or not (default: here)")
    one.add_argument("--last", type=_count, default=100, metavar="N", help="commits that can be asked (default 100)")
    one = modes.add_parser("questions", parents=[common], help="your own questions -> paths")
    one.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="FILE.jsonl",
        help="default: index/evals/*.jsonl named like the repository",
    )
    one.add_argument("--repo", type=Path, default=Path(), help="the repository they are about (default: here)")
    one = modes.add_parser("docstrings", parents=[common], help="docstrings -> functions of installed packages")
    one.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"default: {' '.join(docstrings.DEFAULT_PACKAGES)}")
    one.add_argument("--queries", type=_count, default=500, metavar="N", help="functions to ask for (default 500)")
    one = modes.add_parser("localisation", parents=[common], help="issues -> files of the accepted change")
    one.add_argument(
        "file", type=Path, metavar="FILE.jsonl", help="issues; scripts/evaluate/localisation.py shows a line"
    )
    one.add_argument("--clones", type=Path, required=True, metavar="DIR", help="has a git clone of each repository")
    return made


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--no-dense", action="store_true", help="without the transformer: minutes instead of hours")
    common.add_argument("--no-ablation", action="store_true", help="leave nothing out, which is quicker")
    common.add_argument(
        "--dense-source",
        action="store_true",
        help="the transformer for source code alone, not for tests, documentation and data: a fraction of the time",
    )
    common.add_argument("--source-only", action="store_true", help="do not count documentation and data that was found")
    common.add_argument("--limit", type=_count, metavar="N", help="the first N questions only")
    common.add_argument("--keep", type=Path, metavar="DIR", help="keep checkouts and vectors there, for the next time")
    common.add_argument("--verbose", action="store_true", help="a line for each question too")
    common.add_argument("--json", action="store_true", help="one JSON object, each question in it")
    return common


def show(options: argparse.Namespace, outcomes: Sequence[Outcome], complete: bool) -> None:
    if options.json:
        print(json.dumps(as_json(options.mode, outcomes, complete), indent=2))
        return
    if outcomes and options.verbose:
        print(printable(listing(outcomes)), end="\n\n")
    print(printable(table(outcomes)) if outcomes else "Nothing was asked.")
    if not complete:
        print("It was interrupted: these are not all questions.")


def _rounds(options: argparse.Namespace, settings: Settings) -> list[Round]:
    if options.mode == "commits":
        return history.rounds(options.clone, options.last)
    if options.mode == "questions":
        return questions.rounds(options.files, options.repo, settings.index_declarations / "evals")
    if options.mode == "docstrings":
        return docstrings.rounds(options.packages or docstrings.installed_defaults(), options.queries)
    return localisation.rounds(options.file, options.clones)


def _limited(rounds: Sequence[Round], limit: int | None) -> list[Round]:
    """The first questions, and the rounds that have them."""
    left = iter(range(sum(len(one.cases) for one in rounds) if limit is None else limit))
    cut = (replace(one, cases=tuple(case for case, _ in zip(one.cases, left, strict=False))) for one in rounds)
    return [one for one in cut if one.cases]


def _asked(
    options: argparse.Namespace, rounds: Sequence[Round], tools: Callable[[bool], Tools]
) -> tuple[list[Outcome], bool]:
    """The outcomes, and whether they are all."""
    found: list[Outcome] = []
    total = sum(len(one.cases) for one in rounds)
    try:
        made = replace(tools(not options.no_dense), dense_aside=not options.dense_source)
        with _work(options.keep, options.mode) as work, Meter(total) as meter:
            how = How(options.mode == "docstrings", not options.no_ablation, options.source_only)
            for outcome in run(rounds, work, made, meter, how):
                found.append(outcome)  # one by one: what is known stays when the next is interrupted
    except KeyboardInterrupt:
        return found, False
    return found, True


@contextmanager
def _work(keep: Path | None, mode: str) -> Iterator[Path]:
    """A directory for checkouts and indexes, gone afterwards unless it is to be kept."""
    if keep is not None:
        directory = keep.resolve() / mode
        directory.mkdir(parents=True, exist_ok=True)
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="evaluate-retrieval-") as scratch:
        yield Path(scratch).resolve()


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("it has to be 1 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
