"""`sandbox`: what confines commands here, tried and shown."""

import json
import os
from pathlib import Path

import pytest

from offline_agent.actions import Canary, SandboxReport
from offline_agent.cli import main
from offline_agent.cli.sandbox import report_text
from tests.cli.typed import typed, unattended


@pytest.fixture
def secret(repository: Path) -> str:
    (repository / ".env").write_text("TOKEN=4fe2-secret\n")
    return "4fe2-secret"


def test_what_was_tried_is_told_and_held(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "verify", "--repo", str(repository)]) == 0
    said = capsys.readouterr().out
    assert "commands are confined by" in said
    assert "FAILED" not in said
    assert main(["sandbox", "verify", "--repo", str(repository), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {canary["held"] for canary in report["canaries"]} == {True}
    assert said.count("held ") == len(report["canaries"])


@pytest.mark.parametrize("mechanism", ["bubblewrap", "none"])
def test_where_nothing_confines_them_verify_fails(mechanism: str, repository: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PATH": str(tmp_path), "OFFLINE_AGENT_SANDBOX_MECHANISM": mechanism}
    done = unattended("sandbox", "verify", "--repo", str(repository), env=environment)
    assert done.returncode == 62
    assert "nothing confines commands here" in done.stdout


def test_a_canary_that_got_out_is_named() -> None:
    broken = (Canary(name="shadow", held=False, detail="it was read"), Canary(name="internet", held=True))
    assert report_text(SandboxReport(mechanism="landlock", canaries=broken, notes=("one",))).splitlines() == [
        "commands are confined by landlock",
        "FAILED shadow: it was read",
        "held   internet",
        "note   one",
    ]


def test_a_command_of_the_persons_own_is_confined(
    secret: str, repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = "cat .env; cat README.md; touch made; touch ../outside; exit 7"
    assert main(["sandbox", "run", "--repo", str(repository), "--", line]) == 7
    said = capfd.readouterr()
    assert secret not in said.out + said.err
    assert "Sells things." in said.out
    assert (repository / "made").exists()
    assert not (repository.parent / "outside").exists()


def test_words_stay_words(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "run", "--repo", str(repository), "--", "printf", "%s|", "a b", "$HOME", "*"]) == 0
    assert capfd.readouterr().out == "a b|$HOME|*|"


def test_a_command_that_takes_too_long_is_ended(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "run", "--repo", str(repository), "--seconds", "1", "--", "echo begun; sleep 60"]) != 0
    said = capfd.readouterr()
    assert said.out == "begun\n"
    assert "the command was ended: time" in said.err


def test_without_a_command_it_says_how(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "run", "--repo", str(repository), "--"]) == 2
    assert "offline-agent sandbox run -- ls -la" in capsys.readouterr().err


def test_a_terminal_is_not_steered_by_a_command(repository: Path) -> None:
    code, shown = typed("sandbox", "run", "--repo", str(repository), "--", "printf 'a\\033]0;owned\\007b\\n'")
    assert (code, "a]0;ownedb" in shown) == (0, True)
