"""`offline-agent permissions`: the rules in force here, what was approved for good, and what they say to a call."""

import argparse
import json

from offline_agent.actions import STRICTNESS
from offline_agent.cli.options import add_repository, program_for, sentence, whole_number
from offline_agent.cli.terminal import counted, emit, local_time
from offline_agent.errors import Denied, UsageError

_AGENTS = ("build", "plan", "explore")


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "permissions",
        help="rules and approvals: list, test, revoke",
        description="What the agent may do here. Your own rules are in permission.json beside config.toml, in OpenCode's form "
        "(`offline-agent config import opencode.json` makes it); a repository's and this machine's rules can only tighten them.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_list(actions)
    _add_test(actions)
    _add_revoke(actions)


def _add_list(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "the rules in force, where each stands, and what you approved for good in this repository"
    command = actions.add_parser("list", help=text, description=sentence(text))
    command.add_argument("--all", action="store_true", help="the defaults too, one by one")
    command.add_argument("--json", action="store_true", help="a JSON object: rules, approvals, notes; the defaults too")
    _add_agent(command)
    add_repository(command)
    command.set_defaults(run=show)


def _add_test(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "test",
        help="what would be decided about a call",
        description="Says what would be decided, and by which rule, without doing it: `permissions test bash 'rm -rf build'`, "
        "`permissions test read .env`. Exit code 0 for allow and ask, 61 for deny.",
    )
    command.add_argument("permission", help="bash, read, edit, list, grep, glob, task, ...")
    command.add_argument("value", help="the command line or the path")
    command.add_argument("--json", action="store_true", help="a JSON list of verdicts")
    _add_agent(command)
    add_repository(command)
    command.set_defaults(run=test)


def _add_revoke(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "take back what you approved for good"
    command = actions.add_parser("revoke", help=text, description=sentence(text))
    command.add_argument("number", type=whole_number(1), metavar="N", help="an approval's number, as `list` shows it")
    add_repository(command)
    command.set_defaults(run=revoke)


def _add_agent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agent", choices=_AGENTS, default="build", help="whose rules (default: build)")


def show(arguments: argparse.Namespace) -> int:
    with program_for(arguments) as program:
        policy, approvals = program.workbench.policy(arguments.agent), program.workbench.approvals.all()
        rows = policy.describe()
    if arguments.json:
        rules = [{"rule": rule, "source": source} for rule, source in rows]
        given = [approval.model_dump() for approval in approvals]
        emit(json.dumps({"rules": rules, "approvals": given, "notes": policy.notes}, indent=2, ensure_ascii=False))
        return 0
    defaults = [] if arguments.all else [row for row in rows if row[1].startswith("default")]
    rows = tuple(row for row in rows if row not in defaults)
    width = max((len(rule) for rule, _ in rows), default=0)
    lines = [f"{counted(len(defaults), 'default')}, which --all shows"] if defaults else []
    lines += [f"{rule:<{min(width, 48)}}  {source}" for rule, source in rows]
    approved = [f"{one.id:>4}  {one.permission} {one.pattern}  ({local_time(one.at)})" for one in approvals]
    emit(
        "\n".join(
            [
                *lines,
                "",
                "approved for good:" if approved else "Nothing is approved for good.",
                *approved,
                *policy.notes,
            ]
        )
    )
    return 0


def test(arguments: argparse.Namespace) -> int:
    with program_for(arguments) as program:
        verdicts = program.workbench.judge(arguments.permission, arguments.value, arguments.agent)
    strictest = max(verdicts, key=lambda verdict: STRICTNESS[verdict.decision])
    if arguments.json:
        emit(json.dumps([verdict.model_dump() for verdict in verdicts], indent=2, ensure_ascii=False))
    else:
        emit("\n".join([strictest.decision, *dict.fromkeys(f"  {verdict.reason}" for verdict in verdicts)]))
    return Denied.exit_code if strictest.decision == "deny" else 0


def revoke(arguments: argparse.Namespace) -> int:
    with program_for(arguments) as program:
        if not program.workbench.approvals.revoke(arguments.number):
            raise UsageError(f"No approval here has the number {arguments.number}. `permissions list` shows them.")
    emit(f"Approval {arguments.number} is revoked.")
    return 0
