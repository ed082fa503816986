"""What runs later, outside: it is not changed, and does not come to be."""

import os
import subprocess
from pathlib import Path

import pytest

from offline_agent.guard.protected import Absent, git_directories, protected_names, remove_tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository"


def test_what_was_made_is_removed_and_nothing_else(root: Path) -> None:
    (root / ".github").mkdir()
    absent = Absent(root, [".vscode", ".github", ".envrc", "Jenkinsfile"])
    (root / ".vscode" / "deep").mkdir(parents=True)
    (root / ".vscode" / "deep" / "tasks.json").write_text("{}")
    (root / ".envrc").write_text("export X=1\n")
    (root / ".github" / "new").write_text("kept")
    (root / "other").write_text("kept")
    assert absent.remove() == [".vscode", ".envrc"]
    assert sorted(os.listdir(root)) == [".github", "other"]
    assert os.listdir(root / ".github") == ["new"]


def test_a_link_is_removed_and_not_what_it_leads_to(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    absent = Absent(root, [".vscode"])
    (root / ".vscode").symlink_to(tmp_path / "mine")
    assert absent.remove() == [".vscode"]
    assert os.listdir(tmp_path / "mine") == ["file"]


def test_a_link_on_the_way_is_removed_and_not_what_it_leads_to(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "hooks").mkdir(parents=True)
    absent = Absent(root, [".git/hooks", ".git/config"])
    (root / ".git").symlink_to(tmp_path / "other")
    assert absent.remove() == [".git"]
    assert os.listdir(tmp_path / "other") == ["hooks"]


def test_what_a_link_of_the_persons_leads_to_stays(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (root / ".git").symlink_to(tmp_path / "other")
    absent = Absent(root, [".git/hooks"])
    (tmp_path / "other" / "hooks").mkdir()
    assert absent.remove() == []
    assert os.listdir(tmp_path / "other") == ["hooks"]


def test_a_protected_link_is_put_back(root: Path) -> None:
    (root / "tasks").mkdir()
    (root / ".vscode").symlink_to("tasks")
    absent = Absent(root, [".vscode"])
    (root / ".vscode").unlink()
    (root / ".vscode").mkdir()
    assert absent.remove() == [".vscode"]
    assert os.readlink(root / ".vscode") == "tasks"


def test_a_repository_made_by_a_command_has_neither_hooks_nor_configuration(root: Path) -> None:
    absent = Absent(root, protected_names(root))
    subprocess.run(["git", "init", "--quiet", root], check=True)
    assert ".git/config" in absent.remove()
    assert subprocess.run(["git", "-C", root, "status"], capture_output=True, check=False).returncode == 0


def test_submodules_are_protected_too(root: Path) -> None:
    for module in ("one", "libs/two"):
        (root / ".git" / "modules" / module).mkdir(parents=True)
        (root / ".git" / "modules" / module / "HEAD").touch()
    (root / "one").mkdir()
    (root / "one" / ".git").write_text("gitdir: ../.git/modules/one\n")
    (root / ".gitmodules").write_text('[submodule "one"]\n\tpath = one\n[submodule "x"]\n\tpath = ../outside\n')
    assert git_directories(root) == [".git", ".git/modules/libs/two", ".git/modules/one"]
    assert {".git/modules/libs/two/hooks", ".git/modules/one/config", "one/.git"} <= set(protected_names(root))


def test_the_link_of_a_worktree_is_protected(root: Path) -> None:
    (root / ".git").write_text("gitdir: /elsewhere/.git/worktrees/one\n")
    assert ".git" in protected_names(root)


def test_a_tree_deeper_than_a_path_can_be_long_is_removed(root: Path) -> None:
    tree = root / "tree"
    tree.mkdir()
    inside = os.open(tree, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 100, dir_fd=inside)
        deeper = os.open("d" * 100, os.O_RDONLY, dir_fd=inside)
        os.close(inside)
        inside = deeper
    os.fchmod(inside, 0)
    os.close(inside)
    (tree / "link").symlink_to("/etc")
    remove_tree(tree)
    assert os.listdir(root) == []
