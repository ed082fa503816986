import os
from collections.abc import Callable
from pathlib import Path

import pytest

from offline_agent.actions import Decision, Request
from offline_agent.errors import UsageError
from offline_agent.guard.permissions import decide
from offline_agent.guard.policy import Policy
from offline_agent.guard.rule_files import load_policy

Load = Callable[..., Policy]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    for name in ("repository/.offline-agent", "config", "machine", "home"):
        (tmp_path / name).mkdir(parents=True)

    def load(**options: object) -> Policy:
        given = {"machine": tmp_path / "machine" / "permission.json", "machine_owner": os.getuid(), **options}
        return load_policy(tmp_path / "repository", tmp_path / "config", tmp_path / "home", **given)  # type: ignore[arg-type]

    return load


def decided(policy: Policy, permission: str, value: str) -> Decision:
    return decide([Request(permission=permission, value=value)], policy).decision


def test_without_files_the_defaults_hold(load: Load) -> None:
    policy = load()
    assert (decided(policy, "bash", "make"), decided(policy, "read", ".env"), policy.notes) == ("ask", "deny", ())


def test_each_file_has_its_say(load: Load, tmp_path: Path) -> None:
    (tmp_path / "config/permission.json").write_text('{"permission": {"bash": "allow", "edit": {"~/x": "allow"}}}')
    (tmp_path / "machine/permission.json").write_text('{"permission": {"bash": {"docker *": "deny"}}}')
    (tmp_path / "machine/permission.json").chmod(0o644)
    (tmp_path / "repository/.offline-agent/permission.json").write_text('{"permission": {"bash": {"rm *": "deny"}}}')
    (tmp_path / "repository/opencode.json").write_text(
        '{"model": "m", "permission": {"bash": {"dd *": "deny"}, "edit": "allow"}}'
    )
    (tmp_path / "repository/opencode.jsonc").write_text('{"permission": {"bash": {"mv *": "ask"},},} // mine')
    policy = load()
    answers = {line: decided(policy, "bash", line) for line in ("make", "docker ps", "rm x", "dd x", "mv a b")}
    assert answers == {"make": "allow", "docker ps": "deny", "rm x": "deny", "dd x": "deny", "mv a b": "ask"}
    assert (decided(policy, "edit", "a"), decided(policy, "edit", f"{tmp_path}/home/x")) == ("ask", "allow")
    assert {"opencode.json", str(tmp_path / "config/permission.json")} <= {source for _, source in policy.describe()}


def test_what_the_command_line_says_is_in_it(load: Load) -> None:
    policy = load(agent="plan", allow=("bash:make *", "external_directory:~/x/*"), yes=True)
    assert (policy.agent, policy.yes) == ("plan", True)
    assert [rule.pattern.startswith("/") for rule in policy.allowed] == [False, True]
    with pytest.raises(UsageError):
        load(allow=("no rule",))


BROKEN = ("{", '{"permission": "sometimes"}', '{"permission": {"bash": "{env:X}"}}', "\x00", "[" * 2000)


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("name", [".offline-agent/permission.json", "opencode.json", "opencode.jsonc"])
def test_a_broken_file_of_the_repository_has_everything_asked(load: Load, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "config/permission.json").write_text('{"permission": "allow"}')
    (tmp_path / "repository" / name).write_text(text)
    policy = load()
    assert {decided(policy, *one) for one in (("read", "a"), ("bash", "ls"), ("edit", "a"), ("task", "x"))} == {"ask"}
    assert decided(policy, "read", ".env") == "deny"
    [note] = policy.notes
    assert name in note


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("place", ["config", "machine"])
def test_a_broken_file_of_the_person_or_the_machine_stops(load: Load, tmp_path: Path, place: str, text: str) -> None:
    path = tmp_path / place / "permission.json"
    path.write_text(text)
    path.chmod(0o644)
    with pytest.raises(UsageError, match=str(path)):
        load()


def test_what_is_no_readable_file_is_broken(load: Load, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "config/permission.json", tmp_path / "repository/opencode.json"
    mine.symlink_to("nowhere")
    with pytest.raises(UsageError, match="symbolic link to nothing"):
        load()
    mine.unlink()
    mine.write_bytes(b'{"permission": "\xff"}')
    with pytest.raises(UsageError, match="cannot be read"):
        load()
    mine.unlink()
    os.mkfifo(theirs)  # opening it must not wait for a writer
    assert len(load().notes) == 1
    theirs.unlink()
    theirs.symlink_to(theirs)
    assert len(load().notes) == 1
    theirs.unlink()
    theirs.write_text("{" + " " * 1_000_000 + "}")
    assert "1,000,000" in load().notes[0]


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_rules_of_the_machine_that_others_could_have_written_are_not_believed(
    load: Load, tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "machine/permission.json"
    path.write_text("{}")
    path.chmod(mode)
    with pytest.raises(UsageError, match="not believed"):
        load()
    path.chmod(0o644)
    assert load().notes == ()
    with pytest.raises(UsageError, match="not believed"):
        load(machine_owner=os.getuid() + 1)


def test_the_persons_rules_are_not_changed_by_the_agent(load: Load, tmp_path: Path) -> None:
    (tmp_path / "config/permission.json").write_text('{"permission": "allow"}')
    assert decided(load(), "edit", f"{tmp_path}/config/permission.json") == "deny"
    assert decided(load(), "edit", f"{tmp_path}/elsewhere") == "allow"
