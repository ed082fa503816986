"""None of the attempts in escapes/ gets out of the sandbox, through either mechanism, by the user who runs the tests and, where
that is root, by another one; and each of them gets where it wants to without."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from offline_agent import linux
from offline_agent.actions import Command
from offline_agent.guard.sandbox import CommandSandbox
from offline_agent.settings import SandboxSettings
from tests.guard.attempts import SECONDS, Attempts, Case, Seen, cases
from tests.guard.stage import Stage

REPOSITORY = Path(__file__).parents[2]
NOBODY = 65534
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

    def __init__(self) -> None:
        self._attempts = Attempts()
        self._other: subprocess.Popen[bytes] | None = None
        self._said: Tried | None = None

    def __enter__(self) -> "Users":
        self._attempts.__enter__()
        if "another user" in _USERS and (python := _python_of_others()):
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
            self._other.kill()
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
def users() -> Iterator[Users]:
    with Users() as users:
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


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


def _report(stage: Stage, path: str) -> CommandSandbox:
    return CommandSandbox(stage.root, SandboxSettings(), {**stage.environ, "PATH": path}, stage.home)


@pytest.mark.skipif(linux.landlock_version() < 1, reason="this kernel has no Landlock")
def test_without_user_namespaces_landlock_confines(stage: Stage) -> None:
    """As in most containers: bwrap is there, and says that it may not."""
    programs = stage.base / "bin"
    programs.mkdir()
    (programs / "bwrap").write_text(
        '#!/bin/sh\n[ "$1" = --help ] && exec /usr/bin/bwrap --help\n'
        'echo "bwrap: No permissions to create new namespace" >&2\nexit 1\n'
    )
    (programs / "bwrap").chmod(0o755)
    sandbox = _report(stage, f"{programs}:/usr/bin:/bin")
    try:
        assert sandbox.report.mechanism == "landlock"
        assert "namespace" in sandbox.report.problem
        assert stage.marker not in sandbox.run(Command(line="cat .env"), (".env",)).output
    finally:
        sandbox.close()
