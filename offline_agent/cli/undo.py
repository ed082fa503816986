"""`offline-agent undo` and `redo`: take back what a turn changed, and do it again."""

import argparse
import json
from collections.abc import Sequence

from offline_agent.actions import TurnRecord, Undone
from offline_agent.cli.options import add_repository, program_for, whole_number
from offline_agent.cli.terminal import counted, emit, local_time

_SHOWN_PATHS = 3
_LISTED_PATHS = 20  # a build leaves hundreds


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for name, what in (
        ("undo", "take back what the last turn changed, files that its commands changed too"),
        ("redo", "do again what `undo` took back"),
    ):
        parser = commands.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}. What was changed since is never overwritten: then nothing is done, the "
            "difference is shown, and the exit code is 64.",
        )
        parser.add_argument(
            "turn", nargs="?", type=whole_number(1), metavar="N", help="a turn's number (default: the next in order)"
        )
        parser.add_argument("--list", action="store_true", help="the turns that changed something, newest first")
        parser.add_argument("--force", action="store_true", help="overwrite what was changed since")
        parser.add_argument("--json", action="store_true", help="JSON instead of text")
        add_repository(parser)
        parser.set_defaults(run=run, action=name)


def run(arguments: argparse.Namespace) -> int:
    with program_for(arguments) as program:
        undo = program.workbench.undo()
        undo.recover()
        if arguments.list:
            turns = undo.turns()
            text = "\n".join(map(turn_line, turns)) or "No turn about this repository has changed anything."
            emit(json.dumps([turn.model_dump() for turn in turns], indent=2) if arguments.json else text)
            return 0
        act = undo.undo if arguments.action == "undo" else undo.redo
        undone = act(arguments.turn, force=arguments.force)
        emit(undone.model_dump_json(indent=2) if arguments.json else undone_text(undone, arguments.action))
    return 0


def turn_line(turn: TurnRecord) -> str:
    """`3  2026-11-22 10:00:00  undone  fix the test   a.py, b.py`."""
    paths = ", ".join(_telling_first(turn.paths)[:_SHOWN_PATHS])
    more = f" and {len(turn.paths) - _SHOWN_PATHS} more" if len(turn.paths) > _SHOWN_PATHS else ""
    state = "undone" if turn.undone else "      " if turn.complete else "broken"
    title = turn.title.splitlines()[0] if turn.title else ""
    return f"{turn.number:>4}  {local_time(turn.at)}  {state}  {title[:60]}  [{paths}{more}]"


def undone_text(undone: Undone, action: str) -> str:
    """What was done, for people."""
    title = undone.turn.title.splitlines()[0][:60] if undone.turn.title else ""
    done = "taken back" if action == "undo" else "done again"
    head = f"Turn {undone.turn.number} ({title}) is {done}: {counted(len(undone.paths), 'path')}."
    more = len(undone.paths) - _LISTED_PATHS
    rest = [f"  and {more} more"] if more > 0 else []
    return "\n".join(
        [head, *(f"  {path}" for path in _telling_first(undone.paths)[:_LISTED_PATHS]), *rest, *undone.notes]
    )


def _telling_first(paths: Sequence[str]) -> list[str]:
    """What caches hold, such as __pycache__ and .mypy_cache, comes last: it tells nobody what was done."""
    return sorted(paths, key=_is_cached)


def _is_cached(path: str) -> bool:
    *directories, name = path.split("/")
    hidden = any(part.startswith(".") for part in directories)
    return hidden or any(part.startswith("__") and part.endswith("__") for part in (*directories, name))
