import json
import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from offline_agent import app
from offline_agent.cli import main
from offline_agent.settings import load_settings
from tests.cli.typed import COMMAND

log = logging.getLogger("offline_agent.test")


@contextmanager
def logging_to_the_vault() -> Iterator[None]:
    with closing(app.open_vault(load_settings(), say=lambda sentence: None)):
        yield


@pytest.fixture
def logged() -> None:
    with logging_to_the_vault():
        log.info("began\x1b[2J")
        log.warning("odd")
        log.error("failed: %s", "é")


@pytest.mark.usefixtures("logged")
def test_a_line_for_each_entry_oldest_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs"]) == 0
    said = capsys.readouterr().out
    assert [line.rpartition(": ")[2] for line in said.splitlines()] == ["began[2J", "odd", "é"]
    assert f"info    front {os.getpid()}  offline_agent.test: began" in said


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ["began\x1b[2J", "odd", "failed: é"]),
        (("--level", "warning"), ["odd", "failed: é"]),
        (("--limit", "1"), ["failed: é"]),
        (("--since", "1h"), ["began\x1b[2J", "odd", "failed: é"]),
        (("--since", "9999-01-01"), []),
    ],
)
def test_json_lines_of_what_was_asked_for(
    options: tuple[str, ...], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["logs", "--json", *options]) == 0
    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == expected


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize("options", [("--since", "gestern"), ("--since", "2026-13-01")])
def test_a_time_that_is_none_is_a_usage_error(options: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", *options]) == 2
    assert "is not a time" in capsys.readouterr().err


@pytest.mark.usefixtures("logged")
def test_following_shows_what_comes_and_ends_with_ctrl_c() -> None:
    command = [*COMMAND, "logs", "--follow", "--level", "error"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert following.stdout.readline().endswith("failed: é\n")
        with logging_to_the_vault():
            log.info("not an error")
            log.error("new")
        assert following.stdout.readline().endswith(": new\n")
        following.send_signal(signal.SIGINT)
        _, complaints = following.communicate(timeout=10)
    assert (following.returncode, complaints) == (0, "")
