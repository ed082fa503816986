"""Every test has a home of its own, and none of the person's settings."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory; what the program stores goes below it."""
    directory = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("OFFLINE_AGENT_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(directory))
    return directory
