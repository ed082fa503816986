"""`offline-agent sandbox`: what confines commands here, proved and tried."""

import argparse
import json
import shlex
import sys

from offline_agent.actions import Command, SandboxReport
from offline_agent.cli.options import add_repository, program_for, tell, whole_number
from offline_agent.cli.terminal import printable
from offline_agent.errors import SandboxUnavailable, UsageError


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "sandbox",
        help="what confines commands: verify it, try it",
        description="Commands that the agent runs are confined by the kernel: they see system directories and the repository "
        "without the files that are denied, write to the repository and a private /tmp, and have no network.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_verify(actions)
    _add_run(actions)


def _add_verify(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "verify",
        help="try what must not be possible",
        description="Tries, in the sandbox, what it must prevent: reading a secret, writing outside, opening a socket and more. "
        "Exit code 62 when something was possible, or nothing confines commands here.",
    )
    command.add_argument("--json", action="store_true", help="a JSON object: mechanism, canaries, problem, notes")
    add_repository(command)
    command.set_defaults(run=verify)


def _add_run(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "run",
        help="run a command of yours as the agent's are run",
        description="Runs a command in the sandbox, in the repository, and ends with its exit code. Rules do not decide about it, "
        "since you give it yourself: `offline-agent sandbox run -- cat .env`.",
    )
    command.add_argument("--seconds", type=whole_number(1), metavar="N", help="end it after so long (default: 120)")
    command.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command and its arguments")
    add_repository(command)
    command.set_defaults(run=run)


def verify(arguments: argparse.Namespace) -> int:
    with program_for(arguments) as program:
        report = program.workbench.report()
    print(json.dumps(report.model_dump(), indent=2) if arguments.json else printable(report_text(report)))
    return 0 if report.holds else SandboxUnavailable.exit_code


def report_text(report: SandboxReport) -> str:
    """What confines commands, and what was tried, a line each."""
    mechanism = (
        "nothing confines commands here"
        if report.mechanism == "none"
        else f"commands are confined by {report.mechanism}"
    )
    lines = [
        f"{'held' if canary.held else 'FAILED':<7}{canary.name}" + (f": {canary.detail}" if canary.detail else "")
        for canary in report.canaries
    ]
    return "\n".join(
        [mechanism, *lines, *([report.problem] if report.problem else []), *(f"note   {note}" for note in report.notes)]
    )


def run(arguments: argparse.Namespace) -> int:
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not words:
        raise UsageError("There is no command. Try: offline-agent sandbox run -- ls -la")
    line = words[0] if len(words) == 1 else shlex.join(words)
    with program_for(arguments) as program:
        seconds = float(arguments.seconds or program.settings.sandbox.seconds)
        ran = program.workbench.try_out(Command(line=line, seconds=seconds), _print)
    if ran.ended != "itself":
        tell(f"the command was ended: {ran.ended}")
    return ran.exit_code


def _print(text: str) -> None:
    print(printable(text) if sys.stdout.isatty() else text, end="", flush=True)
