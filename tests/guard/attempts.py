"""Attempts to get out of the sandbox: files that anyone can add to, and what makes them.

    tries = "what is attempted"
    why = "what is to stop it"
    command = '''a shell line'''            or   python = '''a script'''
    [sign]                                  what can be seen once it has succeeded:
    said = "@MARKER@"                       a text in the output
    changed = "@HOME@/.bashrc"              a path that is not as it was, or will not stay so for a moment
    heard = "docker.sock"                   a service outside was reached
    died = true                             the process outside has ended
    running = "@TOKEN@"                     a process with that in its command line is left

An attempt is made twice: in the sandbox, where no sign may be seen, and in the open, where it must: else it proves nothing. Where
the open would be harmed, or all would be well there, `control` (or `control_python`) says what is done in its place, a bounded form
of the same; without a sign of its own, `[control_sign]`, it must give the same. With `ended`, the sandbox has to end the attempt
for that reason, and its sign is optional.

`setup` is a line that the person runs before, `after` one that they run afterwards, outside. `settings` are those of the sandbox.
`needs` is any of: root, user (not root), bubblewrap (not through Landlock), x86_64; a program, as `program:git`; a file of the
kernel's, as `path:/dev/kvm`. `landlock` is "held", or "not: " and why the fallback cannot hold it: then it must be seen that it
does not, or the note is out of date.

`@NAME@` is filled in, see stage.Stage.words. A script has `syscall(name, *arguments)`, which raises OSError.
"""

import os
import shlex
import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal

from offline_agent.actions import Command, SandboxReport
from offline_agent.guard.denied import DeniedFiles
from offline_agent.guard.permissions import denies_read
from offline_agent.guard.policy import Policy
from offline_agent.guard.sandbox import CommandSandbox
from offline_agent.linux import MACHINES, this_machine
from offline_agent.settings import SandboxSettings
from offline_agent.types import Value
from tests.guard.stage import Stage, processes_with, state

CASES = Path(__file__).parent / "escapes"
SECONDS = 20.0
"""No attempt is to take so long."""
_TRIED = "[tried]"
_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
_NO_LOOK: Mapping[str, str] = {"history": "hide"}
"""By default git's objects are looked through, and then hidden here in any case: only what tries git itself takes the time."""
_MOMENT, _PATIENCE = 0.1, 5.0
"""Seconds: how long is waited for a change that must not come, and for one that must."""
_PRELUDE = """
import ctypes, errno, os, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
calls = %r
def syscall(name, *arguments):
    number = calls[name] if isinstance(name, str) else name
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(name))
    return result
"""
Mechanism = Literal["bubblewrap", "landlock"]


class Sign(Value):
    said: str = ""
    changed: str = ""
    heard: str = ""
    running: str = ""
    died: bool = False


class Case(Value):
    name: str
    tries: str
    why: str
    command: str = ""
    python: str = ""
    control: str = ""
    control_python: str = ""
    sign: Sign = Sign()
    control_sign: Sign | None = None
    ended: str = ""
    setup: str = ""
    after: str = ""
    settings: Mapping[str, int | str] = {}
    needs: tuple[str, ...] = ()
    landlock: str = "held"

    def lacks(self, mechanism: str) -> str:
        """What there is not of what it needs; empty where all is there."""
        machine = os.uname().machine
        there = {"root": os.geteuid() == 0, "user": os.geteuid() != 0, "bubblewrap": mechanism != "landlock"}
        there |= {name: machine == name for name in MACHINES}
        for need in self.needs:
            kind, _, name = need.rpartition(":")
            if not (
                os.path.exists(name) if kind == "path" else shutil.which(name, path=_PATH) if kind else there[need]
            ):
                return need
        return ""


class Seen(Value):
    """What came of an attempt."""

    signs: tuple[str, ...]
    output: str
    ended: str = "itself"
    tried: bool = True


def cases() -> list[Case]:
    return [
        Case(name=path.stem, **tomllib.loads(path.read_text(encoding="utf-8"))) for path in sorted(CASES.glob("*.toml"))
    ]


class Attempts:
    """Makes them on one stage. A context."""

    def __init__(self) -> None:
        self._closing = ExitStack()
        self._sandboxes: dict[tuple[object, ...], CommandSandbox] = {}

    def __enter__(self) -> "Attempts":
        self.stage = self._closing.enter_context(Stage())
        self._denied = DeniedFiles(self.stage.root, Policy())
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def report(self, mechanism: str) -> SandboxReport:
        return self._sandbox(mechanism, {}).report

    def confined(self, case: Case, mechanism: str) -> Seen:
        sandbox = self._sandbox(mechanism, {**({} if "program:git" in case.needs else _NO_LOOK), **case.settings})
        self._before(case)
        line = f"({self._line(case.command, case.python)}\n)\necho {_TRIED}"
        with self._watched(case.sign) as watched:
            ran = sandbox.run(Command(line=line, seconds=SECONDS), self._denied.now())
            output = ran.output + self._after(case)
            signs = watched.seen(output, _MOMENT)
        tried = ran.ended != "itself" or _TRIED in ran.output
        return Seen(signs=signs, output=output, ended=ran.ended, tried=tried)

    def in_the_open(self, case: Case) -> Seen:
        """The control, as the person could do it."""
        self._before(case)
        given = (
            (case.control, case.control_python) if case.control or case.control_python else (case.command, case.python)
        )
        with self._watched(case.control_sign or case.sign) as watched:
            output = self._shell(self._line(*given))
            output += self._after(case)
            return Seen(signs=watched.seen(output, _PATIENCE), output=output)

    def _before(self, case: Case) -> None:
        self.stage.restore()
        if case.setup:
            self._shell(self._filled(case.setup))

    def _after(self, case: Case) -> str:
        return self._shell(self._filled(case.after)) if case.after else ""

    def _line(self, command: str, python: str) -> str:
        if not python:
            return self._filled(command)
        machine = this_machine()
        prelude = _PRELUDE % dict(machine.calls if machine is not None else {})
        return f"python3 -I -c {shlex.quote(prelude + self._filled(python))}"

    def _filled(self, text: str) -> str:
        for name, value in self.stage.words().items():
            text = text.replace(f"@{name}@", value)
        return text

    def _watched(self, sign: Sign) -> "Watched":
        filled = {name: self._filled(value) for name, value in sign if isinstance(value, str)}
        return Watched(self.stage, sign.model_copy(update=filled))

    def _shell(self, line: str) -> str:
        with subprocess.Popen(
            ["bash", "-c", line],
            cwd=self.stage.root,
            env=self.stage.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(self.stage.descriptor,),
            start_new_session=True,
        ) as process:
            try:
                return process.communicate(timeout=SECONDS)[0].decode("utf-8", "replace")
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return process.communicate()[0].decode("utf-8", "replace")

    def _sandbox(self, mechanism: str, settings: Mapping[str, int | str]) -> CommandSandbox:
        key = (mechanism, *sorted(settings.items()))
        if key not in self._sandboxes:
            chosen: dict[str, Any] = {"mechanism": mechanism, **settings}
            sandbox = CommandSandbox(
                self.stage.root,
                SandboxSettings.model_validate(chosen),
                self.stage.environ,
                self.stage.home,
                history=denies_read(Policy()),
            )
            self._sandboxes[key] = sandbox
            self._closing.callback(sandbox.close)
        return self._sandboxes[key]


class Watched:
    """Looks for signs of an attempt that is made inside this context; what is left running is ended with it."""

    def __init__(self, stage: Stage, sign: Sign) -> None:
        self._stage, self._sign = stage, sign

    def __enter__(self) -> "Watched":
        self._heard: set[str] = set()
        self._state = self._changed()
        return self

    def __exit__(self, *_: object) -> None:
        for pid in processes_with(self._stage.token):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def seen(self, output: str, patience: float) -> tuple[str, ...]:
        """The signs, for which so many seconds are waited where they may still come."""
        until = time.monotonic() + (patience if self._may_come() else 0)
        while not (found := tuple(self._signs(output))) and time.monotonic() < until:
            time.sleep(0.02)
        return found

    def _may_come(self) -> bool:
        return bool(self._sign.running or self._sign.heard or self._sign.died)

    def _signs(self, output: str) -> Iterator[str]:
        self._heard |= self._stage.heard()
        found: dict[str, Callable[[], bool]] = {
            "said": lambda: bool(self._sign.said) and self._sign.said in output,
            "changed": lambda: self._changed() != self._state,
            "heard": lambda: self._sign.heard in self._heard,
            "running": lambda: bool(self._sign.running and processes_with(self._sign.running)),
            "died": lambda: self._sign.died and self._stage.victim.poll() is not None,
        }
        yield from (name for name, look in found.items() if look())

    def _changed(self) -> object:
        return state(Path(self._sign.changed)) if self._sign.changed else None
