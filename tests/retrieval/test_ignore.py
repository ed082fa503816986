"""What is looked at: .gitignore semantics and everything a directory can hold."""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore import GitIgnorePatternError

from offline_agent.errors import RepositoryError
from offline_agent.retrieval.ignore import Found, IgnoreRules, shipped_patterns
from offline_agent.types import Skipped

from .conftest import DECLARATIONS, Repo


def rules(repo: Repo) -> IgnoreRules:
    return IgnoreRules(repo.root, shipped_patterns(DECLARATIONS))


def walked(repo: Repo) -> list[str]:
    return [one.path for one in rules(repo).walk() if isinstance(one, Found)]


def skipped(repo: Repo) -> dict[str, str]:
    return {one.path: one.reason for one in rules(repo).walk() if isinstance(one, Skipped)}


def test_nested_ignore_files_override_those_above(repo: Repo) -> None:
    repo.write(".gitignore", "*.log\nbuild/\n/top.txt\n")
    repo.write("sub/.gitignore", "!keep.log\nlocal.py\n")
    for path in ("a.log", "a.py", "top.txt", "build/x.py", "sub/keep.log", "sub/b.log", "sub/local.py", "sub/top.txt"):
        repo.write(path)
    assert walked(repo) == [".gitignore", "a.py", "sub/.gitignore", "sub/keep.log", "sub/top.txt"]


def test_a_file_below_an_ignored_directory_cannot_come_back(repo: Repo) -> None:
    repo.write(".gitignore", "out/\n!out/kept.py\n")
    repo.write("out/kept.py")
    assert walked(repo) == [".gitignore"]
    assert rules(repo).ignored("out/kept.py")


def test_it_agrees_with_git(repo: Repo) -> None:
    repo.write(
        ".gitignore", "*.tmp\n!important.tmp\n/build\ndoc/**/draft*\n**/cache/\na?c.txt\n[broken\n\\#hash\ntrail  \n"
    )
    repo.write("src/.gitignore", "/gen\n*.o\n!lib.o\n")
    repo.write(".git/info/exclude", "private*\n")
    names = (
        *("x.tmp", "important.tmp", "build/a", "src/build/a", "doc/a/draft1", "doc/draft", "doc/a/final", "x/cache/y"),
        *("abc.txt", "abbc.txt", "#hash", "trail", "src/gen/a", "src/sub/gen", "src/a.o", "src/lib.o", "private.txt"),
        *("src/private/x", "normal.py", "src/normal.py"),
    )
    for name in names:
        repo.write(name)
    subprocess.run(["git", "init", "-q", str(repo.root)], check=True)
    listed = subprocess.run(
        ["git", "-c", "core.excludesFile=", "-C", str(repo.root), "ls-files", "-o", "--exclude-standard", "-z"],
        check=True,
        capture_output=True,
    )
    assert sorted(walked(repo)) == sorted(os.fsdecode(name) for name in listed.stdout.split(b"\0") if name)


def test_a_repository_cannot_bring_secrets_back(repo: Repo) -> None:
    repo.write(".gitignore", "!.env\n!*.pem\n")
    for path in (".env", "key.pem", ".env.example", "node_modules/a.js", "a/__pycache__/b.py"):
        repo.write(path)
    assert walked(repo) == [".env.example", ".gitignore"]


def test_links_are_never_followed(repo: Repo) -> None:
    repo.write("a/b/file.py")
    (repo.root / "a" / "b" / "loop").symlink_to(repo.root / "a")
    (repo.root / "passwd").symlink_to("/etc/passwd")
    assert walked(repo) == ["a/b/file.py"]
    assert skipped(repo) == {"a/b/loop": "a symbolic link", "passwd": "a symbolic link"}


def test_another_repository_inside_is_left_out(repo: Repo) -> None:
    repo.write(".git/HEAD")
    repo.write("vendored/.git", "gitdir: elsewhere")
    repo.write("vendored/code.py")
    repo.write("own.py")
    assert walked(repo) == ["own.py"]
    assert skipped(repo) == {"vendored": "another git repository"}
    assert rules(repo).ignored("vendored/code.py")


def test_odd_names_and_kinds_are_reported(repo: Repo) -> None:
    os.mkfifo(repo.root / "pipe.py")
    (repo.root / os.fsdecode(b"caf\xe9.py")).touch()
    repo.write("naïve file.py")
    assert walked(repo) == ["naïve file.py"]
    assert skipped(repo) == {"pipe.py": "not a regular file", "caf\\udce9.py": "its name is not UTF-8"}


def test_a_changed_ignore_file_counts_after_forget(repo: Repo) -> None:
    one = rules(repo)
    assert not one.ignored("notes.txt")
    repo.write(".gitignore", "*.txt\n")
    one.forget()
    assert one.ignored("notes.txt")


def test_an_empty_repository_has_no_files_and_a_missing_one_is_an_error(repo: Repo) -> None:
    assert walked(repo) == []
    repo.root.rmdir()
    with pytest.raises(RepositoryError, match="cannot be read"):
        walked(repo)


def test_a_hostile_ignore_file_costs_nothing_but_itself(repo: Repo) -> None:
    os.mkfifo(repo.root / ".gitignore")
    repo.write("sub/.gitignore", b"\xff\xfe\0!\n[\n*.log\n")
    repo.write("sub/a.log")
    repo.write("sub/a.py")
    assert [path for path in walked(repo) if not path.endswith(".gitignore")] == ["sub/a.py"]


@given(
    st.lists(st.text("ab*?/![]^\\# .(P<>:|", max_size=8), max_size=6),
    st.text("ab/.", min_size=1, max_size=10).map(lambda path: path.strip("/") or "a"),
)
def test_the_quick_look_at_all_patterns_agrees_with_each(lines: list[str], path: str) -> None:
    with TemporaryDirectory() as root:
        Path(root, ".gitignore").write_text("\n".join(lines), encoding="utf-8")
        each = [GitIgnoreSpec.from_lines([line]) for line in lines if _holds(line)]
        verdicts = [spec.check_file(path).include for spec in each]
        if all(verdict is None for verdict in verdicts):
            assert not IgnoreRules(Path(root), []).ignored(path)
        elif all(verdicts) and "/" not in path:
            assert IgnoreRules(Path(root), []).ignored(path)


def _holds(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except GitIgnorePatternError:
        return False
    return True


def test_a_directory_below_is_walked_alone_and_each_is_told_before_it_is_listed(repo: Repo) -> None:
    for path in ("a/b/x.py", "a/y.py", "c/z.py", "node_modules/m.js"):
        repo.write(path)
    entered: list[str] = []
    found = [one.path for one in rules(repo).walk("a", entered.append) if isinstance(one, Found)]
    assert found == ["a/y.py", "a/b/x.py"]
    assert entered == ["a", "a/b"]
    (repo.root / "link").symlink_to(repo.root / "c")
    for nothing in ("gone", "node_modules", "link", "c/z.py"):
        assert list(rules(repo).walk(nothing)) == []


def test_the_exclude_file_of_a_worktree_counts(tmp_path: Path) -> None:
    main, tree = tmp_path / "main", Repo(tmp_path / "tree")
    subprocess.run(["git", "init", "-q", str(main)], check=True)
    git = ["git", "-C", str(main), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run([*git, "worktree", "add", "-q", str(tree.root)], check=True)
    (main / ".git" / "info" / "exclude").write_text("private*\n")
    tree.write("private.txt")
    tree.write("public.txt")
    assert walked(tree) == ["public.txt"]
