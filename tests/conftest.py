"""Every test has a home of its own, and none of the person's settings."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: a failure in CI is a failure at home. Nothing is remembered between runs.
settings.register_profile("suite", derandomize=True, database=None, deadline=None)
settings.load_profile("suite")

# The repositories of the tasks in there have tests of their own, which fail until a task is done.
collect_ignore = ["cases"]

# A shell that starts the suite in the background has it ignore Ctrl-C, and so would the programs whose Ctrl-C is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory; what the program stores goes below it."""
    directory = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("OFFLINE_AGENT_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(directory))
    return directory
