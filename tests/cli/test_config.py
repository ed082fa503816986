"""`config import`: OpenCode's rules become one's own."""

import json
from pathlib import Path

import pytest

from offline_agent.cli import main
from tests.cli.typed import unattended

OPENCODE = """{
  "$schema": "https://opencode.ai/config.json",
  "model": "some/model",  // which comments may stand behind
  "permission": {"edit": "ask", "bash": {"*": "ask", "git status *": "allow", "rm *": "deny"}},
}
"""


@pytest.fixture
def given(tmp_path: Path) -> Path:
    place = tmp_path / "opencode.jsonc"
    place.write_text(OPENCODE)
    return place


@pytest.fixture
def own(home: Path) -> Path:
    """Where it goes; nothing is there yet."""
    return home / ".config" / "offline-agent" / "permission.json"


def test_rules_are_brought_and_hold(
    given: Path, own: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "import", str(given)]) == 0
    assert "Left out, since it is not about permissions: model." in capsys.readouterr().err
    assert own.parent.stat().st_mode & 0o777 == 0o700
    assert main(["permissions", "test", "bash", "rm a", "--repo", str(repository)]) == 61
    assert str(own) in capsys.readouterr().out


def test_rules_that_are_there_are_replaced_only_by_force(
    given: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own.parent.mkdir(parents=True)
    own.write_text('{"permission": "deny"}')
    assert main(["config", "import", str(given)]) == 2
    assert "--force" in capsys.readouterr().err
    assert own.read_text() == '{"permission": "deny"}'
    assert main(["config", "import", str(given), "--force"]) == 0
    assert json.loads(own.read_text())["permission"]["bash"]["rm *"] == "deny"
    assert [path.name for path in own.parent.iterdir()] == ["permission.json"]


def test_it_can_be_looked_at_first(given: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "import", str(given), "--print"]) == 0
    assert json.loads(capsys.readouterr().out)["permission"]["edit"] == "ask"
    assert not own.exists()


def test_it_is_read_from_standard_input(own: Path) -> None:
    assert unattended("config", "import", "-", stdin=None, input=OPENCODE).returncode == 0
    assert json.loads(own.read_text())["permission"]["edit"] == "ask"


@pytest.mark.parametrize("text", ["", "[]", '{"permission": {"edit": "sometimes"}}', b"\xff\xfe{"])
def test_what_cannot_be_understood_changes_nothing(
    text: str | bytes, given: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["config", "import", str(given)]) == 2
    assert str(given) in capsys.readouterr().err
    assert not own.exists()


def test_a_file_that_is_not_there(tmp_path: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "import", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
    assert not own.exists()
