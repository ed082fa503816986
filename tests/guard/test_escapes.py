"""None of the attempts in escapes/ gets out of the sandbox, through either mechanism, by the user who runs the tests and, where
that is root, by another one; and each of them gets where it wants to without."""

import errno
import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from offline_agent import linux
from offline_agent.actions import Command
from offline_agent.errors import SandboxUnavailable
from offline_agent.guard.sandbox import CommandSandbox
from offline_agent.settings import SandboxSettings
from tests.guard.attempts import SECONDS, Attempts, Case, Seen, cases
from tests.guard.stage import Stage

REPOSITORY = Path(__file__).parents[2]
NOBODY = 65534
_NEW_USER = 0x10000000
CASES = cases()
MECHANISMS = ("bubblewrap", "landlock")
_USERS = ("this user", "another user") if os.geteuid() == 0 else ("this user",)
_DRIVER = "import sys; from tests.guard.test_escapes import drive; drive()"
Tried = dict[str, Seen | str]
"""By mechanism and case: what came of it, or why it was not made."""


def drive() -> None:
    """Makes all attempts and prints what came of each as JSON, for another user."""
    with Attempts() as attempts:
        made = {_name(how, case): _make(attempts, how, case) for how in ("open", *MECHANISMS) for case in CASES}
    print(json.dumps({name: one if isinstance(one, str) else one.model_dump() for name, one in made.items()}))


def _name(how: str, case: Case) -> str:
    return f"{how} {case.name}"


def _make(attempts: Attempts, how: str, case: Case) -> Seen | str:
    """What came of an attempt, or what it lacks."""
    if lacking := case.lacks(how):
        return f"needs {lacking}"
    if how == "open":
        return attempts.in_the_open(case)
    report = attempts.report(how)
    return attempts.confined(case, how) if report.mechanism == how else report.problem


class Users:
    """What is tried as this user is tried when a test asks for it. What is tried as another runs beside that."""

    def __init__(self, asked_for: Collection[str]) -> None:
        self._asked_for = asked_for
        self._attempts = Attempts()
        self._other: subprocess.Popen[bytes] | None = None
        self._said: Tried | None = None

    def __enter__(self) -> "Users":
        self._attempts.__enter__()
        if "another user" in self._asked_for and (python := _python_of_others()):
            self._other = subprocess.Popen(
                [python, "-c", _DRIVER],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env=_their_environment(),
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._other is not None and self._said is None:
            self._other.send_signal(signal.SIGINT)  # it still has to take its stage down
            self._other.communicate()
        self._attempts.__exit__(*_)

    def tried(self, user: str, how: str, case: Case) -> Seen | str:
        if user == "this user":
            return _make(self._attempts, how, case)
        if self._said is None:
            self._said = self._read()
        return self._said.get(_name(how, case), "no Python that another user may start has what is needed")

    def _read(self) -> Tried:
        if self._other is None:
            return {}
        output, errors = self._other.communicate(timeout=SECONDS * 10)
        assert self._other.returncode == 0, errors.decode()
        said = json.loads(output)
        return {name: one if isinstance(one, str) else Seen.model_validate(one) for name, one in said.items()}


def _python_of_others() -> str:
    """A Python that another user may start and that has what is needed; empty where there is none."""
    for python in filter(None, (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin"))):
        try:
            subprocess.run(
                [python, "-c", "import pytest, tests.guard.attempts"],
                check=True,
                capture_output=True,
                cwd="/",
                env=_their_environment(),
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return ""


def _their_environment() -> dict[str, str]:
    places = [str(REPOSITORY), *(path for path in sys.path if path.endswith("site-packages"))]
    return {
        "PYTHONPATH": os.pathsep.join(places),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/",
        "PATH": os.environ["PATH"],
    }


@pytest.fixture(scope="module")
def users(request: pytest.FixtureRequest) -> Iterator[Users]:
    with Users([user for user in _USERS if any(f"[{user}-" in item.nodeid for item in request.session.items)]) as users:
        yield users


def seen(users: Users, user: str, how: str, case: Case) -> Seen:
    what = users.tried(user, how, case)
    if isinstance(what, str):
        pytest.skip(what)
    return what


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("user", _USERS)
def test_an_attempt_fails_in_the_sandbox(users: Users, user: str, mechanism: str, case: Case) -> None:
    what = seen(users, user, mechanism, case)
    assert what.tried, what.output
    if mechanism == "landlock" and case.landlock != "held":
        assert what.signs, "the note in the case is out of date"
        return
    assert not what.signs, what.output
    assert what.ended == (case.ended or "itself"), what.output


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("user", _USERS)
def test_the_same_attempt_succeeds_without(users: Users, user: str, case: Case) -> None:
    what = seen(users, user, "open", case)
    assert what.signs, what.output


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_says_what_it_is(case: Case) -> None:
    assert case.landlock == "held" or case.landlock.startswith("not: ")
    assert bool(case.command) != bool(case.python)
    assert case.sign.model_dump(exclude_defaults=True)


# --- where there is less to confine with ---------------------------------------------------------------------------

NAMESPACES = ("unshare", "mount", "pivot_root", "setns")
"""Besides clone with its flags: what the usual container refuses by such a filter."""
_CONFINED = "import sys; from tests.guard.test_escapes import confine; confine(*sys.argv[1:])"


def confine(root: str, home: str, *missing: str) -> None:
    """Prints what confines commands, what it says, and what a command says, where the kernel lacks these calls."""
    machine = linux.this_machine()
    assert machine is not None
    steps = linux.begin(machine) + linux.on(machine.numbers(*missing), linux.refuse())
    if "unshare" in missing:
        steps += linux.on(machine.numbers("clone3"), linux.refuse(errno.ENOSYS))
        steps += linux.wherever(machine.calls["clone"], 0, _NEW_USER, linux.refuse())
    linux.no_new_privileges()
    linux.install(linux.assemble([*steps, *linux.end()]))
    sandbox = CommandSandbox(Path(root), SandboxSettings(), os.environ, Path(home))
    try:
        said = sandbox.run(Command(line="cat .env; cat README.md"), (".env",)).output
    except SandboxUnavailable as error:
        said = str(error)
    report = sandbox.report
    sandbox.close()
    print(json.dumps([report.mechanism, report.problem, said]))


def confined(stage: Stage, missing: tuple[str, ...], path: str = "/usr/bin:/bin") -> list[str]:
    environ = {**stage.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", _CONFINED, str(stage.root), str(stage.home), *missing]
    ran = subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True, check=True)
    said: list[str] = json.loads(ran.stdout)
    return said


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


needs_bubblewrap = pytest.mark.skipif(shutil.which("bwrap", path="/usr/bin:/bin") is None, reason="no bubblewrap")
needs_landlock = pytest.mark.skipif(linux.landlock_version() < 1, reason="this kernel has no Landlock")


@needs_bubblewrap
@needs_landlock
def test_in_a_container_without_namespaces_landlock_confines(stage: Stage) -> None:
    mechanism, problem, said = confined(stage, NAMESPACES)
    assert mechanism == "landlock"
    assert "user.max_user_namespaces" in problem
    assert "read me" in said
    assert stage.marker not in said


@needs_bubblewrap
def test_where_nothing_confines_nothing_runs(stage: Stage) -> None:
    mechanism, problem, said = confined(stage, (*NAMESPACES, "landlock_create_ruleset"))
    assert mechanism == "none"
    assert said == problem
    assert "user.max_user_namespaces" in said
    assert "This kernel has no Landlock" in said
    assert "read me" not in said


def test_what_to_install_is_named(stage: Stage) -> None:
    programs = stage.base / "bin"
    programs.mkdir()
    mechanism, _, said = confined(stage, ("landlock_create_ruleset",), str(programs))
    assert mechanism == "none"
    assert "apt-get install bubblewrap" in said
    assert "read me" not in said


# --- the terminal --------------------------------------------------------------------------------------------------

_TYPING = """
import fcntl
for path in ("/dev/tty", "/dev/pts/0", "/proc/self/fd/0", "/proc/self/fd/1"):
    try:
        with open(path, "r+b", buffering=0) as terminal:
            print("opened", terminal.isatty())
            fcntl.ioctl(terminal, 0x5412, b"x")
            print("typed")
    except OSError as error:
        print(error)
"""


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_command_cannot_type_into_the_terminal_of_the_program(stage: Stage, mechanism: str) -> None:
    """The program has one, as its person types into it."""
    child, terminal = pty.fork()
    if child == 0:
        try:
            os.write(1, _typed(stage, mechanism).encode())
        finally:
            os._exit(0)
    said = _all_of(terminal)
    os.waitpid(child, 0)
    assert "tried" in said
    assert "typed" not in said
    assert "opened True" not in said


def _typed(stage: Stage, mechanism: str) -> str:
    settings = SandboxSettings.model_validate({"mechanism": mechanism})
    sandbox = CommandSandbox(stage.root, settings, stage.environ, stage.home)
    try:
        return sandbox.run(Command(line=f"python3 -c {shlex.quote(_TYPING)}; echo tried")).output
    finally:
        sandbox.close()


def _all_of(terminal: int) -> str:
    said = b""
    with suppress(OSError):  # EIO: the last who had it open has closed it
        while data := os.read(terminal, 4096):
            said += data
    os.close(terminal)
    return said.decode()
