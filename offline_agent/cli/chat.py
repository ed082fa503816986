"""`offline-agent chat`: a session in the terminal."""

import argparse
import sys

from offline_agent.cli.options import add_model, add_repository, program_for
from offline_agent.errors import UsageError


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "chat",
        help="ask about the repository in a session",
        description="A session about the repository you are in. The index follows what you save while it runs; "
        "/help lists the session's commands.",
    )
    add_repository(parser)
    add_model(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError('chat needs a terminal. For one answer in a script use: offline-agent ask "your question"')
    with program_for(arguments) as program:
        # prompt_toolkit takes 0.15 s of CPU; no other command needs it.
        from offline_agent.repl.loop import Repl

        return Repl(program).run()
