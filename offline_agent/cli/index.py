"""`offline-agent index`: build, watch, look at and remove the index of a repository."""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from offline_agent.cli.options import add_repository, program_for
from offline_agent.cli.terminal import printable
from offline_agent.types import IndexPhase, IndexStatus


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "index",
        help="build, watch, inspect or remove the index",
        description="The index of a repository: chunks, words, symbols and vectors. A session keeps it current by itself; "
        "these commands are for doing it beforehand and for looking at it.",
    )
    add_repository(parser)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, action, text in (
        ("build", build, "make everything that is missing, vectors included, and wait for it"),
        ("watch", watch, "keep the index current until Ctrl-C, for editors and scripts that search"),
        ("status", status, "what is indexed, what was skipped and why"),
        ("clear", clear, "remove this repository's index; the repository itself is not touched"),
    ):
        command = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        if name == "status":
            command.add_argument("--json", action="store_true", help="one JSON object")
        command.set_defaults(run=action)


def build(arguments: argparse.Namespace) -> int:
    with program_for(arguments) as program:
        with status_bars() as show:
            index = program.complete_retriever(show)
            show(index.status())
        print(summary(index.status()))
    return 0


def watch(arguments: argparse.Namespace) -> int:
    with program_for(arguments) as program:
        index = program.following_retriever()
        try:
            with status_bars() as show:
                program.complete_retriever(show)
            print(f"{summary(index.status())}\nWatching. Ctrl-C ends it.", flush=True)
            while True:
                time.sleep(1)
                index.status()
        except KeyboardInterrupt:
            print("\nNo longer watching.")
            return 0


def status(arguments: argparse.Namespace) -> int:
    with program_for(arguments) as program:
        current = program.index_status()
    if arguments.json:
        print(current.model_dump_json(indent=2))
        return 0
    print(summary(current))
    for skipped in current.skipped:
        print(printable(f"  skipped {skipped.path}: {skipped.reason}"))
    return 0


def clear(arguments: argparse.Namespace) -> int:
    with program_for(arguments) as program:
        program.clear_index()
        print(f"The index of {program.repository.root} is removed.")
    return 0


@contextmanager
def status_bars() -> Iterator[Callable[[IndexStatus], None]]:
    """Two bars on standard error, files and vectors, that the function given moves."""
    from rich.console import Console  # 0.07 s of CPU that only this needs
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        files, vectors = progress.add_task("files", total=None), progress.add_task("vectors", total=None)

        def show(status: IndexStatus) -> None:
            loading = " (loading the embedder)" if status.phase is IndexPhase.LOADING else ""
            progress.update(files, completed=status.files, total=status.files_total or None)
            progress.update(
                vectors, completed=status.vectors, total=status.chunks or None, description=f"vectors{loading}"
            )

        yield show


def summary(status: IndexStatus) -> str:
    lines = [
        f"{status.files} of {status.files_total} files, {status.chunks} chunks, {status.vectors} with vectors"
        f"{f' ({status.embedder})' if status.embedder else ''}; {status.phase}."
    ]
    if status.skipped:
        lines.append(f"{len(status.skipped)} files are not indexed (`offline-agent index status` lists them).")
    if status.problem:
        lines.append(f"Problem: {status.problem}")
    return "\n".join(lines)
