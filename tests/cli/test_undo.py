"""`undo` and `redo`: what is taken back, what is refused, what is said."""

import json
from pathlib import Path

import pytest

from offline_agent.actions import TurnRecord, Undone
from offline_agent.app import open_program
from offline_agent.cli import main
from offline_agent.cli.undo import turn_line, undone_text
from offline_agent.settings import load_settings
from tests.cli.typed import typed

NEW = "# Shop\n\nSells other things.\n"


@pytest.fixture
def changed(repository: Path) -> Path:
    """The README, which a turn changed; a turn after it made notes.txt."""
    readme = repository / "README.md"
    with open_program(load_settings(), repository) as program:
        undo = program.workbench.undo("0123456789ab")
        undo.begin("say what\nelse there is\x1b[2J")
        undo.touch("README.md")
        readme.write_text(NEW)
        undo.begin("take notes")
        undo.touch("notes.txt")
        (repository / "notes.txt").write_text("notes\n")
        undo.end()
    return readme


def test_a_turn_after_the_other_is_taken_back_and_done_again(
    changed: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--repo", str(repository)]
    assert main(["undo", *where]) == 0
    assert "Turn 2 (take notes) is taken back: 1 path.\n  notes.txt" in capsys.readouterr().out
    assert main(["undo", *where]) == 0
    assert changed.read_text() == "# Shop\n\nSells things.\n"
    assert main(["undo", *where]) == 60
    assert "There is nothing to undo" in capsys.readouterr().err
    assert main(["redo", *where, "--json"]) == 0
    undone = json.loads(capsys.readouterr().out)
    assert (undone["turn"]["number"], undone["paths"]) == (1, ["README.md"])
    assert changed.read_text() == NEW
    assert not (repository / "notes.txt").exists()


def test_the_list_is_newest_first_and_shows_no_controls(
    changed: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--repo", str(repository)]
    assert main(["undo", "2", *where]) == 0
    capsys.readouterr()
    assert main(["undo", "--list", *where]) == 0
    newest, oldest = capsys.readouterr().out.splitlines()
    assert newest.split()[0] == "2"
    assert "undone  take notes  [notes.txt]" in newest
    assert "say what" in oldest
    assert main(["undo", "--list", "--json", *where]) == 0
    assert [(turn["number"], turn["undone"]) for turn in json.loads(capsys.readouterr().out)] == [(2, True), (1, False)]
    code, shown = typed("undo", "--list", *where)
    assert (code, "\x1b[2J" in shown) == (0, False)


def test_what_was_changed_since_is_kept_and_the_difference_shown(
    changed: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed.write_text(NEW + "And more.\n")
    assert main(["undo", "1", "--repo", str(repository)]) == 64
    said = capsys.readouterr().err
    assert "\n+And more." in said
    assert changed.read_text() == NEW + "And more.\n"
    code, shown = typed("undo", "1", "--repo", str(repository))
    assert (code, "\n+And more." in shown.replace("\r", "")) == (64, True)
    assert main(["undo", "1", "--force", "--repo", str(repository)]) == 0
    assert changed.read_text() == "# Shop\n\nSells things.\n"


@pytest.mark.parametrize(
    ("arguments", "code"), [(["undo"], 60), (["redo"], 60), (["undo", "7"], 60), (["undo", "--list"], 0)]
)
def test_where_no_turn_has_changed_anything(
    arguments: list[str], code: int, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--repo", str(repository)]) == code
    said = capsys.readouterr()
    words = ("There is nothing to", "There is no turn 7", "No turn about this repository")
    assert sum(word in said.out + said.err for word in words) == 1


def test_of_many_paths_the_first_are_named() -> None:
    turn = TurnRecord(number=3, title="build\nit", session="", at=0.0)
    said = undone_text(
        Undone(turn=turn, paths=tuple(f"out/{number:03}" for number in range(300)), notes=("A note.",)), "undo"
    )
    assert said.startswith("Turn 3 (build) is taken back: 300 paths.\n  out/000\n")
    assert said.endswith("\n  out/019\n  and 280 more\nA note.")


def test_what_caches_hold_comes_last() -> None:
    turn = TurnRecord(
        number=3,
        title="t",
        session="",
        at=0.0,
        paths=("a/__pycache__", "a/__pycache__/b", "a/__init__.py", ".c/d", ".e", "f"),
    )
    assert turn_line(turn).endswith("[a/__init__.py, .e, f and 3 more]")


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
def test_a_number_that_is_none(number: str, repository: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["undo", number, "--repo", str(repository)])
