"""`offline-agent search`: the retrieval half alone."""

import argparse
import json

from offline_agent import app
from offline_agent.cli.options import add_repository, program_for
from offline_agent.cli.terminal import printable, progress_line, readable
from offline_agent.errors import UsageError
from offline_agent.protocols import Retriever
from offline_agent.types import Hit


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "search",
        help="find code by words and by meaning",
        description="Finds spans of the repository for a query, best first. Words, symbols and a small built-in embedder answer at "
        "once; the transformer takes part when a session or `index watch` is running in this repository, or with --dense. A pasted "
        'issue with its traceback is a good query: `offline-agent search "$(cat issue.md)"`.',
    )
    parser.add_argument("query", nargs="+", help="words, an identifier, or a question")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="at most this many hits (default: 10)")
    parser.add_argument(
        "--json",
        action="store_true",
        help="a JSON list of objects with path, start_line, end_line, symbol, score, text",
    )
    parser.add_argument(
        "--dense", action="store_true", help="wait for the embedder and every vector first (seconds to minutes)"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="say for each hit what each ranking and rule gave or took; the weights are in index/ranking.toml",
    )
    add_repository(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.limit < 1:
        raise UsageError("--limit must be at least 1.")
    with program_for(arguments) as program:
        retriever = find_retriever(program, dense=arguments.dense)
        hits = retriever.search(readable(" ".join(arguments.query)), arguments.limit).hits
    if arguments.json:
        print(json.dumps([as_json(hit, arguments.explain) for hit in hits], ensure_ascii=False, indent=2))
    elif hits:
        texts = (as_text(number, hit, explain=arguments.explain) for number, hit in enumerate(hits, 1))
        print(printable("\n\n".join(texts)))
    else:
        print("Nothing found.")
    return 0


def find_retriever(program: app.Program, dense: bool) -> Retriever:
    """What answers at once, or with `dense` what has every vector; with progress for the person who waits."""
    if not dense:
        with progress_line("reading files:") as progress:
            return program.one_shot_retriever(progress)
    with progress_line("embedding chunks:") as progress:
        return program.complete_retriever(progress and (lambda status: progress(status.vectors, status.chunks)))


def as_json(hit: Hit, explain: bool = False) -> dict[str, object]:
    chunk = hit.chunk
    reasons = {"reasons": [reason.model_dump() for reason in hit.reasons]} if explain else {}
    return {
        "path": chunk.path,
        "start_line": chunk.start_line,
        "end_line": chunk.end_line,
        "symbol": chunk.symbol,
        "score": round(hit.score, 6),
        "text": chunk.text,
        "found_by": list(hit.found_by),
        **reasons,
    }


def as_text(number: int, hit: Hit, lines: int = 4, explain: bool = False) -> str:
    shown = [line for line in hit.chunk.text.splitlines() if line.strip()][:lines]
    header = f"{number}. {hit.chunk.location} {hit.chunk.symbol}".rstrip()
    why = [explanation(hit)] if explain else []
    return "\n".join([f"{header}  ({', '.join(hit.found_by)})", *why, *(f"     {line}" for line in shown)])


def explanation(hit: Hit) -> str:
    """A line for each reason, which add up to the score."""
    lines = [f"     {reason.amount:+7.3f}  {reason.rule:<13} {reason.detail}".rstrip() for reason in hit.reasons]
    return "\n".join([*lines, f"     {hit.score:+7.3f}"])
