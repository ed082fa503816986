"""`offline-agent credentials`: secrets that a server asks for. They are read from a pipe or typed unseen, and shown never again."""

import argparse
import base64
import getpass
import re
import sys
from contextlib import closing

from offline_agent import app
from offline_agent.cli.options import open_existing, sentence, settings_for, tell
from offline_agent.cli.passphrase import TerminalPassphrases
from offline_agent.cli.terminal import printable
from offline_agent.errors import UsageError

_LONGEST = 8000  # characters: about what servers take in one header
_TOKEN = re.compile(r"[\x21-\x7e]+")
_NAMES = (app.CHROMA, app.ENDPOINT, app.HUB)


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "credentials",
        help="tokens and passwords that a server asks for, kept in the vault",
        description="Tokens and passwords that a server asks for. They are kept in the vault and sent to that server alone; no "
        "setting, file or log has them, and no command shows them. With the default settings there is no server.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_set(actions)
    _add_list(actions)
    _add_remove(actions)


def _add_set(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "set",
        help="keep one, in the place of an earlier one",
        description="Keeps a token, typed unseen or read from standard input: `offline-agent credentials set chroma < FILE`. It is "
        "sent as `Authorization: Bearer TOKEN`.",
    )
    _add_name(command)
    command.add_argument(
        "--user", metavar="NAME", help="it is this user's password, sent as `Authorization: Basic ...`"
    )
    command.set_defaults(run=set_one)


def _add_list(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "which there are, by name"
    actions.add_parser("list", help=text, description=sentence(text)).set_defaults(run=list_all)


def _add_remove(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "erase one from the vault"
    command = actions.add_parser("remove", help=text, description=sentence(text))
    _add_name(command)
    command.set_defaults(run=remove)


def _add_name(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "name",
        choices=_NAMES,
        help="chroma: the Chroma server of a team [index.chroma_url]; endpoint: the server that answers [endpoint.url]; hub: where "
        "`models pull` fetches from [hub.endpoint]",
    )


def set_one(arguments: argparse.Namespace) -> int:
    value = authorization(_secret(arguments.user), arguments.user)
    with closing(app.open_vault(settings_for(arguments), TerminalPassphrases(), tell)) as opened:
        opened.archive.credentials.set(arguments.name, value)
        opened.archive.audit.add("credentials", action="set", name=arguments.name)
    print(f"The vault keeps it. It is sent to the server of {arguments.name} from the next connection on.")
    return 0


def list_all(arguments: argparse.Namespace) -> int:
    with closing(open_existing(arguments)) as opened:
        for name in opened.archive.credentials.names():
            if name != app.SIGNING:  # no server gets that one: `bundle keygen --show`
                print(printable(name))
    return 0


def remove(arguments: argparse.Namespace) -> int:
    with closing(open_existing(arguments)) as opened:
        if not opened.archive.credentials.remove(arguments.name):
            print("There was none.")
            return 0
        opened.archive.audit.add("credentials", action="remove", name=arguments.name)
    print("It is erased. A session that is open forgets it when it connects anew.")
    return 0


def authorization(secret: str, user: str | None) -> str:
    """The value of an Authorization header: a bearer token (RFC 6750), or a password with its user (RFC 7617, in UTF-8). Raises
    UsageError for what no such header can hold, and does not repeat it."""
    if not secret:
        raise UsageError("Nothing was given. Type a token or pipe one in; nothing was changed.")
    if len(secret) > _LONGEST:
        raise UsageError(f"That is longer than {_LONGEST} characters, so no token. Nothing was changed.")
    if user is None:
        if not _TOKEN.fullmatch(secret):
            raise UsageError(
                "A token has no spaces and nothing but ASCII characters. Give a password with --user; nothing was changed."
            )
        return f"Bearer {secret}"
    if not user or ":" in user or not (user + secret).isprintable():
        raise UsageError("A user has no colon, and neither user nor password a control character. Nothing was changed.")
    return f"Basic {base64.b64encode(f'{user}:{secret}'.encode()).decode()}"


def _secret(user: str | None) -> str:
    """The first line of standard input, or what is typed unseen where that is a terminal. Raises UsageError."""
    if sys.stdin is None or sys.stdin.closed:
        return ""
    if sys.stdin.isatty():
        return getpass.getpass("Token (not shown): " if user is None else "Password (not shown): ")
    try:
        return sys.stdin.readline(_LONGEST + 2).rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError("What was piped in is no text in UTF-8. Nothing was changed.") from None
