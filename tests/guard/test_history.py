"""Whether git's objects hold what is in a denied file, in repositories that git itself makes."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from offline_agent.guard.history import History, HistoryVerdict, git_directories, object_ids, object_stores

SECRET = "TOKEN=open sesame\n"


def denied(path: str) -> bool:
    return path.rpartition("/")[2] == ".env" or path.startswith(("keys/", "vendor/own/private/"))


def git(where: Path, *arguments: str) -> str:
    """Runs git as a person without configuration; what it prints."""
    who = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a")
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "GIT_CONFIG_NOSYSTEM": "1", **who}
    options = ["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", "-c", "advice.detachedHead=false"]
    command = ["git", *options, *arguments]
    return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=True).stdout


def write(root: Path, name: str, text: str = SECRET) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def commit(root: Path, name: str = "", text: str = SECRET) -> None:
    if name:
        write(root, name, text)
    git(root, "add", "--all", "--force")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "one")


def removed(root: Path, name: str = ".env") -> None:
    git(root, "rm", "--quiet", "--force", name)
    git(root, "commit", "--quiet", "--message", "without")


class Runs:
    """A RunGit that confines nothing, and counts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str], seconds: float) -> tuple[int, bytes]:
        self.commands.append(list(command))
        done = subprocess.run(command, cwd=self.root, stdout=subprocess.PIPE, timeout=seconds, check=False)
        return done.returncode, done.stdout


def verdict(root: Path, present: Sequence[str] = ()) -> HistoryVerdict:
    return History(root, denied, Runs(root), seconds=60).hides(present)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a commit that holds nothing of interest."""
    place = tmp_path / "repo"
    place.mkdir()
    git(place, "init", "--quiet")
    commit(place, "README", "read me")
    return place


def with_a_dropped_stash(root: Path) -> None:
    write(root, ".env")
    git(root, "stash", "push", "--quiet", "--include-untracked")
    git(root, "stash", "drop", "--quiet")


def with_an_amended_commit(root: Path) -> None:
    commit(root, ".env")
    git(root, "rm", "--quiet", ".env")
    git(root, "commit", "--quiet", "--amend", "--allow-empty", "--message", "two")
    git(root, "reflog", "expire", "--expire=now", "--all")


def with_a_deleted_branch(root: Path) -> None:
    git(root, "checkout", "--quiet", "-b", "other")
    commit(root, ".env")
    git(root, "checkout", "--quiet", "main")
    git(root, "branch", "--quiet", "-D", "other")


def with_an_evil_merge(root: Path) -> None:
    git(root, "checkout", "--quiet", "-b", "other")
    commit(root, "b", "b")
    git(root, "checkout", "--quiet", "main")
    commit(root, "c", "c")
    git(root, "merge", "--quiet", "--no-commit", "other")
    commit(root, ".env")
    removed(root)


def with_grafts(root: Path) -> None:
    """Two commits with the same files, each said to be the other's parent."""
    commit(root, ".env")
    first = git(root, "rev-parse", "HEAD").strip()
    commit(root)
    second = git(root, "rev-parse", "HEAD").strip()
    removed(root)
    write(root, ".git/info/grafts", f"{first} {second}\n{second} {first}\n")


def with_a_replacement(root: Path) -> None:
    clean = git(root, "rev-parse", "HEAD").strip()
    commit(root, ".env")
    leaking = git(root, "rev-parse", "HEAD").strip()
    removed(root)
    git(root, "replace", leaking, clean)


def with_a_false_shallow_border(root: Path) -> None:
    commit(root, ".env")
    removed(root)
    write(root, ".git/shallow", git(root, "rev-parse", "HEAD"))


def with_a_pack(root: Path) -> None:
    commit(root, ".env")
    removed(root)
    git(root, "gc", "--quiet")


def with_hostile_settings(root: Path) -> None:
    commit(root, ".env")
    removed(root)
    for name, value in {
        "log.showRoot": "false",
        "diff.renames": "copies",
        "core.fsmonitor": "touch ran",
        "core.pager": "touch ran",
        "core.bare": "true",
        "diff.external": "touch ran",
        "diff.orderFile": "/nowhere",
        "core.quotePath": "true",
        "gpg.program": "touch ran",
        "log.showSignature": "true",
        "core.alternateRefsCommand": "touch ran",
    }.items():
        git(root, "config", name, value)


def with_other_names(root: Path) -> None:
    commit(root, "keys/ünïcode\nname", SECRET)
    removed(root, "keys/ünïcode\nname")


def with_other_objects_pointed_at(root: Path) -> None:
    git(root, "clone", "--quiet", ".", "../clean")
    commit(root, ".env")
    removed(root)
    write(root, ".git/commondir", "../../clean/.git\n")


def without_a_head(root: Path) -> None:
    commit(root, ".env")
    (root / ".git/HEAD").unlink()


HELD: dict[str, Callable[[Path], None]] = {
    "committed": lambda root: commit(root, ".env"),
    "committed further down": lambda root: commit(root, "a/b/.env"),
    "committed and removed": lambda root: (commit(root, ".env"), removed(root))[-1],
    "renamed to another name": lambda root: (commit(root, ".env"), git(root, "mv", ".env", "x"), commit(root))[-1],
    "in the first commit of another branch": lambda root: (
        git(root, "checkout", "--orphan", "x"),
        commit(root, ".env"),
    )[-1],
    "staged": lambda root: (write(root, ".env"), git(root, "add", "--force", ".env"))[0],
    "staged and changed since": lambda root: (
        write(root, ".env"),
        git(root, "add", "--force", ".env"),
        write(root, ".env", "other"),
    )[0],
    "a dropped stash": with_a_dropped_stash,
    "an amended commit": with_an_amended_commit,
    "a deleted branch": with_a_deleted_branch,
    "an evil merge": with_an_evil_merge,
    "grafts": with_grafts,
    "a replacement": with_a_replacement,
    "a false shallow border": with_a_false_shallow_border,
    "a pack": with_a_pack,
    "hostile settings": with_hostile_settings,
    "odd names": with_other_names,
    "other objects pointed at": with_other_objects_pointed_at,
    "no HEAD": without_a_head,
}


@pytest.mark.parametrize("name", HELD)
def test_what_was_ever_committed_or_staged_is_found(root: Path, name: str) -> None:
    HELD[name](root)
    found = verdict(root)
    assert found.held
    assert found.stores == (root / ".git/objects",)
    assert not (root / "ran").exists()


def test_a_repository_without_such_files_is_shown(root: Path) -> None:
    commit(root, "src/.env.py", "no secret")
    git(root, "checkout", "--quiet", "-b", "other")
    assert verdict(root) == HistoryVerdict(held=False)


def test_the_person_is_told_what_was_found_and_what_to_do(root: Path) -> None:
    for name in ("a/.env", "b/.env", "c/.env", "d/.env"):
        commit(root, name)
    note = verdict(root).note
    assert "a/.env, b/.env, c/.env and 1 more" in note
    assert 'history = "show"' in note


def test_nothing_committed_yet(tmp_path: Path) -> None:
    assert verdict(tmp_path) == HistoryVerdict(held=False)
    git(tmp_path, "init", "--quiet")
    assert verdict(tmp_path) == HistoryVerdict(held=False)


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
@pytest.mark.parametrize(("kept", "now"), [(SECRET, SECRET), ("A=1\nB=2\n", "A=1\r\nB=2\r\n")])
def test_what_is_in_a_denied_file_now_is_found_under_any_name(tmp_path: Path, kind: str, kept: str, now: str) -> None:
    git(tmp_path, "init", "--quiet", f"--object-format={kind}")
    commit(tmp_path, "sample", kept)
    (tmp_path / ".env").write_bytes(now.encode())
    assert not verdict(tmp_path).held
    assert verdict(tmp_path, [".env"]).held


def test_what_no_commit_has_is_found_by_its_content(root: Path) -> None:
    write(root, ".env")
    git(root, "add", "--force", ".env")
    git(root, "rm", "--quiet", "--cached", ".env")
    assert not verdict(root).held
    assert verdict(root, [".env"]).held


def test_a_denied_file_with_nothing_in_it_tells_nothing(root: Path) -> None:
    commit(root, "empty", "")
    write(root, ".env", "")
    write(root, "b/.env", "\n")
    assert not verdict(root, [".env", "b/.env", "gone/.env"]).held


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_ids_are_those_of_git(tmp_path: Path, kind: str) -> None:
    git(tmp_path, "init", "--quiet", f"--object-format={kind}")
    for number, content in enumerate([b"x", b"a\r\nb\r\n", b"large" * 4_000_000]):
        file = tmp_path / str(number)
        file.write_bytes(content)
        assert git(tmp_path, "hash-object", "--no-filters", file.name).strip() in object_ids(file, kind)


# --- other repositories --------------------------------------------------------------------------------------------


def test_a_submodule_and_a_repository_within_are_searched(root: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "--quiet")
    commit(library, "one", "1")
    git(root, "submodule", "--quiet", "add", str(library), "libs/one")
    commit(root)
    assert not verdict(root).held
    commit(library, ".env")
    git(root / "libs/one", "fetch", "--quiet")
    found = verdict(root)
    assert ".git/modules/libs/one" in found.note
    assert set(found.stores) == {root / ".git/objects", root / ".git/modules/libs/one/objects"}


def test_a_path_of_a_repository_within_is_judged_by_its_place_too(root: Path) -> None:
    own = root / "vendor/own"
    own.mkdir(parents=True)
    git(own, "init", "--quiet")
    commit(own, "open/file")
    assert not verdict(root).held
    commit(own, "private/file")
    assert "private/file" in verdict(root).note


def test_a_bare_repository_within_is_searched(root: Path) -> None:
    git(root, "clone", "--quiet", "--bare", ".", "backup.git")
    assert not verdict(root).held
    other = root.parent / "other"
    git(root, "clone", "--quiet", "backup.git", str(other))
    commit(other, ".env")
    git(other, "push", "--quiet")
    assert "backup.git" in verdict(root).note


def test_a_bare_repository_is_searched(root: Path, tmp_path: Path) -> None:
    commit(root, ".env")
    git(tmp_path, "clone", "--quiet", "--bare", "repo", "bare.git")
    assert verdict(tmp_path / "bare.git").stores == (tmp_path / "bare.git/objects",)


def test_borrowed_objects_are_searched_and_hidden(root: Path, tmp_path: Path) -> None:
    borrower = root / "borrower"
    git(root, "clone", "--quiet", "--shared", ".", str(borrower))
    commit(root, ".env")
    assert verdict(borrower).stores == (borrower / ".git/objects", root / ".git/objects")


def test_a_shallow_clone_is_searched_as_far_as_it_goes(root: Path, tmp_path: Path) -> None:
    commit(root, ".env")
    removed(root)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{root}", "shallow")
    assert not verdict(tmp_path / "shallow").held
    git(tmp_path, "clone", "--quiet", "--depth=2", f"file://{root}", "deeper")
    assert verdict(tmp_path / "deeper").held


def test_a_partial_clone_fetches_nothing(root: Path, tmp_path: Path) -> None:
    commit(root, "src/a", "a")
    git(root, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "--quiet", "--no-checkout", "--filter=tree:0", f"file://{root}", "partial")
    objects = tmp_path / "partial/.git/objects"
    before = sorted(objects.rglob("*"))
    assert "could not be searched" in verdict(tmp_path / "partial").note  # its trees are elsewhere
    assert sorted(objects.rglob("*")) == before


def test_a_linked_work_tree_has_its_history_elsewhere(root: Path, tmp_path: Path) -> None:
    git(root, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = tmp_path / "linked"
    assert not verdict(linked).held
    commit(root, ".env")
    assert verdict(linked).stores == (root / ".git/objects",)
    hidden = History(linked, denied, lambda *_: (77, b""))  # as where commands do not see that place
    assert not hidden.hides().held


def test_what_lfs_and_annex_keep_is_hidden_too(root: Path) -> None:
    write(root, ".git/lfs/objects/ab/cd/abcd")
    write(root, ".git/annex/objects/x")
    assert object_stores(root) == (root / ".git/objects", root / ".git/lfs", root / ".git/annex")


def test_what_only_looks_like_a_git_directory_is_no_trap(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    write(tmp_path, "a/.git", "gitdir: \0nowhere")
    write(tmp_path, "b/.git", "gitdir: " + "x" * 9000)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/.git").symlink_to(".git")
    write(tmp_path, "d/objects/info/alternates", "../objects\n")
    write(tmp_path, "d/HEAD", "")
    assert list(git_directories(tmp_path)) == [tmp_path / "d"]
    assert object_stores(tmp_path) == (tmp_path / "d/objects",)
    assert verdict(tmp_path).held  # git does not know what to make of it


# --- cost and what is not known ------------------------------------------------------------------------------------


def test_git_is_run_again_only_for_what_changed(root: Path) -> None:
    runs = Runs(root)
    history = History(root, denied, runs, seconds=60)
    time.sleep(0.06)  # what has just changed may change again within the same tick
    assert not history.hides().held
    for _ in range(3):
        assert not history.hides().held
    assert len(runs.commands) == 1
    commit(root, "src/a", "a")
    assert not history.hides().held
    time.sleep(0.06)
    assert not history.hides().held
    count = len(runs.commands)
    write(root, ".env", "never committed")
    assert not history.hides([".env"]).held
    assert len(runs.commands) == count + 1
    commit(root)
    assert history.hides([".env"]).held
    assert history.hides([".env"]).held
    assert len(runs.commands) == count + 2


def test_what_was_found_stays_found(root: Path) -> None:
    write(root, ".env")
    git(root, "add", "--force", ".env")
    history = History(root, denied, Runs(root), seconds=60)
    assert history.hides().held
    (root / ".git/index").unlink()
    assert not verdict(root).held
    assert history.hides().held


def test_a_change_just_after_the_look_is_seen(root: Path) -> None:
    history = History(root, denied, Runs(root), seconds=60)
    assert not history.hides().held
    commit(root, ".env")
    assert history.hides().held


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ((127, b""), "git ended with 127"),
        ((0, b""), "git ended with 0"),
        ((0, b"\0\0a\0"), "git ended with 0"),
        ((1, b"\0\0\0"), "git ended with 1"),
    ],
)
def test_what_is_not_known_counts_as_held(root: Path, said: tuple[int, bytes], why: str) -> None:
    found = History(root, denied, lambda *_: said).hides()
    assert found.held
    assert why in found.note


def test_a_search_that_takes_too_long_counts_as_held(root: Path) -> None:
    now = [0.0]

    def slow(_: Sequence[str], seconds: float) -> tuple[int, bytes]:
        now[0] += seconds
        return 137, b""

    git(root, "clone", "--quiet", ".", "inner")
    found = History(root, denied, slow, seconds=5, clock=lambda: now[0]).hides()
    assert found.held
    assert found.note.count("it takes longer than 5 seconds") == 2


def test_a_denied_file_that_cannot_be_looked_for_counts_as_held(root: Path) -> None:
    (root / ".git/config").unlink()
    (root / ".git/config").mkdir()
    write(root, ".env")
    assert "cannot be read" in verdict(root, [".env"]).note
