"""Options that several commands share."""

import argparse
from pathlib import Path

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
