"""The program with encryption switched off, in the front and in the index worker: the proof that the canaries can be found."""

import os
import sys
from pathlib import Path

from offline_agent.app import OpenVault, Program, Repository, open_repository
from offline_agent.llm.confine import deny_internet
from offline_agent.settings import Settings
from offline_agent.vault.plain import PlainVault


class PlainProgram(Program):
    """Stores the same, in clear."""

    serving = "from tests.canaries.plain import serve_plain_index; serve_plain_index()"


def open_plain_program(settings: Settings, start: Path) -> PlainProgram:
    return _program(settings, open_repository(start), "front")


def serve_plain_index() -> None:
    given, root = sys.argv[1:]
    deny_internet()
    os.read(sys.stdin.fileno(), 32)  # a key that opens nothing
    with _program(Settings.model_validate_json(given), open_repository(Path(root)), "index") as program:
        program.serve_index()


def _program(settings: Settings, repository: Repository, process: str) -> PlainProgram:
    return PlainProgram(
        settings, repository, lambda: OpenVault(settings, PlainVault(settings.data_directory / "1"), process)
    )
