"""What git's own files say, as git itself writes them."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.guard.git_files import git_directory, may_run_programs, named_by, repositories_in

ID = "-c user.name=a -c user.email=a@b"


def git(root: Path, line: str) -> None:
    subprocess.run(["bash", "-ec", line], cwd=root, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git(tmp_path, "git init -q . && mkdir -p a/deep && touch a/one a/deep/two z")
    return tmp_path


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_repositories_are_found_in_every_kind_of_index(tmp_path: Path, version: int, kind: str) -> None:
    """Version 3 is what git makes of 2 where an entry has more flags than fit."""
    git(tmp_path, f"git init -q --object-format={kind} . && mkdir -p a/deep && touch a/one a/deep/two z")
    for name in ("a/inner", "b"):
        git(tmp_path, f"git init -q --object-format={kind} {name}; git -C {name} {ID} commit -q --allow-empty -m one")
    git(tmp_path, f"git add . && git update-index --index-version {4 if version == 4 else 2}")
    if version == 3:
        git(tmp_path, "touch later && git add -N later")
    assert (tmp_path / ".git" / "index").read_bytes()[4:8] == version.to_bytes(4)
    assert repositories_in(tmp_path / ".git") == {"a/inner", "b"}


def test_repositories_are_found_in_a_split_index(root: Path) -> None:
    git(
        root,
        f"git init -q b; git -C b {ID} commit -q --allow-empty -m one; git add . && git update-index --split-index",
    )
    assert repositories_in(root / ".git") == {"b"}


def test_most_have_none(root: Path) -> None:
    assert repositories_in(root / ".git") == frozenset()
    git(root, "git add .")
    assert repositories_in(root / ".git") == frozenset()


@given(data=st.binary(max_size=300), version=st.integers(0, 5), entries=st.integers(0, (1 << 32) - 1))
def test_a_damaged_index_is_read_as_far_as_it_goes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, version: int, entries: int
) -> None:
    place = tmp_path_factory.mktemp("git")
    (place / "index").write_bytes(b"DIRC" + version.to_bytes(4) + entries.to_bytes(4) + b"\0\0\xe0\0" + data)
    assert isinstance(repositories_in(place), frozenset)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[core]\n\thooksPath = tools/hooks\n", {"tools/hooks", ".git/tools/hooks"}),
        ("[Core] HOOKSPATH=tools # ours\n", {"tools", ".git/tools"}),
        ('[include]\n\tpath = "../shared"\n', {"shared"}),
        ('[includeIf "gitdir:~/x/"]\n\tpath = ../shared\n', {"shared"}),
        ("[core]\n\tattributesFile = a\n", {"a", ".git/a"}),
        ("[include]\n\tpath = ~/.gitconfig\n[core]\n\thooksPath = /usr/hooks\n", set()),
        ("[include]\n\tpath = ../..\n[core]\n\thooksPath = .\n", set()),
    ],
)
def test_what_a_configuration_names_below_the_root(root: Path, text: str, named: set[str]) -> None:
    (root / ".git" / "config").write_text(text)
    assert set(named_by(root / ".git" / "config", root)) - {".git/~/.gitconfig", "~/.gitconfig", ".git"} == named


def test_what_is_included_is_read_too(root: Path) -> None:
    (root / "shared").write_text("[include]\n\tpath = shared\n[core]\n\thooksPath = tools\n")
    (root / ".git" / "config").write_text("[include]\n\tpath = ../shared\n")
    assert {"shared", "tools"} <= set(named_by(root / ".git" / "config", root))


def test_what_git_writes_runs_nothing(root: Path) -> None:
    git(root, f"git add . && git {ID} commit -qm one && git clone -q . copy")
    git(root, f"git -c protocol.file.allow=always submodule add -q ./copy sub && git {ID} commit -qm two")
    for place in (".git/config", "copy/.git/config", ".git/modules/sub/config"):
        assert not may_run_programs(root / place)


@pytest.mark.parametrize(
    "line",
    [
        '[alias] st = "!touch x"',
        "fsmonitor = touch x",
        "pager = less",
        '[diff "x"]\ncommand = y',
        "[core] sshCommand = x",
        "worktree = a\\\nfsmonitor = x",
        "uploadpack = x",
        "[include]\npath = x",
        "[credential]",
    ],
)
def test_what_may_run_something_is_seen(root: Path, line: str) -> None:
    with (root / ".git" / "config").open("a") as file:
        file.write(line)
    assert may_run_programs(root / ".git" / "config")


def test_where_the_git_directory_is(root: Path) -> None:
    git(root, f"git add . && git {ID} commit -qm one && git worktree add -q tree")
    assert git_directory(root) == root / ".git"
    assert git_directory(root / "tree") == root / ".git" / "worktrees" / "tree"
    assert git_directory(root / "a") is None
