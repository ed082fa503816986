"""`offline-agent config`: bring rules from elsewhere."""

import argparse
import sys
from pathlib import Path

from offline_agent import app
from offline_agent.cli.options import settings_for, tell
from offline_agent.cli.terminal import emit
from offline_agent.errors import UsageError


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("config", help="bring rules from elsewhere", description="Your own configuration.")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    command = actions.add_parser(
        "import",
        help="take the permissions of an opencode.json as your own rules",
        description="Reads what an opencode.json or opencode.jsonc says of permissions and writes it as permission.json beside "
        "config.toml. What else is in it is named and left out.",
    )
    command.add_argument("file", type=Path, help="an opencode.json, or - for standard input")
    command.add_argument("--print", action="store_true", help="write it to standard output instead")
    command.add_argument("--force", action="store_true", help="replace a permission.json that is there")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    made, notes = app.import_rules(_text(arguments.file), str(arguments.file))
    for note in notes:
        tell(note)
    if arguments.print:
        emit(made.rstrip("\n"))
        return 0
    place = app.write_rules(settings, made, replace=arguments.force)
    tell(f"Your rules are in {place} now. `offline-agent permissions list` shows what is in force.")
    return 0


def _text(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Name an opencode.json.") from None
