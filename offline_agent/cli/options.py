"""Options that several commands share."""

import argparse
import shutil
import sys
import textwrap
from pathlib import Path

from offline_agent import app
from offline_agent.cli.passphrase import TerminalPassphrases
from offline_agent.settings import Settings, load_settings


def add_repository(parser: argparse.ArgumentParser) -> None:
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
        type=Path,
        metavar="GGUF",
        help="a GGUF file to answer with (default: the built-in demonstration model)",
    )


def settings_for(arguments: argparse.Namespace) -> Settings:
    """The person's settings, with what this command line says on top. Raises UsageError."""
    settings = load_settings()
    model: Path | None = getattr(arguments, "model", None)
    if model is None:
        return settings
    return settings.model_copy(update={"model": settings.model.model_copy(update={"path": model})})


def program_for(arguments: argparse.Namespace) -> app.Program:
    """The program for `--repo` and `--model`. Raises UsageError or RepositoryError; the vault is opened when it is needed."""
    settings = settings_for(arguments)
    return app.open_program(settings, arguments.repo, TerminalPassphrases(), tell)


def tell(sentence: str) -> None:
    """Says something beside the command's own output; on a terminal no word is cut at the edge."""
    text = f"offline-agent: {sentence}"
    if sys.stderr.isatty():
        text = textwrap.fill(
            text, shutil.get_terminal_size().columns - 1, break_long_words=False, break_on_hyphens=False
        )
    print(text, file=sys.stderr)
