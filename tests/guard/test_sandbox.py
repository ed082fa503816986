"""Commands in the sandbox, by each mechanism that this machine has."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from offline_agent.actions import Command
from offline_agent.errors import GuardError, SandboxUnavailable
from offline_agent.guard.sandbox import CommandSandbox
from offline_agent.guard.touch import FileWatcher
from tests.guard.sandboxes import MECHANISMS, PYTHON, repository, run, sandbox

PROJECT = Path(__file__).parents[2]
bubblewrap_only = pytest.mark.skipif("bubblewrap" not in MECHANISMS, reason="bubblewrap does not work here")
root_only = pytest.mark.skipif(os.getuid() != 0, reason="takes root")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path / "repository")


@pytest.fixture(params=MECHANISMS)
def either(request: pytest.FixtureRequest, root: Path) -> Iterator[CommandSandbox]:
    made = sandbox(root, request.param)
    yield made
    made.close()


@pytest.fixture
def walled(root: Path) -> Iterator[CommandSandbox]:
    """With bubblewrap."""
    made = sandbox(root, "bubblewrap")
    yield made
    made.close()


def test_it_holds_and_says_what_was_tried(either: CommandSandbox) -> None:
    assert either.report.mechanism in MECHANISMS
    assert either.report.holds
    assert len(either.report.canaries) > 8


def test_a_command_runs_in_the_repository(either: CommandSandbox, root: Path) -> None:
    ran = run(either, "pwd; ls; exit 3")
    assert (ran.exit_code, ran.ended) == (3, "itself")
    assert ran.output == f"{root}\ncode.py\nsrc\n"
    assert run(either, "pwd", directory="src").output == f"{root}/src\n"


def test_output_is_shown_as_it_comes(either: CommandSandbox) -> None:
    shown: list[str] = []
    ran = either.run(Command(line="printf 'caf\\303'; sleep 0.1; printf '\\251\\377'"), output=shown.append)
    assert "".join(shown) == ran.output == "caf\u00e9\ufffd"


DENIED_BY = [
    "cat .env",
    "cat < .env",
    "grep -r verysecret .",
    f"{PYTHON} -c 'print(open(\".env\").read())'",
    "ln -s .env src/l; cat src/l",
    "ln .env src/h; cat src/h",
    "cat src/known",
    "cp -r . $TMPDIR/x 2>/dev/null || cp -r . ~/x; cat $TMPDIR/x/.env ~/x/.env",
    "tar c . | strings",
    "mv .env src/moved; cat src/moved",
    "cat /proc/self/root$PWD/.env /proc/self/cwd/.env",
    "chmod 777 .env; dd if=.env",
    "exec 9<.env; cat <&9",
]


@pytest.mark.parametrize("line", DENIED_BY)
def test_a_denied_file_cannot_be_read(either: CommandSandbox, root: Path, line: str) -> None:
    os.link(root / ".env", root / "src" / "known")
    assert "verysecret" in subprocess.run(["bash", "-c", "cat .env"], cwd=root, capture_output=True, text=True).stdout
    assert "verysecret" not in run(either, line, ".env", *(["src/known"] if "known" in line else [])).output


def test_a_denied_directory_cannot_be_read(either: CommandSandbox, root: Path) -> None:
    (root / "keys").mkdir()
    (root / "keys" / "one").write_text("verysecret")
    assert "verysecret" not in run(either, "cat keys/*; cat keys/one; chmod 777 keys; cat keys/one", "keys").output


def test_what_a_denied_link_leads_to_cannot_be_read_either(either: CommandSandbox, root: Path) -> None:
    (root / "real").write_text("verysecret")
    (root / "id_rsa").symlink_to("real")
    assert "verysecret" not in run(either, "cat id_rsa real", "id_rsa").output


def test_what_is_gone_by_now_is_no_error(either: CommandSandbox) -> None:
    assert run(either, "echo fine", "gone", "src/gone/too").output == "fine\n"


@bubblewrap_only
def test_a_parent_of_a_denied_file_cannot_be_moved_aside(walled: CommandSandbox, root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / ".env").write_text("verysecret")
    ran = run(walled, "mv a c; mv a/b c; cat c/b/.env c/.env a/b/.env", "a/b/.env")
    assert "verysecret" not in ran.output
    assert (root / "a" / "b" / ".env").read_text() == "verysecret"


@pytest.mark.parametrize(
    "line",
    [
        "echo x > .git/hooks/pre-commit",
        "rm -rf .git/hooks",
        "mv .git/hooks .git/x; mkdir .git/hooks; echo x > .git/hooks/pre-commit",
        "mv .git x; mkdir -p .git/hooks; echo x > .git/hooks/pre-commit",
        "git config core.hooksPath /tmp",
        "git config core.fsmonitor ./code.py",
        "sed -i s/bare/x/ .git/config",
        "chmod 777 .git/hooks/pre-commit && test $(stat -c %a .git/hooks/pre-commit) != 777; echo y >> .git/hooks/pre-commit",
    ],
)
def test_hooks_and_configuration_are_not_changed(either: CommandSandbox, root: Path, line: str) -> None:
    before = {name: (root / ".git" / name).read_bytes() for name in ("hooks/pre-commit", "config")}
    run(either, line)
    assert {name: (root / ".git" / name).read_bytes() for name in before} == before
    assert sorted(os.listdir(root)) == [".env", ".git", "code.py", "src"]


@bubblewrap_only
def test_what_would_run_later_is_removed_and_told(walled: CommandSandbox, root: Path) -> None:
    ran = run(walled, "mkdir -p .vscode .github/workflows; echo x > .vscode/tasks.json; echo done")
    assert ran.output.startswith("done\n[sandbox: ")
    assert ".vscode was made and has been removed" in ran.output
    assert sorted(os.listdir(root)) == [".env", ".git", "code.py", "src"]


@bubblewrap_only
def test_protection_can_be_switched_off(root: Path) -> None:
    made = sandbox(root, "bubblewrap", protect=False)
    run(made, "mkdir .vscode; echo x > .git/hooks/pre-commit")
    made.close()
    assert (root / ".git" / "hooks" / "pre-commit").read_text() == "x\n"
    assert (root / ".vscode").is_dir()


@bubblewrap_only
def test_git_works(walled: CommandSandbox, root: Path) -> None:
    line = "git checkout -q -b more && echo y >> code.py && git commit -qam second && git log --format='%s %an'"
    ran = run(walled, line, ".env")
    assert ran.output.splitlines()[:2] == ["second offline-agent", "first A"]
    assert (
        subprocess.run(["git", "-C", root, "rev-parse", "--abbrev-ref", "HEAD"], capture_output=True, text=True).stdout
        == "more\n"
    )


def test_history_is_hidden_where_a_denied_file_was_committed(root: Path) -> None:
    git = ["git", "-C", str(root), "-c", "user.name=A", "-c", "user.email=a@b"]
    subprocess.run([*git, "add", ".env"], check=True)
    subprocess.run([*git, "commit", "-qm", "oops"], check=True)
    made = CommandSandbox(root, sandbox(root)._settings, os.environ, Path.home(), history=lambda path: path == ".env")
    ran = made.run(Command(line="git show HEAD:.env; git cat-file -p HEAD:.env"), [".env"])
    again = made.run(Command(line="true"), [".env"])
    made.close()
    assert "verysecret" not in ran.output
    assert "[sandbox: " in ran.output
    assert again.output == ""


def test_history_is_shown_where_nothing_is_in_it(root: Path) -> None:
    made = CommandSandbox(root, sandbox(root)._settings, os.environ, Path.home(), history=lambda path: path == ".env")
    assert made.run(Command(line="git show HEAD:code.py"), [".env"]).output == "print('hello')\n"
    made.close()


@pytest.mark.parametrize(("history", "shown"), [("hide", False), ("show", True)])
def test_the_settings_decide_on_history(root: Path, history: str, shown: bool) -> None:
    made = sandbox(root, history=history)
    assert ("hello" in run(made, "git show HEAD:code.py").output) == shown
    made.close()


def test_the_environment_is_a_list(root: Path) -> None:
    environ = {**os.environ, "SECRET_TOKEN": "verysecret", "LANG": "C.UTF-8", "KEEP": "1"}
    made = sandbox(root, environ=environ, environment=("KEEP",))
    output = run(made, "env; tr '\\0' '\\n' </proc/self/environ").output
    made.close()
    assert "verysecret" not in output
    assert {"LANG=C.UTF-8", "KEEP=1"} <= set(output.split("\n"))


@bubblewrap_only
def test_home_and_tmp_are_empty_and_leave_nothing(walled: CommandSandbox) -> None:
    assert run(walled, "ls -A ~; echo x > ~/f; echo y > /tmp/f; ls ~ /tmp/f").output == "/tmp/f\n\n/home/agent:\nf\n"
    assert run(walled, "ls -A ~; cat /tmp/f").output == "cat: /tmp/f: No such file or directory\n"


@bubblewrap_only
def test_what_is_in_memory_is_limited(root: Path) -> None:
    made = sandbox(root, "bubblewrap", file_megabytes=1)
    ran = run(
        made,
        "for d in /tmp ~ /dev/shm; do for i in 1 2; do head -c 900K /dev/zero > $d/$i || echo full; done; done",
    )
    made.close()
    assert ran.output.count("full") == 3


def test_a_person_can_show_directories(root: Path, tmp_path: Path) -> None:
    for name in ("data", "cache"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "f").write_text("here\n")
    made = sandbox(root, readable=(tmp_path / "data",), writable=(tmp_path / "cache",))
    ran = run(
        made, f"cat {tmp_path}/data/f; echo x > {tmp_path}/cache/g; echo y > {tmp_path}/data/f; cat {tmp_path}/cache/g"
    )
    made.close()
    assert ran.output.startswith("here\n")
    assert (tmp_path / "cache" / "g").read_text() == "x\n"
    assert (tmp_path / "data" / "f").read_text() == "here\n"


def test_a_limit_ends_a_command(root: Path) -> None:
    made = sandbox(root, output_megabytes=1, processes=30)
    assert run(made, "sleep 100", seconds=0.2).ended == "time"
    assert run(made, "for i in {1..80}; do sleep 100 & done; wait").ended == "processes"
    ended = run(made, "yes")
    made.close()
    assert (ended.ended, ended.exit_code) == ("output", 137)


def test_no_process_of_a_command_is_left(either: CommandSandbox, root: Path) -> None:
    run(
        either,
        "(setsid bash -c 'while :; do date +%s%N > src/alive; sleep 0.02; done' &); until [ -s src/alive ]; do :; done",
    )
    before = (root / "src" / "alive").read_text()
    run(either, "sleep 0.1")
    assert (root / "src" / "alive").read_text() == before


def test_a_command_cannot_end_what_watches_over_it(either: CommandSandbox) -> None:
    line = (
        "kill -9 -1; for p in /proc/[0-9]*; do [ ${p#/proc/} = $$ ] || kill -9 ${p#/proc/}; done 2>/dev/null; sleep 100"
    )
    assert run(either, line, seconds=1).ended == "time"
    assert run(either, "echo again").output == "again\n"


def test_a_watcher_sees_what_is_about_to_change(either: CommandSandbox, root: Path) -> None:
    touched: list[str] = []
    watcher = FileWatcher(root, touched.append, touched.append)
    if not watcher.program:
        pytest.skip(watcher.problem)
    ran = either.run(Command(line="echo x > src/more.py; cat code.py; ls /proc/self/fd"), watcher=watcher)
    assert (touched, ran.exit_code, ran.unseen) == (["src/more.py"], 0, False)
    assert run(either, "echo y > src/more.py").unseen


def test_nothing_can_be_changed_without_the_watcher(either: CommandSandbox, root: Path) -> None:
    def refuse(path: str) -> None:
        raise OSError(28, "No space left on device")

    watcher = FileWatcher(root, refuse, refuse)
    if not watcher.program:
        pytest.skip(watcher.problem)
    either.run(Command(line="echo x > src/more.py"), watcher=watcher)
    assert (root / "src" / "more.py").read_text() == "x = 1\n"


class Failing(FileWatcher):
    def attach(self, listener: int) -> None:
        os.close(listener)
        raise KeyboardInterrupt


def test_a_watcher_that_cannot_attach_stops_the_command(either: CommandSandbox, root: Path) -> None:
    watcher = Failing(root, print, print)
    if not watcher.program:
        pytest.skip(watcher.problem)
    with pytest.raises(KeyboardInterrupt):
        either.run(Command(line="echo x > src/more.py; sleep 100"), watcher=watcher)
    assert (root / "src" / "more.py").read_text() == "x = 1\n"
    assert run(either, "echo again").output == "again\n"


@pytest.mark.parametrize(
    "command",
    [
        Command(line="a\0b"),
        Command(line="x" * 200_000),
        Command(line="true", directory="nowhere"),
        Command(line="true", directory="/proc"),
    ],
)
def test_a_command_that_cannot_be_started_is_refused(either: CommandSandbox, command: Command) -> None:
    with pytest.raises(GuardError):
        either.run(command)


def test_none_is_said_loudly_and_runs(root: Path) -> None:
    made = sandbox(root, "none")
    assert (made.report.mechanism, made.report.holds) == ("none", False)
    assert "not confined" in made.report.problem
    assert run(made, "cat .env", ".env").output == "TOKEN=verysecret\n"
    assert run(made, "sleep 100", seconds=0.1).ended == "time"
    made.close()


@pytest.mark.skipif("landlock" not in MECHANISMS, reason="Landlock does not work here")
def test_without_bubblewrap_landlock_takes_over_and_it_is_said(root: Path) -> None:
    made = sandbox(root, environ={"PATH": "/not/there"})
    assert (made.report.mechanism, made.report.holds) == ("landlock", True)
    assert "apt-get install bubblewrap" in made.report.problem
    assert run(made, "echo fine").output == "fine\n"
    made.close()


def test_where_nothing_works_nothing_runs_and_it_is_said(root: Path) -> None:
    made = sandbox(root, "bubblewrap", environ={"PATH": "/not/there"})
    assert (made.report.mechanism, made.report.holds) == ("none", False)
    with pytest.raises(SandboxUnavailable, match="apt-get install bubblewrap"):
        run(made, "touch src/ran")
    made.close()
    assert not (root / "src" / "ran").exists()


def test_a_repository_that_is_the_home_directory_is_refused_and_it_is_said(home: Path) -> None:
    made = sandbox(home)
    assert "start in a directory further down" in made.report.problem
    with pytest.raises(SandboxUnavailable, match="further down"):
        run(made, "true")
    made.close()
    bare = sandbox(home, "none")
    assert run(bare, "pwd").output == f"{home}\n"
    bare.close()


def test_a_repository_inside_the_repository_has_its_history_hidden_too(root: Path) -> None:
    inner = repository(root / "inner")
    subprocess.run(["git", "-C", inner, "add", ".env"], check=True)
    denies = lambda path: path.endswith(".env")  # noqa: E731
    made = CommandSandbox(root, sandbox(root)._settings, os.environ, Path.home(), history=denies)
    ran = made.run(Command(line="git -C inner show :.env", directory="."), [".env", "inner/.env"])
    made.close()
    assert "verysecret" not in ran.output


# Prints the mechanism, the problem, and what a command says.
SCRIPT = """
import sys
from pathlib import Path
from tests.guard.sandboxes import run, sandbox
made = sandbox(Path(sys.argv[2]), sys.argv[1])
print(made.report.mechanism, all(canary.held for canary in made.report.canaries), made.report.problem)
if made.report.mechanism != "none":
    print(run(made, "cat .env; echo x > src/made; cat src/made; git log --format=%s", ".env").output)
made.close()
"""


def elsewhere(*command: str) -> list[str]:
    ran = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split("\n")


NO_NAMESPACES = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'


@pytest.mark.parametrize(("mechanism", "expected"), [("auto", "landlock"), ("bubblewrap", "none")])
@pytest.mark.skipif(MECHANISMS != ["bubblewrap", "landlock"], reason="takes both")
def test_where_there_are_no_user_namespaces_it_falls_back_or_refuses(root: Path, mechanism: str, expected: str) -> None:
    inside = ["unshare", "--user", "--map-root-user", "bash", "-c", NO_NAMESPACES, "bash"]
    said = elsewhere(*inside, sys.executable, "-c", SCRIPT, mechanism, str(root))
    assert said[0].startswith(f"{expected} True ")
    assert "bubblewrap could not start the command" in said[0]
    assert ("first" in said) == (expected == "landlock")


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can reach."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        yield Path(os.path.realpath(place))


@root_only
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_another_user_than_root(public: Path, mechanism: str) -> None:
    root, shown = repository(public / "repository"), public / "interpreter"
    shown.mkdir()
    for path in (root, *root.rglob("*")):
        shutil.chown(path, 65534, 65534)
    # That user must reach the interpreter, which may be in root's home: so it is shown in a mount namespace of its own.
    prefix, home = Path(os.path.realpath(sys.base_prefix)), Path("/root")
    script = ["set -e"]
    if prefix.is_relative_to(home):
        script += [f"mount --bind {prefix} {shown}", f"mount -t tmpfs -o mode=755 none {home}", f"mkdir -p {prefix}"]
        script += [f"mount --bind {shown} {prefix}"]
    script += ['exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent "$@"']
    inside = ["unshare", "--mount", "bash", "-c", "\n".join(script), "bash"]
    said = elsewhere(*inside, sys.executable, "-c", SCRIPT, mechanism, str(root))
    assert said[0].startswith(f"{mechanism} True ")
    assert [line for line in said[1:] if line and "denied" not in line] == ["x", "first"]
