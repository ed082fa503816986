"""What a misled model, or a stranger's repository, tried against the door that everything goes through: real rules, a real sandbox,
real undo. Each of these once succeeded without anybody being asked."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from offline_agent.actions import Answer, Command, Proposal
from offline_agent.app import open_program
from offline_agent.errors import Denied, EditError, GuardError
from offline_agent.events import Called, Piece
from offline_agent.guard.approvals import MemoryApprovals
from offline_agent.guard.gate import Gate
from offline_agent.guard.permissions import decide, denies_read
from offline_agent.guard.rule_files import load_policy
from offline_agent.guard.sandbox import CommandSandbox
from offline_agent.guard.shell import requests_of
from offline_agent.guard.undo import Undo
from offline_agent.guard.workspace import GuardedWorkspace
from offline_agent.llm.scripted import ScriptedModel
from offline_agent.retrieval.ignore import Found, IgnoreRules
from offline_agent.settings import SandboxSettings, UndoSettings, load_settings
from offline_agent.types import ToolCall
from offline_agent.vault.memory import MemoryJournals

from .sandboxes import MECHANISMS
from .shell_cases import place_in

SECRET = "Zq8xT7vLmN4pR2w"
confined = pytest.mark.skipif(not MECHANISMS, reason="nothing here can confine a command")


class Person:
    """Says the same to whatever is asked, and remembers it. `meanwhile` happens while they think."""

    def __init__(self, decision: Any = "reject") -> None:
        self.decision = decision
        self.asked: list[Proposal] = []
        self.meanwhile: Callable[[], object] = bool

    def permit(self, proposal: Proposal) -> Answer:
        self.asked.append(proposal)
        self.meanwhile()
        return Answer(decision=self.decision)

    def ask(self, question: str, choices: Sequence[str]) -> str | None:
        return None


class Record:
    """An audit in memory."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, Any]]] = []

    def add(self, kind: str, **body: Any) -> None:
        self.entries.append((kind, body))


class Bench:
    """A door to a small checkout."""

    def __init__(self, base: Path, allow: Sequence[str] = ()) -> None:
        self.root = base.resolve() / "repository"
        (self.root / "src").mkdir(parents=True)
        (self.root / "src" / "app.py").write_text("def app():\n    return 1\n")
        (self.root / ".env").write_text(f"API_PASSWORD={SECRET}\n")
        self.git("init", "--quiet")
        self.git("add", "src")
        self.git("commit", "--quiet", "-m", "one")
        self.person, self.record = Person(), Record()
        policy = load_policy(self.root, base / "config", base / "home", allow=allow)
        gate = Gate(policy, MemoryApprovals(), self.person, self.record, "session")
        self.undo = Undo(self.root, MemoryJournals(), UndoSettings(), "session")
        settings = SandboxSettings(readable=())
        self.sandbox = CommandSandbox(self.root, settings, os.environ, base / "home", history=denies_read(policy))
        self.door = GuardedWorkspace(self.root, base / "home", gate, self.sandbox, self.undo, self.walk)

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True)

    def walk(self, under: str) -> Iterator[str]:
        return (found.path for found in IgnoreRules(self.root, []).walk(under) if isinstance(found, Found))

    def write(self, path: str, text: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def asks_about(self, line: str) -> None:
        """The line is asked about, is declined, and has done nothing."""
        with pytest.raises(Denied):
            self.door.run(Command(line=line))
        assert self.person.asked
        assert not (self.root / "pwned").exists()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    with closing(made.sandbox), made.door.turn("a turn"):
        yield made


# --- commands that only read -----------------------------------------------------------------------------------------


@confined
def test_a_plain_look_is_not_asked_about(bench: Bench) -> None:
    for line in ("git status", "git diff", "git log -p", "find . -name '*.py'", "cat src/*"):
        assert bench.door.run(Command(line=line)).exit_code == 0
    assert not bench.person.asked


SETTINGS = (
    '[core]\n\tfsmonitor = "touch pwned; false"\n',
    "[core] fsmonitor=./x\n",
    '[diff "x"]\n\ttextconv = touch pwned\n',
    '[diff "x"]\n\tcommand = touch pwned\n',
    "[diff]\n\tEXTERNAL = touch pwned\n",
    '[filter "x"]\n\tclean = touch pwned\n',
    "[gpg]\n\tprogram = ./x\n",
    "[include]\n\tpath = ../more\n",
    '[includeIf "gitdir:/"]\n\tpath = ../more\n',
)


@pytest.mark.parametrize("settings", SETTINGS)
def test_git_is_asked_about_where_the_repository_came_with_programs(bench: Bench, settings: str) -> None:
    config = bench.root / ".git" / "config"
    config.write_text(config.read_text() + settings)
    for line in ("git status", "git diff", "git log --show-signature"):
        bench.asks_about(line)


@pytest.mark.parametrize(
    "settings", ["[core] fsmonitor = false\n", "[pull]\n\trebase = true\n", "[core]\n\thooksPath = .husky\n"]
)
def test_settings_that_run_nothing_are_no_reason(bench: Bench, settings: str) -> None:
    config = bench.root / ".git" / "config"
    config.write_text(config.read_text() + settings)
    assert decided(bench, "git status") == "allow"


@pytest.mark.parametrize("place", [".git/hooks", ".husky"])
def test_git_is_asked_about_where_looking_runs_a_hook(bench: Bench, place: str) -> None:
    config = bench.root / ".git" / "config"
    config.write_text(config.read_text() + "[core]\n\thooksPath = .husky\n")
    bench.write(f"{place}/post-index-change", "#!/bin/sh\ntouch pwned\n")
    bench.asks_about("git status")


@pytest.mark.parametrize("link", ["", "gitdir: ../vendor/lib"])
def test_a_directory_that_git_takes_for_a_repository_is_looked_at(bench: Bench, link: str) -> None:
    """Such a directory may be part of any clone."""
    for name, text in {"HEAD": "ref: refs/heads/x", "objects/x": "", "refs/x": ""}.items():
        bench.write(f"vendor/lib/{name}", text)
    bench.write("vendor/lib/config", '[core]\n\tbare = false\n\tworktree = ../..\n\tfsmonitor = "touch pwned; false"\n')
    if link:
        bench.write("sub/.git", link)
    bench.asks_about(f"cd {'sub' if link else 'vendor/lib'} && git status")


def test_a_repository_that_git_goes_into_from_the_one_around_it_is_looked_at(bench: Bench) -> None:
    bench.git("init", "--quiet", "inner")
    bench.git("-C", "inner", "commit", "--quiet", "--allow-empty", "-m", "two")
    bench.git("add", "inner")
    assert decided(bench, "git status") == "allow"
    bench.git("-C", "inner", "config", "core.fsmonitor", "touch pwned; false")
    bench.asks_about("git status")


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("-exec", "touch", "pwned1"), "find . -maxdepth 0 -e* t* p* \\;"),
        (("-delete",), "find src -d*"),
        (("-delete",), "find src ?delete"),
        (("-v",), "printf -[v] PATH src; ls"),
    ],
)
def test_a_file_that_is_named_like_an_option_is_one(bench: Bench, names: Sequence[str], line: str) -> None:
    for name in names:
        bench.write(name, "")
    bench.asks_about(line)
    assert (bench.root / "src" / "app.py").exists()


@pytest.mark.parametrize(
    "line",
    [
        'printf -v PATH %s "$PWD/bin"; ls',
        "printf -v 'a[$(touch pwned)]' x",
        "test -v 'a[$(touch pwned)]'",
        'for PATH in "$(echo bin)"; do ls; done',
        "select PATH in bin; do ls; done <<< 1",
    ],
)
def test_what_only_reads_cannot_change_what_runs(bench: Bench, line: str) -> None:
    bench.write("bin/ls", "#!/bin/sh\ntouch pwned\n")
    (bench.root / "bin" / "ls").chmod(0o755)
    bench.asks_about(line)


def decided(bench: Bench, line: str, **policy: Any) -> str:
    rules = load_policy(bench.root, bench.root.parent / "config", bench.root.parent / "home", **policy)
    found = requests_of(line, bench.root, ".", lambda text: place_in(bench.root, text))
    return decide(found, rules).decision


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", ["git log {x}>&1; rm -rf src", "git log; rm -rf src; echo ${x@P}", "git log \u202e; rm x"]
)
def test_a_line_that_is_not_understood_is_not_allowed_by_how_it_begins(bench: Bench, line: str) -> None:
    """With --yes it would run: what is denied stays denied."""
    own = bench.root.parent / "config" / "permission.json"
    own.parent.mkdir()
    own.write_text(json.dumps({"permission": {"bash": {"*": "deny", "git *": "allow"}}}))
    assert decided(bench, "git log", yes=True) == "allow"
    assert decided(bench, line, yes=True) == "deny"
    own.write_text(json.dumps({"permission": {"bash": {"git *": "deny"}}}))
    assert decided(bench, line, yes=True) == "deny"


def test_an_agent_that_only_reads_is_not_asked_for_more_by_what_is_not_understood(bench: Bench) -> None:
    assert decided(bench, "ls {x}>&1; rm -rf src", agent="plan", yes=True) == "deny"


@pytest.mark.parametrize(
    "path",
    [
        *(
            ".claude/settings.json",
            ".cursor/mcp.json",
            ".mcp.json",
            ".opencode/agents/x.md",
            "sub/.claude/settings.json",
        ),
        *("lefthook.yml", ".husky/pre-commit", ".githooks/pre-commit", ".github/dependabot.yml", "Jenkinsfile"),
        *(".exrc", ".dir-locals.el", ".devcontainer.json", "bitbucket-pipelines.yml", ".zed/tasks.json"),
    ],
)
def test_leave_to_edit_is_no_leave_for_what_runs_outside(tmp_path: Path, path: str) -> None:
    bench = Bench(tmp_path, allow=["edit"])
    with bench.door.turn("a turn"):
        assert bench.door.write("src/new.py", "x = 1\n").created
        assert not bench.person.asked
        with pytest.raises(Denied):
            bench.door.write(path, "x")
        assert bench.person.asked
    assert not (bench.root / path).exists()


def test_hooks_of_submodules_are_never_written(tmp_path: Path) -> None:
    bench = Bench(tmp_path, allow=["edit", "edit:.git/*"])
    with bench.door.turn("a turn"), pytest.raises(Denied, match="denied by the rule"):
        bench.door.write(".git/modules/lib/hooks/pre-commit", "x")


def test_a_repository_cannot_make_every_decision_slow(bench: Bench) -> None:
    rules = {"permission": {"read": {f"a{number}*b": "deny" for number in range(3000)}}}
    bench.write("opencode.json", json.dumps(rules))
    policy = load_policy(bench.root, bench.root.parent / "config", bench.root.parent / "home")
    assert "more than 2,000 rules" in policy.notes[0]
    assert decided(bench, "ls") == "ask"


# --- the door --------------------------------------------------------------------------------------------------------


@confined
def test_a_command_that_was_interrupted_is_on_record_and_can_be_undone(bench: Bench) -> None:
    bench.person.decision = "once"

    def interrupt(_: str) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        bench.door.run(Command(line="touch made; echo made; sleep 60"), output=interrupt)
    kind, body = bench.record.entries[-1]
    assert (kind, body["line"], body["ended"]) == ("command", "touch made; echo made; sleep 60", "KeyboardInterrupt")
    bench.undo.end()
    bench.undo.undo()
    assert not (bench.root / "made").exists()


@pytest.mark.parametrize("space", ["\n" * 40, "\n" + " \n" * 20, " " * 300, "\t" * 300])
def test_no_command_is_pushed_out_of_sight(bench: Bench, space: str) -> None:
    with pytest.raises(GuardError, match="out of sight"):
        bench.door.run(Command(line=f"rm -rf src;{space}ls"))
    assert not bench.person.asked


@confined
def test_code_with_blank_lines_is_a_command_like_others(bench: Bench) -> None:
    bench.person.decision = "once"
    ran = bench.door.run(Command(line="cat <<'EOF'\na\n\n\n    b\nEOF"))
    assert ran.output == "a\n\n\n    b\n"


def test_what_could_not_be_read_again_is_not_written(bench: Bench) -> None:
    with pytest.raises(EditError, match="9,000,000 bytes"):
        bench.door.write("big.txt", "x" * 9_000_000)
    assert not (bench.root / "big.txt").exists()
    assert not bench.person.asked


def test_a_directory_that_becomes_a_link_during_the_question_leads_nowhere(bench: Bench) -> None:
    outside = bench.root.parent / "outside"
    outside.mkdir()

    def swap() -> None:
        (bench.root / "src").rename(bench.root / "old")
        (bench.root / "src").symlink_to(outside)
        (bench.root / "new").symlink_to(outside)

    bench.person.decision, bench.person.meanwhile = "once", swap
    with pytest.raises(GuardError):
        bench.door.write("src/a.py", "x")
    assert not any(outside.iterdir())


def test_whatever_is_denied_is_on_record(bench: Bench) -> None:
    os.link(bench.root / ".env", bench.root / "notes.txt")
    with pytest.raises(Denied):
        bench.door.write(".env", "x")
    with pytest.raises(Denied):
        bench.door.read("notes.txt")
    kept = [(kind, body["permission"], body["value"]) for kind, body in bench.record.entries]
    assert kept == [("denied", "edit", ".env"), ("denied", "read", "notes.txt")]


# --- the whole program -----------------------------------------------------------------------------------------------


def told(root: Path, *answers: Sequence[Piece] | str, question: str) -> str:
    """Everything that the model is shown."""
    model = ScriptedModel([*answers, "Done."], context=32_768)
    with open_program(load_settings(), root, model=model) as program:
        session = program.task(program.one_shot_retriever(changing=True))
        list(session.ask(question))
    return "\n".join(message.content for prompt in model.prompts for message in prompt)


def called(name: str, **arguments: Any) -> list[Piece]:
    return [Called(call=ToolCall(id="aaaaaaaa1", name=name, arguments=arguments))]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OFFLINE_AGENT_VAULT_KEY", "file")
    place = tmp_path.resolve() / "repository"
    place.mkdir()
    (place / ".env").write_text(f"# wombats of the region\nAPI_PASSWORD={SECRET}\n")
    (place / "app.py").write_text("def wombats():\n    return 1\n")
    return place


@pytest.mark.parametrize("make", [os.link, os.symlink])
@pytest.mark.parametrize("name", ["AGENTS.md", "CLAUDE.md"])
def test_instructions_are_no_other_name_of_a_denied_file(root: Path, name: str, make: Callable[..., None]) -> None:
    make(root / ".env", root / name)
    assert "wombats of the region" not in told(root, question="hello")


def test_secrets_in_instructions_are_masked(root: Path) -> None:
    (root / "AGENTS.md").write_text(f"Deploy with API_PASSWORD={SECRET} please.\n")
    shown = told(root, question="hello")
    assert "Deploy with API_PASSWORD=[redacted:" in shown
    assert SECRET not in shown


def test_the_index_does_not_find_a_denied_file_by_another_name(root: Path) -> None:
    os.link(root / ".env", root / "notes.txt")
    shown = told(root, called("search_code", query="wombats region"), question="What of wombats in the region?")
    assert "def wombats" in shown
    assert "wombats of the region" not in shown


def test_half_a_secret_is_not_shown_either(root: Path) -> None:
    """A window of a long line, or a range of lines, may begin behind what says that it is one."""
    (root / "long.js").write_text(f"var {'a' * 300}; password = '{SECRET}'; {'b' * 36}; wombat; {'c' * 300};\n")
    line = "MIIEpAIBAAKCAQEA7bq3Xk2sQ9fJrT5uYvWzAcDeFgHiJkLmNoPqRsTuVwXyZ012\n"
    (root / "key.txt").write_text(f"-----BEGIN RSA PRIVATE KEY-----\n{line * 9}")
    answers = (called("grep", pattern="wombat;"), called("read", path="key.txt", start=4, end=6))
    shown = told(root, *answers, question="hello")
    assert f"{'b' * 30}; wombat;" in shown
    assert SECRET[-5:] not in shown
    assert "key.txt lines 4-6 of 10" in shown
    assert line[:20] not in shown


def test_an_agent_that_may_read_less_finds_less(root: Path, home: Path) -> None:
    """The search before the first prompt is the agent's own, too, when a session goes on with another one."""
    (root / "plans.md").write_text("# Wombats\n\nThe wombats move out in May.\n")
    rules = {"agent": {"plan": {"permission": {"read": {"plans.md": "deny"}}}}}
    place = home / ".config" / "offline-agent" / "permission.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(rules))
    model = ScriptedModel(["May.", "I do not know."], context=32_768)
    with open_program(load_settings(), root, model=model) as program:
        index = program.one_shot_retriever(changing=True)
        session = program.session(index, Person(), "build")
        list(session.ask("When do the wombats move?"))
        program.change_agent(session, index, Person(), "plan")
        list(session.ask("When do the wombats move out?"))
    first, second = (prompt[-1].content for prompt in model.prompts)
    assert "move out in May" in first
    assert "move out in May" not in second
