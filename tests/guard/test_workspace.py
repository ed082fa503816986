"""The one door, with real rules, files and undo, and a real sandbox where a command is run."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offline_agent.actions import Answer, Command, Rule
from offline_agent.errors import Denied, EditError, GuardError
from offline_agent.guard.approvals import MemoryApprovals
from offline_agent.guard.gate import Gate
from offline_agent.guard.policy import Policy, RuleFile
from offline_agent.guard.sandbox import CommandSandbox
from offline_agent.guard.undo import Undo
from offline_agent.guard.workspace import GuardedWorkspace
from offline_agent.settings import SandboxSettings, UndoSettings
from offline_agent.vault.memory import MemoryJournals

from .person import EVERYTHING, ONCE, Notes, Person
from .trees import look

OWN = RuleFile(source="mine", rules=(Rule(permission="edit", pattern="docs/*", decision="deny", source="mine"),))


class Place:
    """A repository behind the door."""

    def __init__(self, root: Path, home: Path, person: Person, policy: Policy) -> None:
        self.root, self.person, self.notes = root, person, Notes()
        self.undo = Undo(root, MemoryJournals(), UndoSettings())
        self.sandbox = CommandSandbox(root, SandboxSettings(), os.environ, home)
        gate = Gate(policy, MemoryApprovals(), person, self.notes, "s1")
        self.door = GuardedWorkspace(root, home, gate, self.sandbox, self.undo, self._walk)

    def _walk(self, under: str) -> Iterator[str]:
        paths = (path for path in sorted((self.root / under).rglob("*")) if path.is_file())
        return (path.relative_to(self.root).as_posix() for path in paths)

    def read(self, name: str) -> str:
        return (self.root / name).read_text()


Open = Callable[..., Place]


@pytest.fixture
def opened(tmp_path: Path, home: Path) -> Iterator[Open]:
    root = tmp_path.resolve() / "shop"
    for name, text in {"a.py": "one\n", "docs/x.md": "x\n", ".env": "TOKEN=1\n", "src/b.py": "two\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (tmp_path / "outside.txt").write_text("outside\n")
    places: list[Place] = []

    def open_(*answers: Answer, meanwhile: Callable[[], object] = lambda: None, yes: bool = False) -> Place:
        person = Person(*answers, meanwhile=meanwhile)
        places.append(Place(root, home, person, Policy(own=OWN, yes=yes)))
        return places[-1]

    yield open_
    for place in places:
        place.sandbox.close()


# --- reading ---


def test_reading_inside_asks_nobody(opened: Open) -> None:
    place = opened()
    assert place.door.read("a.py").text == "one\n"
    assert [entry.path for entry in place.door.entries(".") if entry.denied] == [".env"]
    assert list(place.door.files()) == ["a.py", "docs/x.md", "src/b.py"]
    assert list(place.door.files("src")) == ["src/b.py"]
    assert (place.person.asked, place.notes.notes) == ([], [])
    with pytest.raises(Denied):
        place.door.files(".env")
    assert place.notes.kinds == ["denied"]


@pytest.mark.parametrize(
    "path", [".env", "src/../.env", "link", "hard", "../outside.txt", "/etc/passwd", "~/.ssh/id_rsa"]
)
def test_what_may_not_be_read_is_not_whatever_it_is_called(path: str, opened: Open) -> None:
    place = opened(*EVERYTHING)
    (place.root / "link").symlink_to(".env")
    os.link(place.root / ".env", place.root / "hard")
    with pytest.raises(Denied):
        place.door.read(path)
    with pytest.raises(GuardError):
        place.door.write(path, "mine\n")
    assert "hard" not in list(place.door.files())
    assert place.person.asked == []
    assert place.read(".env") == "TOKEN=1\n"


def test_what_is_no_text_or_not_there_is_said(opened: Open) -> None:
    place = opened()
    (place.root / "data").write_bytes(b"\0\1\2")
    for path in ("data", "none.py", "src"):
        with pytest.raises(GuardError):
            place.door.read(path)
    assert place.door.peek("data") is None
    assert place.door.peek("none.py") is None
    for path in ("a.py", "none"):
        with pytest.raises(GuardError, match="Name a directory"):
            place.door.entries(path)


# --- changing ---


def test_a_change_is_shown_whole_asked_about_done_and_can_be_undone(opened: Open) -> None:
    place = opened(ONCE, ONCE)
    before = look(place.root)
    with place.door.turn("change it"):
        place.door.read("a.py")
        change = place.door.write("a.py", "three\n")
        made = place.door.write("new/deep/c.py", "four\n")
    assert (change.created, made.created) == (False, True)
    assert [proposal.diff for proposal in place.person.asked] == [change.diff, made.diff]
    assert "-one\n+three" in change.diff
    assert (place.read("a.py"), place.read("new/deep/c.py")) == ("three\n", "four\n")
    assert [note["kind"] for note in place.notes.notes] == ["allowed", "edit", "allowed", "edit"]
    place.undo.undo()
    assert look(place.root) == before


def test_a_file_that_was_not_read_or_has_changed_is_not_written(opened: Open) -> None:
    place = opened(*EVERYTHING)
    with place.door.turn("t"):
        with pytest.raises(EditError, match="you have not read it"):
            place.door.write("a.py", "mine\n")
        place.door.read("a.py")
        (place.root / "a.py").write_text("somebody's\n")
        with pytest.raises(EditError, match="changed since you read it"):
            place.door.write("a.py", "mine\n")
        place.door.read("a.py", seen=False)
        with pytest.raises(EditError, match="changed since you read it"):
            place.door.write("a.py", "mine\n")
    assert place.person.asked == []
    assert place.read("a.py") == "somebody's\n"
    assert place.undo.turns() == []


def test_a_file_that_changes_while_the_person_looks_is_not_written(opened: Open) -> None:
    place = opened(ONCE, meanwhile=lambda: (place.root / "a.py").write_text("saved meanwhile\n"))
    with place.door.turn("t"), pytest.raises(EditError, match="changed while it was asked about"):
        place.door.read("a.py")
        place.door.write("a.py", "mine\n")
    assert place.read("a.py") == "saved meanwhile\n"


def test_a_no_or_a_rule_leaves_everything_as_it_was(opened: Open) -> None:
    place = opened(Answer(decision="reject"), yes=False)
    before = look(place.root)
    with place.door.turn("t"):
        place.door.read("docs/x.md")
        for path in ("new/deep/c.py", "docs/x.md", ".git/config"):
            with pytest.raises(Denied):
                place.door.write(path, "mine\n")
    assert len(place.person.asked) == 1  # a rule asks nobody
    assert look(place.root) == before


def test_ctrl_c_at_the_question_leaves_everything_as_it_was(opened: Open) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    place = opened(ONCE, meanwhile=interrupt)
    before = look(place.root)
    with pytest.raises(KeyboardInterrupt), place.door.turn("t"):
        place.door.write("new/c.py", "mine\n")
    assert look(place.root) == before


def test_what_is_like_that_already_is_not_asked_about(opened: Open) -> None:
    place = opened()
    with place.door.turn("t"):
        assert place.door.write("a.py", "one\n", based_on=place.door.read("a.py").sha256).diff == ""
    assert place.person.asked == []


def test_nothing_is_changed_outside_a_turn(opened: Open) -> None:
    place = opened(ONCE)
    with pytest.raises(GuardError, match="outside a turn"):
        place.door.write("new.py", "mine\n")
    assert not (place.root / "new.py").exists()


# --- commands ---


def test_a_command_is_asked_about_and_shown_as_it_is(opened: Open) -> None:
    place = opened(ONCE)
    heard: list[str] = []
    line = "tee b2.py < b.py"
    with place.door.turn("t"):
        ran = place.door.run(Command(line=line, directory="src"), output=heard.append)
        with pytest.raises(Denied):
            place.door.run(Command(line=line, directory="src"))
    assert [proposal.line for proposal in place.person.asked] == [line, line]
    assert (ran.output, "".join(heard)) == ("two\n", "two\n")
    assert ran.changed == ("src/b2.py",)


def test_what_a_command_changed_is_told_without_what_it_made_and_removed(opened: Open) -> None:
    place = opened(yes=True)
    before = look(place.root)
    line = "mkdir made; echo 1 > made/in; echo > gone; rm gone; rm a.py; echo 2 >> src/b.py; exit 3"
    with place.door.turn("t"):
        ran = place.door.run(Command(line=line))
    assert (ran.exit_code, ran.changed, ran.unseen) == (3, ("a.py", "made/in", "src/b.py"), False)
    assert place.notes.notes[-1] == {
        "kind": "command",
        "session": "s1",
        "line": line,
        "directory": ".",
        "exit": 3,
        "ended": "itself",
        "changed": 3,
        "sandbox": place.sandbox.report.mechanism,
    }
    place.undo.undo()
    assert look(place.root) == before


@pytest.mark.parametrize("line", ["cat .env", "cat < .env", "echo x > docs/new.md", "cat /etc/shadow"])
def test_a_command_that_a_rule_denies_is_not_run(line: str, opened: Open) -> None:
    place = opened(*EVERYTHING, yes=True)
    with place.door.turn("t"), pytest.raises(Denied):
        place.door.run(Command(line=f"{line}; touch ran"))
    assert place.person.asked == []
    assert not (place.root / "ran").exists()


def test_leave_for_what_is_neither(opened: Open) -> None:
    place = opened(ONCE)
    place.door.permit("task", "explore", "explore")
    place.door.permit("doom_loop", "grep", "go on?")
    assert [proposal.title for proposal in place.person.asked] == ["go on?"]
    with pytest.raises(Denied):
        place.door.permit("webfetch", "https://example.org", "fetch")
