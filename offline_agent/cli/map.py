"""`offline-agent map`: an outline of the repository, for people and for prompts."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from offline_agent import app
from offline_agent.cli.options import add_repository, program_for, whole_number
from offline_agent.cli.terminal import emit, progress_line, readable

TOKENS = 1024


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "map",
        help="outline the repository: what the rest rests on most",
        description="Outlines the repository within a budget of tokens: the files that the rest uses and imports most, with the "
        "signatures and first lines of their most used definitions. Tests, documentation and vendored code come last. Name files, "
        "directories or words, and the outline is of these, of what they use and of who uses them.",
        epilog='examples: offline-agent map | less; offline-agent map src/shop/cart.py; offline-agent map "retry failed uploads"',
    )
    parser.add_argument(
        "focus",
        nargs="*",
        metavar="PATH|WORD",
        help="files and directories of the repository, or words to search for (default: the whole repository)",
    )
    parser.add_argument(
        "--tokens",
        type=whole_number(1),
        default=TOKENS,
        metavar="N",
        help=f"at most this long, as the embedder counts (default: {TOKENS})",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object: entries with path, rank and definitions; files, tokens"
    )
    add_repository(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    with program_for(arguments) as program:
        focus, query = meant(program.repository.root, Path.cwd(), arguments.focus)
        with progress_line("reading files:") as progress:
            outline = program.one_shot_retriever(progress).repository_map(arguments.tokens, focus, query)
    emit(outline.model_dump_json(indent=2) if arguments.json else app.render_map(outline) or "There is nothing to map.")
    return 0


def meant(root: Path, here: Path, words: Sequence[str]) -> tuple[list[str], str]:
    """What was typed, as paths from the repository's root and as words to search for. A path may be typed as it is seen from `here`
    or from the root; the root itself means everything."""
    focus, rest = [], []
    for word in words:
        found = next((path for path in (here / word, root / word) if _inside(root, path)), None)
        if found is None:
            rest.append(readable(word))
        else:
            focus.append(found.resolve().relative_to(root).as_posix())
    return [path for path in focus if path != "."], " ".join(rest)


def _inside(root: Path, path: Path) -> bool:
    try:
        return path.exists() and path.resolve().is_relative_to(root)
    except (OSError, ValueError):  # too long a name, or one with a NUL: no path, then
        return False
