"""What Landlock refuses and what it leaves, on this kernel. Every attempt is made by a child, once without the rules and once with,
as the user who runs the tests and, where that is root, as another one too."""

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent import linux
from offline_agent.guard.landlock import (
    gaps,
    private_directory,
    private_environment,
    restrict,
    rules,
    ungoverned,
)
from offline_agent.guard.view import View

VERSION = linux.landlock_version()
MACHINE = linux.this_machine()
NOBODY = 65534
USERS = [os.geteuid(), NOBODY] if os.geteuid() == 0 else [os.geteuid()]
SECRET, COMMITTED = "open sesame", "open poppy"
SYSTEM = tuple(path for path in map(Path, ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache")) if path.exists())
DENIED = (".env", "alias", "conf/prod/.env", "keys")
PROTECTED = (".git/hooks", ".git/config", "ci.yml", ".vscode/tasks.json")
FILES = {
    ".env": SECRET,
    "conf/prod/.env": SECRET,
    "conf/prod/values": "values",
    "conf/app": "app",
    "keys/deep/private": SECRET,
    "README": "read me",
    "src/a": "a",
    "src/deep/b": "b",
    "lib/c": "c",
    ".git/hooks/pre-commit": "hook",
    ".git/config": "config",
    ".git/HEAD": "ref: refs/heads/main",
    ".git/objects/ab/cdef": COMMITTED,
    ".git/refs/heads/main": "1",
    "ci.yml": "ci",
}

needs_landlock = pytest.mark.skipif(VERSION < 1, reason="this kernel has no Landlock")


@dataclass(frozen=True)
class Scene:
    """A repository, a place outside with a secret, a private directory, and a process of the same user that is not confined."""

    root: Path
    outside: Path
    private: Path
    user: int
    victim: int
    view: View


Attempt = Callable[[Scene], object]


@pytest.fixture(params=USERS, ids=lambda user: f"user {user}")
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    user: int = request.param
    base = Path(tempfile.mkdtemp())  # pytest's own directories are closed to other users
    root = base / "repo"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    os.link(root / ".env", root / "alias")
    (root / "src" / "link").symlink_to("../.env")
    (base / "outside").mkdir()
    (base / "outside" / "secret").write_text(SECRET)
    (base / "private").mkdir()
    for path in [base, *base.rglob("*")]:
        os.chown(path, user, user if user == NOBODY else -1, follow_symlinks=False)
    who = {"user": user, "group": user, "extra_groups": []} if user == NOBODY else {}
    victim = subprocess.Popen(["sleep", "60"], env={"SECRET": SECRET}, cwd=base / "outside", **who)
    view = View(root, SYSTEM, (), DENIED, PROTECTED, {})
    yield Scene(root, base / "outside", base / "private", user, victim.pid, view)
    victim.kill()
    victim.wait()
    shutil.rmtree(base)


def tried(scene: Scene, attempt: Attempt, confined: bool = True, abi: int = VERSION, filtered: bool = False) -> str:
    """What the attempt gave, or why it failed, in a child that is confined before."""
    given = rules(scene.view, scene.private)
    reads, writes = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(writes, _attempted(scene, attempt, given if confined else None, abi, filtered).encode()[:60000])
        finally:
            os._exit(0)
    os.close(writes)
    with open(reads, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def _attempted(scene: Scene, attempt: Attempt, given: list[tuple[str, int]] | None, abi: int, filtered: bool) -> str:
    os.chdir(scene.root)
    if scene.user != os.geteuid():
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if given is not None:
        restrict(given, abi)
    if filtered:
        assert MACHINE is not None
        linux.no_new_privileges()
        linux.install(linux.assemble([*linux.begin(MACHINE), *ungoverned(MACHINE, abi), *linux.end()]))
    try:
        return f"done {attempt(scene)}"
    except OSError as error:
        return f"refused {errno.errorcode.get(error.errno or 0)}"


def shell(line: str) -> Attempt:
    def attempt(scene: Scene) -> str:
        environment = {"PATH": "/usr/bin:/bin", "OUTSIDE": str(scene.outside), **private_environment(scene.private)}
        os.makedirs(environment["TMPDIR"], exist_ok=True)
        command = ["/bin/bash", "-c", line]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False
        )
        return f"{done.returncode} {done.stdout}"

    return attempt


def moved_then_read(source: str, target: str, name: str = "") -> Attempt:
    def attempt(scene: Scene) -> str:
        os.rename(scene.root / source, scene.root / target)
        return (scene.root / target / name).read_text() if name else (scene.root / target).read_text()

    return attempt


def linked_then_read(scene: Scene) -> str:
    os.link(scene.root / ".env", scene.root / "src" / "new")
    return (scene.root / "src" / "new").read_text()


def by_directory(scene: Scene) -> str:
    with open(os.open(".env", os.O_RDONLY, dir_fd=os.open(scene.root, os.O_RDONLY))) as file:
        return file.read()


def by_path_descriptor(scene: Scene) -> str:
    return Path(f"/proc/self/fd/{os.open(scene.root / '.env', os.O_PATH)}").read_text()


READS: dict[str, Attempt] = {
    "by its name": lambda scene: (scene.root / ".env").read_text(),
    "further down": lambda scene: (scene.root / "conf/prod/.env").read_text(),
    "in a denied directory": lambda scene: (scene.root / "keys/deep/private").read_text(),
    "a symbolic link": lambda scene: (scene.root / "src/link").read_text(),
    "a hard link made before": lambda scene: (scene.root / "alias").read_text(),
    "a hard link made now": linked_then_read,
    "moved to a readable directory": moved_then_read(".env", "src/moved"),
    "renamed beside": moved_then_read(".env", "shown"),
    "its parent renamed": moved_then_read("conf/prod", "conf/other", ".env"),
    "its parent moved": moved_then_read("conf/prod", "src/prod", ".env"),
    "in place of a readable file": moved_then_read("conf/prod/.env", "README"),
    "through /proc/self/root": lambda scene: Path(f"/proc/self/root{scene.root}/.env").read_text(),
    "through /proc/self/cwd": lambda _: Path("/proc/self/cwd/.env").read_text(),
    "through ..": lambda scene: (scene.root / "src/../.env").read_text(),
    "by an open directory": by_directory,
    "by a path descriptor": by_path_descriptor,
    "cat": shell("cat .env"),
    "grep -r": shell("grep -r . ."),
    "cp -r": shell("cp -r . $HOME; cat $HOME/.env $HOME/conf/prod/.env"),
    "tar": shell("tar cf - . | tr -d '\\0'"),
    "mv": shell("mv .env src/moved; cat src/moved"),
    "bash": shell("echo $(< .env)"),
    "a link into the home": shell("mkdir -p $HOME; ln .env $HOME/x; cat $HOME/x"),
    "outside": lambda scene: (scene.outside / "secret").read_text(),
    "outside by a link made now": shell("mkdir -p $TMPDIR; ln -s $OUTSIDE/secret $TMPDIR/x; cat $TMPDIR/x"),
    "the environment of another process": lambda scene: Path(f"/proc/{scene.victim}/environ").read_bytes(),
    "the directory of another process": lambda scene: Path(f"/proc/{scene.victim}/cwd/secret").read_text(),
    "the root of another process": lambda scene: Path(f"/proc/{scene.victim}/root{scene.outside}/secret").read_text(),
}


@needs_landlock
@pytest.mark.parametrize("name", READS)
def test_what_is_denied_cannot_be_read(scene: Scene, name: str) -> None:
    assert SECRET not in tried(scene, READS[name])
    assert SECRET in tried(scene, READS[name], confined=False)


WRITES: dict[str, Attempt] = {
    "a file outside": lambda scene: (scene.outside / "secret").write_text("x"),
    "a new file outside": lambda scene: (scene.outside / "new").write_text("x"),
    "a file outside removed": lambda scene: (scene.outside / "secret").unlink(),
    "a file outside emptied": lambda scene: os.truncate(scene.outside / "secret", 0),
    "a file moved out": lambda scene: os.rename(scene.root / "src/a", scene.outside / "a"),
    "a file linked out": lambda scene: os.link(scene.root / "src/a", scene.outside / "a"),
    "a directory outside": lambda scene: (scene.outside / "new").mkdir(),
    "a link outside": lambda scene: (scene.outside / "new").symlink_to("/"),
    "through /proc/self/root": lambda scene: Path(f"/proc/self/root{scene.outside}/new").write_text("x"),
    "a hook": lambda scene: (scene.root / ".git/hooks/pre-commit").write_text("x"),
    "a new hook": lambda scene: (scene.root / ".git/hooks/new").write_text("x"),
    "a hook moved in": lambda scene: os.rename(scene.root / "src/a", scene.root / ".git/hooks/new"),
    "a hook linked in": lambda scene: os.link(scene.root / "src/a", scene.root / ".git/hooks/new"),
    "a hook that is a link": lambda scene: (scene.root / ".git/hooks/new").symlink_to("../../src/a"),
    "a hook removed": lambda scene: (scene.root / ".git/hooks/pre-commit").unlink(),
    "the hooks moved away": lambda scene: os.rename(scene.root / ".git/hooks", scene.root / "src/hooks"),
    "git moved away": lambda scene: os.rename(scene.root / ".git", scene.root / "src/git"),
    "git renamed": lambda scene: os.rename(scene.root / ".git", scene.root / "git"),
    "git's configuration": lambda scene: (scene.root / ".git/config").write_text("x"),
    "git's configuration replaced": lambda scene: os.rename(scene.root / "src/a", scene.root / ".git/config"),
    "git's configuration emptied": lambda scene: os.truncate(scene.root / ".git/config", 0),
    "an opened configuration emptied": lambda scene: os.open(scene.root / ".git/config", os.O_RDONLY | os.O_TRUNC),
    "a protected file at the top": lambda scene: (scene.root / "ci.yml").write_text("x"),
    "a protected file replaced": shell("echo x > src/x; mv -f src/x ci.yml"),
    "a denied file": lambda scene: (scene.root / ".env").write_text("x"),
    "a denied file removed": lambda scene: (scene.root / ".env").unlink(),
    "a denied file replaced": lambda scene: os.rename(scene.root / "README", scene.root / ".env"),
    "what is protected and missing": shell("mkdir .vscode; echo x > .vscode/tasks.json"),
    "the same, moved in place": shell("mkdir src/v; echo x > src/v/tasks.json; mv src/v .vscode"),
}


def kept(scene: Scene) -> dict[str, str]:
    """All that may not change, with its content."""
    places = [scene.outside, *(scene.root / name for name in (*DENIED, *PROTECTED))]
    files = [path for place in places for path in [place, *place.rglob("*")] if os.path.lexists(path)]
    return {str(path): path.read_text() if path.is_file() else "" for path in files}


@needs_landlock
@pytest.mark.parametrize("name", WRITES)
def test_what_is_outside_denied_or_protected_cannot_be_changed(scene: Scene, name: str) -> None:
    before = kept(scene)
    tried(scene, WRITES[name])
    assert kept(scene) == before
    tried(scene, WRITES[name], confined=False)
    assert kept(scene) != before


@needs_landlock
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cat README", "0 read me"),
        ("cat conf/prod/values conf/app ci.yml .git/hooks/pre-commit", "0 valuesappcihook"),
        ("echo new > README; cat README", "0 new\n"),
        ("echo new > src/n; mkdir -p src/x/y; mv src/n src/x/y/m; cat src/x/y/m; rm -r src/x", "0 new\n"),
        ("ls -A conf/prod", "0 .env\nvalues\n"),
        ("echo 'echo ran' > src/s; chmod +x src/s; src/s", "0 ran\n"),
        ("echo 1 > .git/refs/heads/other; cat .git/refs/heads/other", "0 1\n"),
        ("mkdir -p $HOME; cd; echo here > file; cat ~/file", "0 here\n"),
        ("echo x > $(mktemp); echo $?", "0 0\n"),
        ("echo x > /dev/null; head -c 2 /dev/zero | wc -c", "0 2\n"),
        ("cat <(echo from a pipe)", "0 from a pipe\n"),
        ("echo x > new 2> /dev/null; echo x > conf/new 2> /dev/null; ls new conf/new 2> /dev/null", "2 "),
        ("grep -c ^Name: /proc/self/status", "0 1\n"),
        ("sleep 30 & kill $!; wait $!; echo $?", "0 143\n"),
    ],
)
def test_the_rest_is_as_usual(scene: Scene, line: str, said: str) -> None:
    assert tried(scene, shell(line)) == f"done {said}"


@needs_landlock
@pytest.mark.skipif(VERSION < 2, reason="this Landlock lets nothing be moved to another directory")
def test_a_file_moves_between_directories_with_the_same_rights(scene: Scene) -> None:
    assert tried(scene, lambda scene: os.rename(scene.root / "src/a", scene.root / "lib/a")) == "done None"
    assert (scene.root / "lib/a").read_text() == "a"


@needs_landlock
def test_without_anything_to_hide_the_top_is_as_usual(scene: Scene) -> None:
    free = Scene(
        scene.root,
        scene.outside,
        scene.private,
        scene.user,
        scene.victim,
        View(scene.root, SYSTEM, (), (), (), {}),
    )
    assert tried(free, shell("echo x > new; mkdir d; mv new d/n; cat d/n .env")) == f"done 0 x\n{SECRET}"


@needs_landlock
def test_history_is_hidden_where_the_view_hides_it(scene: Scene) -> None:
    line = shell("cat .git/HEAD .git/objects/ab/cdef")
    assert COMMITTED in tried(scene, line)
    view = View(scene.root, SYSTEM, (), DENIED, PROTECTED, {}, hide_history=True)
    hidden = Scene(scene.root, scene.outside, scene.private, scene.user, scene.victim, view)
    assert tried(hidden, line) == "done 1 ref: refs/heads/main"


@needs_landlock
def test_what_lies_in_a_readable_directory_is_denied_there_too(scene: Scene) -> None:
    view = View(scene.root, (*SYSTEM, scene.root.parent), (), (*DENIED, str(scene.outside)), PROTECTED, {})
    wide = Scene(scene.root, scene.outside, scene.private, scene.user, scene.victim, view)
    for name in ("by its name", "outside", "a symbolic link"):
        assert tried(wide, READS[name]) == "refused EACCES"


@needs_landlock
def test_where_a_link_with_a_denied_name_leads_is_denied(scene: Scene) -> None:
    (scene.root / ".env").unlink()
    (scene.root / ".env").symlink_to("src/a")
    assert tried(scene, shell("cat src/a src/deep/b")) == "done 1 b"


@needs_landlock
@pytest.mark.skipif(VERSION < 6, reason="this Landlock has no scopes")
@pytest.mark.parametrize("number", [0, signal.SIGCONT])
def test_processes_outside_get_no_signals(scene: Scene, number: int) -> None:
    def attempt(scene: Scene) -> None:
        os.kill(scene.victim, number)

    assert tried(scene, attempt) == "refused EPERM"
    assert tried(scene, attempt, confined=False) == "done None"


@needs_landlock
@pytest.mark.skipif(VERSION < 6, reason="this Landlock has no scopes")
def test_processes_outside_cannot_be_talked_to(scene: Scene) -> None:
    with socket.socket(socket.AF_UNIX) as abstract, socket.create_server(("127.0.0.1", 0)) as server:
        abstract.bind("")
        abstract.listen()
        for family, address in ((socket.AF_UNIX, abstract.getsockname()), (socket.AF_INET, server.getsockname())):

            def attempt(_: Scene, family: int = family, address: object = address) -> None:
                with socket.socket(family) as client:
                    client.connect(address)

            assert tried(scene, attempt).startswith("refused E")
            assert tried(scene, attempt, confined=False) == "done None"


@needs_landlock
def test_no_capability_is_left(scene: Scene) -> None:
    said = tried(scene, shell("grep CapEff /proc/self/status"))
    assert int(said.split()[-1], 16) == 0


# --- what the filter adds ------------------------------------------------------------------------------------------


def local_socket(scene: Scene) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(scene.root / "src/listens"))


def made_with_mode(mode: int) -> Attempt:
    def attempt(scene: Scene) -> None:
        os.close(os.open(scene.root / "src/new", os.O_CREAT | os.O_WRONLY, mode))

    return attempt


FILTERED: dict[str, tuple[Attempt, str]] = {
    "a socket in the file system": (local_socket, "refused EPERM"),
    "set-user-ID": (lambda scene: os.chmod(scene.root / "src/a", 0o4755), "refused EPERM"),
    "set-group-ID": (lambda scene: os.fchmod(os.open(scene.root / "src/a", os.O_RDONLY), 0o2755), "refused EPERM"),
    "set-user-ID when made": (made_with_mode(0o4755), "refused EPERM"),
    "extended attributes": (lambda scene: os.setxattr(scene.root / "src/a", "user.x", b"y"), "refused ENOTSUP"),
}


@needs_landlock
@pytest.mark.skipif(MACHINE is None, reason="no filter for this machine")
@pytest.mark.parametrize("name", FILTERED)
def test_what_landlock_does_not_govern_is_filtered(scene: Scene, name: str) -> None:
    attempt, said = FILTERED[name]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(scene.root / "src/listens"))
        os.chown(scene.root / "src/listens", scene.user, -1)
        server.listen()
        assert tried(scene, attempt, filtered=True) == said
        assert tried(scene, attempt) == "done None"


@needs_landlock
@pytest.mark.skipif(MACHINE is None, reason="no filter for this machine")
def test_ordinary_modes_and_pairs_of_sockets_are_not_filtered(scene: Scene) -> None:
    assert tried(scene, lambda scene: os.chmod(scene.root / "src/a", 0o755), filtered=True) == "done None"
    assert tried(scene, made_with_mode(0o755), filtered=True) == "done None"
    assert tried(scene, lambda _: len(socket.socketpair()), filtered=True) == "done 2"


@needs_landlock
@pytest.mark.skipif(MACHINE is None, reason="no filter for this machine")
@pytest.mark.parametrize("abi", range(1, VERSION + 1))
def test_with_every_version_nothing_is_read_or_changed(scene: Scene, abi: int) -> None:
    before = kept(scene)
    reading = [
        "by its name",
        "moved to a readable directory",
        "a hard link made now",
        "the environment of another process",
    ]
    said = [tried(scene, READS[name], abi=abi, filtered=True) for name in reading]
    assert not [one for one in said if SECRET in one]
    for name in WRITES:
        tried(scene, WRITES[name], abi=abi, filtered=True)
    assert kept(scene) == before


def test_a_person_is_told_what_an_older_version_lacks() -> None:
    told = [len(gaps(abi)) for abi in range(1, 8)]
    assert told == sorted(told, reverse=True)
    assert "signalling" in " ".join(gaps(5))
    assert "signalling" not in " ".join(gaps(6))


# --- rules, as values ----------------------------------------------------------------------------------------------

NAMES = st.sampled_from("abc")
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def effective(given: list[tuple[str, int]], path: Path) -> int:
    """The rights that Landlock adds up on the way to a path."""
    here = {str(path), *map(str, path.parents)}
    rights = 0
    for place, some in given:
        rights |= some if place in here else 0
    return rights


@given(st.sets(PATHS, max_size=12), st.sets(PATHS, max_size=3), st.sets(PATHS, max_size=3))
def test_exceptions_get_nothing_and_all_else_everything(paths: set[str], denied: set[str], protected: set[str]) -> None:
    with tempfile.TemporaryDirectory() as base:
        root = Path(os.path.realpath(base))
        for path in sorted(paths | denied):
            if not any((root / parent).is_file() for parent in [path, *map(str, Path(path).parents)]):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                if not (root / path).exists():
                    (root / path).touch()
        given = rules(View(root, (), (), tuple(denied), tuple(protected), {}))
        hidden, closed = [{root / path for path in some} for some in (denied, protected)]
        for file in (path for path in root.rglob("*") if path.is_file()):
            rights, way = effective(given, file), {file, *file.parents}
            assert bool(rights & linux.READ_FILE) == (not way & hidden)
            assert bool(rights & linux.WRITE_FILE) == (not way & (hidden | closed))
        for exception in (path for path in hidden | closed if path.parent.is_dir()):
            assert not effective(given, exception) & (linux.WRITE_FILE | linux.REMOVE_FILE | linux.MAKE_REG)


def test_links_get_no_rule_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / ".env").touch()
    given = dict(rules(View(tmp_path, (), (), (".env",), (), {})))
    assert str(tmp_path / "link") not in given
    assert "/etc" not in given


# --- the private directory -----------------------------------------------------------------------------------------


def test_the_private_directory_goes_whatever_was_left_in_it(tmp_path: Path) -> None:
    kept_file = tmp_path / "kept"
    kept_file.write_text("kept")
    kept_file.chmod(0o640)
    with private_directory() as private:
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        home = Path(private_environment(private)["HOME"])
        (home / "link").symlink_to(tmp_path)
        (home / "shut").mkdir()
        (home / "shut" / "file").touch()
        (home / "shut").chmod(0)
        here = os.open(home, os.O_RDONLY)
        for _ in range(30):  # far longer than a path can be
            os.mkdir("deep" * 50, dir_fd=here)
            deeper = os.open("deep" * 50, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        os.close(here)
    assert not private.exists()
    assert kept_file.read_text() == "kept"
    assert stat.S_IMODE(kept_file.stat().st_mode) == 0o640
