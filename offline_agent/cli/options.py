"""Options that several commands share."""

import argparse
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from offline_agent import app
from offline_agent.cli.passphrase import TerminalPassphrases
from offline_agent.cli.terminal import printable, readable
from offline_agent.errors import UsageError
from offline_agent.settings import EndpointSettings, Settings, load_settings


def add_repository(parser: "argparse._ActionsContainer") -> None:
    parser.add_argument(
        "--repo",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the repository, or any directory in it (default: where you are)",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="what to answer with: the name of a model that `models list` shows, or a GGUF file (default: the one of [model] name, "
        "which is a built-in demonstration model at first)",
    )


def add_explain_fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--explain-fit", action="store_true", help="first say how the model fits the memory that is free, as `fit` does"
    )


def explain_fit(program: app.Program) -> None:
    """What `--explain-fit` asks for, on standard error. Raises a ModelError for what is no model, or does not fit, and UsageError
    where a server answers."""
    url = program.settings.endpoint.url
    if url:
        raise UsageError(
            f"{url} answers [endpoint.url], and what it has in memory cannot be seen. Leave out --explain-fit."
        )
    print(printable(app.explain_fit(program.settings, program.card, program.model_path)), end="\n\n", file=sys.stderr)


def sentence(text: str, end: str = ".") -> str:
    """A line of help as a sentence."""
    return f"{text[0].upper()}{text[1:]}{end}"


def add_since(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="from then on: so long ago (10m, 2h, 3d) or a date (2026-11-22, 2026-11-22T10:00)",
    )


def since(arguments: argparse.Namespace) -> float | None:
    """What `--since` says, in seconds since 1970. Raises UsageError."""
    return None if arguments.since is None else app.parse_since(arguments.since, time.time())


def add_limit(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--limit", type=whole_number(1), metavar="N", help=text)


def whole_number(least: int) -> Callable[[str], int]:
    """For `type`: a whole number of at least `least`; argparse says so, and ends with exit code 2, for anything else."""

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"-?\d{1,15}", text, re.ASCII) else least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"{readable(text)!r} is no whole number of {least} or more")
        return number

    return parse


def settings_for(arguments: argparse.Namespace) -> Settings:
    """The person's settings, with what this command line says on top. Raises UsageError."""
    settings = load_settings()
    model: str | None = getattr(arguments, "model", None)
    if model is None:
        return settings
    if "model.path" in settings.policy or "model.name" in settings.policy:
        raise UsageError("The policy of this machine says which model answers. Leave out --model.")
    if settings.endpoint.url and "endpoint.url" in settings.policy:
        raise UsageError("The policy of this machine says which server answers. Leave out --model.")
    named = {"name": model, "path": None} if app.is_name(model) else {"path": Path(model)}
    # What is named here is what shall answer, whatever server the configuration names.
    changed = {"model": settings.model.model_copy(update=named), "endpoint": EndpointSettings()}
    return settings.model_copy(update=changed)


def program_for(
    arguments: argparse.Namespace, adjust: Callable[[Settings], Settings] = lambda settings: settings
) -> app.Program:
    """The program for `--repo` and `--model`, with settings that `adjust` has changed. Raises UsageError or RepositoryError; the
    vault is opened when it is needed."""
    settings = adjust(settings_for(arguments))
    return app.open_program(settings, arguments.repo, TerminalPassphrases(), tell)


def open_existing(arguments: argparse.Namespace) -> app.OpenVault:
    """The vault, for what would be pointless in a new one. Raises a VaultError: VaultLocked where there is none yet."""
    settings = settings_for(arguments)
    return app.open_kept(settings, app.existing_keeper(settings, TerminalPassphrases()))


def tell(sentence: str) -> None:
    """Says something beside the command's own output; on a terminal no word of it is cut at the edge. What stands in further lines,
    such as a diff, stays as it is."""
    text, newline, more = f"offline-agent: {sentence}".partition("\n")
    if sys.stderr.isatty():
        text = textwrap.fill(
            text, shutil.get_terminal_size().columns - 1, break_long_words=False, break_on_hyphens=False
        )
    print(f"{text}{newline}{more}", file=sys.stderr)
