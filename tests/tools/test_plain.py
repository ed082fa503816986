import sys
from pathlib import Path

import pytest

from offline_agent.actions import Command
from offline_agent.errors import Denied, EditError, GuardError
from offline_agent.protocols import Workspace
from offline_agent.tools.plain import PlainWorkspace


def test_it_is_a_workspace(workspace: PlainWorkspace) -> None:
    bare: Workspace = workspace
    assert list(bare.files()) == ["README.md", "src/cart.py", "src/shop.py", "tests/test_shop.py"]
    assert list(bare.files("src/cart.py")) == ["src/cart.py"]
    assert [(entry.path, entry.kind) for entry in bare.entries("src")] == [
        ("src/cart.py", "file"),
        ("src/shop.py", "file"),
    ]


def test_a_file_that_was_not_read_or_changed_since_is_not_overwritten(workspace: PlainWorkspace, root: Path) -> None:
    with pytest.raises(EditError, match="Nothing was written"):
        workspace.write("README.md", "new\n")
    workspace.read("README.md")
    (root / "README.md").write_text("changed\n")
    with pytest.raises(EditError, match="Nothing was written"):
        workspace.write("README.md", "new\n")
    assert (root / "README.md").read_text() == "changed\n"
    assert workspace.write("README.md", "new\n", based_on=workspace.read("README.md").sha256).diff
    assert workspace.write("README.md", "again\n").diff  # what was written counts as seen


def test_nothing_outside_is_reached(workspace: PlainWorkspace) -> None:
    for path in ("..", "/etc/passwd", "src/../../x"):
        with pytest.raises(Denied):
            workspace.read(path)


def test_what_cannot_be_read_or_listed_is_said(workspace: PlainWorkspace, root: Path) -> None:
    (root / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    for path, reason in (("src", "is a directory"), ("gone", "There is no gone"), ("logo.png", "a PNG image")):
        with pytest.raises(GuardError, match=reason):
            workspace.read(path)
    with pytest.raises(GuardError, match="is a file"):
        workspace.entries("README.md")
    with pytest.raises(GuardError, match="cannot be listed"):
        workspace.entries("gone")
    assert workspace.peek("logo.png") is None


def test_a_command_runs_there_and_is_ended_in_time(workspace: PlainWorkspace) -> None:
    heard: list[str] = []
    ran = workspace.run(Command(line="ls src; exit 3"), heard.append)
    assert (ran.exit_code, ran.output, heard) == (3, "cart.py\nshop.py\n", ["cart.py\nshop.py\n"])
    ended = workspace.run(Command(line=f"echo begun; {sys.executable} -c 'while True: pass'", seconds=1))
    assert (ended.ended, ended.output, ended.exit_code) == ("time", "begun\n", 137)
