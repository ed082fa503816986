"""On a real file system: what is denied is found, and what changed is seen."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.actions import Request
from offline_agent.guard.denied import DeniedFiles
from offline_agent.guard.opencode import parse_rules
from offline_agent.guard.permissions import decide
from offline_agent.guard.policy import Policy

LATER = 10**15  # ns: the directory is not one that has only just changed


def own(text: str) -> Policy:
    return Policy(own=parse_rules(text, "own", Path("/home/me")))


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")


def test_denied_files_are_found_wherever_they_are(tmp_path: Path) -> None:
    touch(
        tmp_path,
        ".env",
        "a/b/.ENV",
        "node_modules/x/.npmrc",
        "a/key.pem",
        ".ssh/any",
        "terraform.tfstate",
        ".venv/lib/c.pem",
    )
    touch(tmp_path, ".env.example", "a/b/c.py", "README.md", "env")
    found = DeniedFiles(tmp_path, Policy()).now()
    assert found == (
        *(".env", ".ssh/any", ".venv/lib/c.pem", "a/b/.ENV", "a/key.pem", "node_modules/x/.npmrc"),
        "terraform.tfstate",
    )


def test_the_persons_rules_count(tmp_path: Path) -> None:
    touch(tmp_path, ".env", "data/a.csv", "src/a.py")
    policy = own('{"permission": {"read": {"data/*": "deny", ".env": "allow"}}}')
    assert DeniedFiles(tmp_path, policy).now() == ("data/a.csv",)


def test_what_is_added_moved_or_removed_is_seen_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/x", "b/y", ".env")
    denied = DeniedFiles(tmp_path, Policy())
    assert denied.now() == (".env",)
    touch(tmp_path, "a/.env")
    assert denied.now() == (".env", "a/.env")
    (tmp_path / "a").rename(tmp_path / "c")
    (tmp_path / ".env").rename(tmp_path / "b" / ".env.local")
    assert denied.now() == ("b/.env.local", "c/.env")
    (tmp_path / "c" / ".env").unlink()
    assert denied.now() == ("b/.env.local",)


def test_a_time_that_is_set_back_hides_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "a/x", "b/y")
    denied = DeniedFiles(tmp_path, Policy(), clock=lambda: LATER)
    before = os.stat(tmp_path / "a")
    assert denied.now() == ()
    touch(tmp_path, "a/.env")
    os.utime(tmp_path / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert denied.now() == ("a/.env",)


def test_a_directory_that_did_not_change_is_not_listed_again(tmp_path: Path) -> None:
    touch(tmp_path, "a/.env", "b/y")
    denied = DeniedFiles(tmp_path, Policy(), clock=lambda: LATER)
    assert denied.now() == ("a/.env",)
    assert denied.listed == 3
    assert denied.now() == ("a/.env",)
    assert denied.listed == 3
    touch(tmp_path, "b/z")
    denied.now()
    assert denied.listed == 4


def test_a_directory_that_only_just_changed_is_listed_again(tmp_path: Path) -> None:
    touch(tmp_path, "a/.env")
    now = os.stat(tmp_path / "a").st_ctime_ns
    denied = DeniedFiles(tmp_path, Policy(), clock=lambda: now)
    denied.now()
    denied.now()
    assert denied.listed == 4


def test_hard_links_of_denied_files_are_denied_too(tmp_path: Path) -> None:
    touch(tmp_path, "a/.env", "b/y", "c/notes")
    denied = DeniedFiles(tmp_path, Policy(), clock=lambda: LATER)
    assert denied.now() == ("a/.env",)
    os.link(tmp_path / "a/.env", tmp_path / "b/innocent.txt")
    assert denied.now() == ("a/.env", "b/innocent.txt")
    assert denied.holds("b/innocent.txt")
    os.link(
        tmp_path / "c/notes", tmp_path / "a/x.pem"
    )  # now the file that was there first is another name of a denied one
    assert denied.now() == ("a/.env", "a/x.pem", "b/innocent.txt", "c/notes")


def test_what_a_denied_link_leads_to(tmp_path: Path) -> None:
    touch(tmp_path, "shared/production", "keys/one", "src/a.py")
    (tmp_path / ".env").symlink_to("shared/production")
    (tmp_path / ".ssh").symlink_to("keys")
    (tmp_path / ".env.local").symlink_to("/etc/hostname")
    (tmp_path / "a.pem").symlink_to("nowhere")
    (tmp_path / "ok").symlink_to("src")
    (tmp_path / ".gnupg").symlink_to("src/a.py")  # the rule is about what is below it,
    (tmp_path / "x.env").symlink_to("src")  # and this one about a file
    assert DeniedFiles(tmp_path, Policy()).now() == ("keys", "shared/production")


def test_a_link_to_what_may_be_read_does_not_close_it(tmp_path: Path) -> None:
    touch(tmp_path, "src/a.py", "lib/b.py")
    (tmp_path / "lib/link").symlink_to("../src")
    (tmp_path / ".gnupg").symlink_to(".")
    policy = own('{"permission": {"read": {"*": "deny", "src/*": "allow"}}}')
    assert DeniedFiles(tmp_path, policy).now() == ("lib/b.py",)


def test_of_git_only_what_holds_secrets_is_denied(tmp_path: Path) -> None:
    history = (".git/objects/aa/x.pem", ".git/refs/heads/x.key", ".git/logs/refs/heads/x.key")
    modules = (".git/modules/refs/HEAD", ".git/modules/refs/config", "sub/.git/HEAD")
    touch(
        tmp_path, ".git/HEAD", ".git/credentials", ".git/config", *history, *modules, "data/HEAD", "data/objects/x.pem"
    )
    (tmp_path / "sub/.git/config").write_text('[http]\n\textraheader = "AUTHORIZATION: basic eDp5"\n')
    denied = DeniedFiles(tmp_path, Policy())
    found = (".git/credentials", "data/objects/x.pem", "sub/.git/config")
    assert denied.now() == found
    remote = '[remote "origin"]\n\turl = https://me:hunter2@example.org/x.git\n'
    (tmp_path / ".git/modules/refs/config").write_text(remote)
    assert denied.now() == tuple(sorted((*found, ".git/modules/refs/config")))


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("url = https://github.com/a/b.git", False),
        ("url = https://me@example.org/a.git", False),
        ("url = git@github.com:a/b.git", False),
        ("url = ssh://git@example.org:22/a.git", False),
        ("[user]\n\temail = a@b.c", False),
        ("[credential]\n\thelper = store", False),
        ("url = https://me:hunter2@example.org/a.git", True),
        ("url = https://x-access-token@example.org/a.git", False),
        ("url = https://ghp_0123456789abcdefghijABCDEFGHIJ@github.com/a.git", True),
        ("url = http://:secret@example.org/a", True),
        ("extraHeader = x", True),
        ("[sendemail]\n\tsmtpPassword = x", True),
        ("[sendemail]\n\tsmtppass = x", True),
        ("[github]\n\ttoken = x", True),
        ("password=x", True),
    ],
)
def test_which_git_configuration_holds_a_credential(tmp_path: Path, text: str, held: bool) -> None:
    touch(tmp_path, ".git/HEAD")
    (tmp_path / ".git/config").write_text(text)
    assert DeniedFiles(tmp_path, Policy()).now() == ((".git/config",) if held else ())


def in_child(work: Callable[[], str]) -> str:
    """What `work` says as somebody who is not root, for whom permissions hold."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            os.write(writing, work().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody can come to."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name).resolve()


def test_a_directory_that_cannot_be_listed_is_denied_whole(public: Path) -> None:
    touch(public, "a/closed/x", "a/unsearchable/.git/config", "b/y")
    (public / "a" / "closed").chmod(0o000)
    (public / "a" / "unsearchable").chmod(0o444)
    said = in_child(lambda: repr(DeniedFiles(public, Policy()).now()))
    assert said == repr(("a/closed", "a/unsearchable/.git"))
    (public / "a" / "closed").chmod(0o755)
    (public / "a" / "unsearchable").chmod(0o755)


def test_names_that_are_not_utf8_are_given_as_they_are(tmp_path: Path) -> None:
    touch(tmp_path, os.fsdecode(b"\xff.pem"))
    [found] = DeniedFiles(tmp_path, Policy()).now()
    assert os.fsencode(found) == b"\xff.pem"


NAMES = st.sampled_from((".env", "a", "b.pem", "x.py", ".ssh", "d", ".ENV", "secrets.yml"))


@settings(max_examples=60)
@given(st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=8), st.data())
def test_they_are_the_files_that_rules_deny(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("tree")
    denied = DeniedFiles(root, Policy())
    for path in paths:
        where = root / path
        if not any((root / above).is_file() for above in Path(path).parents) and not where.is_dir():
            touch(root, path)
        elif where.is_dir() and data.draw(st.booleans()):
            where.rename(root / f"moved{len(os.listdir(root))}")
        files = (os.path.relpath(os.path.join(at, name), root) for at, _, names in os.walk(root) for name in names)
        expected = [
            one for one in files if decide([Request(permission="read", value=one)], Policy()).decision == "deny"
        ]
        assert denied.now() == tuple(sorted(expected))
