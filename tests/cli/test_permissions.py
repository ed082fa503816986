"""`permissions`: the rules in force, what they say to a call, and approvals taken back."""

import json
from pathlib import Path

import pytest

from offline_agent.app import open_program
from offline_agent.cli import main
from offline_agent.settings import load_settings


@pytest.fixture
def rules(home: Path) -> Path:
    """Somebody's own: no edits of docs, git allowed but for pushing."""
    place = home / ".config" / "offline-agent" / "permission.json"
    place.parent.mkdir(parents=True)
    own = {"edit": {"docs/*": "deny"}, "bash": {"git *": "allow", "git push *": "deny"}}
    place.write_text(json.dumps({"permission": own, "agent": {"plan": {"permission": {"read": "ask"}}}}))
    return place


@pytest.fixture
def approved(repository: Path) -> int:
    with open_program(load_settings(), repository) as program:
        return program.workbench.approvals.add("bash", "npm test").id


def test_rules_are_listed_with_where_they_stand(
    rules: Path, approved: int, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["permissions", "list", "--repo", str(repository)]) == 0
    said = capsys.readouterr().out
    [docs] = [line for line in said.splitlines() if line.startswith("deny edit docs/*")]
    assert docs.endswith(str(rules))
    assert f"{approved:>4}  bash npm test" in said
    assert main(["permissions", "list", "--json", "--repo", str(repository)]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"rule": "deny bash git push *", "source": str(rules)} in listed["rules"]
    assert [(one["permission"], one["pattern"]) for one in listed["approvals"]] == [("bash", "npm test")]


@pytest.mark.usefixtures("rules", "approved")
@pytest.mark.parametrize(
    ("call", "decision"),
    [
        (("bash", "git commit -m x"), "allow"),
        (("bash", "git commit -m x && git push"), "deny"),
        (("bash", "npm test"), "allow"),
        (("bash", "make"), "ask"),
        (("bash", "# nothing"), "ask"),
        (("nonsense", ""), "ask"),
        (("bash", "cat .env"), "deny"),
        (("read", "README.md"), "allow"),
        (("read", "/etc/passwd"), "deny"),
        (("read", ".env"), "deny"),
        (("edit", "docs/../docs/a.md"), "deny"),
        (("edit", "cart.py"), "ask"),
        (("edit", "cart.py", "--agent", "plan"), "deny"),
        (("read", "README.md", "--agent", "plan"), "ask"),
        (("webfetch", "https://example.org"), "deny"),
    ],
)
def test_a_call_is_judged_without_being_made(
    call: tuple[str, ...], decision: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["permissions", "test", *call, "--repo", str(repository)]) == (61 if decision == "deny" else 0)
    said, *reasons = capsys.readouterr().out.splitlines()
    assert said == decision
    assert reasons


def test_a_verdict_for_scripts_names_the_rule(
    rules: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["permissions", "test", "bash", "git push", "--json", "--repo", str(repository)]) == 61
    [verdict] = [one for one in json.loads(capsys.readouterr().out) if one["decision"] == "deny"]
    assert (verdict["rule"]["pattern"], verdict["rule"]["source"]) == ("git push *", str(rules))


def test_an_approval_is_taken_back_once(approved: int, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["permissions", "revoke", str(approved), "--repo", str(repository)]) == 0
    assert main(["permissions", "test", "bash", "npm test", "--repo", str(repository)]) == 0
    assert "ask\n" in capsys.readouterr().out
    assert main(["permissions", "revoke", str(approved), "--repo", str(repository)]) == 2
    assert "`permissions list` shows them" in capsys.readouterr().err


@pytest.mark.usefixtures("approved")
def test_an_approval_is_of_one_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").mkdir()
    assert main(["permissions", "test", "bash", "npm test", "--repo", str(tmp_path / "other")]) == 0
    assert capsys.readouterr().out.startswith("ask\n")


@pytest.mark.parametrize("text", ["{", '{"permission": {"edit": "perhaps"}}', '{"permissions": {}}'])
def test_rules_that_cannot_be_understood_stop_everything(
    text: str, rules: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules.write_text(text)
    assert main(["permissions", "test", "read", "README.md", "--repo", str(repository)]) == 2
    assert str(rules) in capsys.readouterr().err
