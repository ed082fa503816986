"""All clones of a project have one name, and no other project has it."""

import os
import subprocess
from pathlib import Path

import pytest

from offline_agent.retrieval.lineage import project_of

_WHO = (
    "-c",
    "user.name=a",
    "-c",
    "user.email=a@example.org",
    "-c",
    "commit.gpgsign=false",
    "-c",
    "protocol.file.allow=always",
)


def git(place: Path, *arguments: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *_WHO, *arguments], cwd=place, env=environment, check=True, capture_output=True)


def project(place: Path, first: str) -> Path:
    place.mkdir()
    git(place, "init", "--initial-branch=main")
    commit(place, first)
    return place


def commit(place: Path, name: str) -> None:
    (place / name).write_text(name)
    git(place, "add", name)
    git(place, "commit", "-m", name)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    return project(tmp_path / "origin", "one")


def test_a_clone_a_branch_and_a_worktree_are_one_project(origin: Path, tmp_path: Path) -> None:
    name = project_of(origin, "key of the origin")
    git(tmp_path, "clone", str(origin), "clone")
    commit(tmp_path / "clone", "two")
    git(tmp_path / "clone", "switch", "-c", "branch")
    commit(tmp_path / "clone", "three")
    git(tmp_path / "clone", "worktree", "add", "../tree", "main")
    assert project_of(tmp_path / "clone", "another key") == project_of(tmp_path / "tree", "a third") == name


def test_another_project_has_another_name(origin: Path, tmp_path: Path) -> None:
    assert project_of(origin, "same") != project_of(project(tmp_path / "other", "other"), "same")


def test_merging_another_project_in_changes_nothing(origin: Path, tmp_path: Path) -> None:
    name = project_of(origin, "x")
    git(origin, "fetch", str(project(tmp_path / "other", "other")), "main")
    git(origin, "merge", "--allow-unrelated-histories", "-m", "merge", "FETCH_HEAD")
    assert project_of(origin, "x") == name


def test_what_has_no_first_commit_is_known_by_its_own_key(origin: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "empty")
    commit(origin, "two")
    git(tmp_path, "clone", "--depth=1", f"file://{origin}", "shallow")
    (tmp_path / "plain").mkdir()
    own = {project_of(tmp_path / place, "one key") for place in ("empty", "shallow", "plain", "not there")}
    assert len(own) == 1
    assert own.isdisjoint({project_of(origin, "one key"), project_of(tmp_path / "plain", "another key")})


def test_nothing_that_a_repository_configures_is_run(origin: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for name in ("core.fsmonitor", "core.pager", "core.editor", "alias.rev-list", "gpg.program", "core.sshCommand"):
        git(origin, "config", name, f"!touch {mark}" if name.startswith("alias") else f"touch {mark};")
    git(origin, "config", "log.showSignature", "true")
    assert project_of(origin, "x") != project_of(tmp_path, "x")
    assert not mark.exists()


def test_the_environment_of_a_hook_does_not_mislead_it(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = project_of(origin, "x")
    monkeypatch.setenv("GIT_DIR", str(project(tmp_path / "other", "other") / ".git"))
    assert project_of(origin, "x") == name
