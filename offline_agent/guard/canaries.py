"""Whether a mechanism keeps what it promises, tried for real: a wall that silently is not there looks like any other.

A small scene is set up: a repository with a denied and a protected file, a secret, sockets and a process outside. A probe tries
each thing that no command may do, first in the open, where it has to succeed, or it would prove nothing; then in the sandbox. Only
an internet socket is not tried in the open, since this program opens none: there a local pair is, made in the same place.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from offline_agent.actions import Canary
from offline_agent.errors import SandboxUnavailable
from offline_agent.guard.protected import remove_tree
from offline_agent.guard.view import View

VARIABLE = "OFFLINE_AGENT_CANARY_TOKEN"
CONTROL = "control"
"""What must succeed in the sandbox too: else the probe does not work there, and its silence says nothing."""
NAMES: Mapping[str, str] = {
    "secret outside": "read a file outside the repository",
    "shadow": "read /etc/shadow",
    "denied file": "read a denied file of the repository",
    "write outside": "change a file outside the repository",
    "protected file": "change a protected file of the repository",
    "internet": "open an internet socket",
    "socket file": "reach a local socket outside, by its file",
    "abstract socket": "reach a local socket outside, by its abstract name",
    "process": "end a process outside",
    "memory": "look into a process outside",
    "environment": "see a variable of the environment that is not on the list",
    "kernel": "open a setting of the kernel for writing",
}
TRACES = ("write outside", "protected file")
"""What leaves a trace that can be looked at from outside."""
Probe = Callable[[View, Sequence[str]], str]
"""Runs a command, an absolute path and arguments, in the root of a View and returns what it wrote. Raises SandboxUnavailable."""
_SHADOW, _SETTING = "/etc/shadow", "/proc/sys/kernel/core_pattern"


@dataclass(frozen=True)
class Scene:
    """`attempts` as the probe takes them; `view` is what the sandbox shows of it."""

    view: View
    attempts: Mapping[str, tuple[str, str]]
    victim: "subprocess.Popen[bytes]"

    def succeeded(self, said: list[str]) -> set[str]:
        """What the probe said, but where it counts what it did: a path may lead to a file of the sandbox's own."""
        traces = {name for name in TRACES if os.path.getsize(self.attempts[name][1])}
        ended = set() if self.victim.poll() is None else {"process"}
        return (set(said) - set(TRACES)) | traces | ended

    def mend(self) -> None:
        """After the try in the open."""
        for name in TRACES:
            os.truncate(self.attempts[name][1], 0)


def try_canaries(confined: Probe, bare: Probe, shown: View, environ: Mapping[str, str], shell: str) -> list[Canary]:
    """What held and what did not, by the list above. `shown` is what commands see besides a repository; `environ` what they would
    inherit. Raises SandboxUnavailable where nothing can be tried, with the reason."""
    try:
        with _scene(shown, shell) as scene:
            return _compared(scene, confined, bare, environ)
    except OSError as error:
        raise SandboxUnavailable(
            f"Whether commands are confined cannot be tried out ({error}): free some space in {tempfile.gettempdir()}."
        ) from None


def _compared(scene: Scene, confined: Probe, bare: Probe, environ: Mapping[str, str]) -> list[Canary]:
    in_the_open = {name: try_ for name, try_ in scene.attempts.items() if name != "internet"}
    in_the_open["process"] = ("see", str(scene.victim.pid))  # it has to live until it is tried in earnest
    control = bare(replace(scene.view, environment={**environ, VARIABLE: "1"}), _command(in_the_open))
    possible = scene.succeeded([*_said(control), "internet"])
    scene.mend()
    succeeded = scene.succeeded(_said(confined(scene.view, _command(scene.attempts))))
    if CONTROL not in succeeded:
        raise SandboxUnavailable("The probe does not work in the sandbox, so its silence says nothing.")
    return [_canary(name, possible, succeeded) for name in scene.attempts if name != CONTROL]


def _canary(name: str, possible: set[str], succeeded: set[str]) -> Canary:
    what = NAMES[name]
    if name in succeeded:
        return Canary(name=name, held=False, detail=f"a command can {what}")
    if name in possible:
        return Canary(name=name, held=True, detail=f"a command cannot {what}")
    return Canary(name=name, held=True, detail=f"you could not {what} without a sandbox either")


def _said(output: str) -> list[str]:
    try:
        names = json.loads(output)
    except ValueError:
        names = None
    if not isinstance(names, list):
        raise SandboxUnavailable(f"The probe could not run: {output.strip()[-300:] or 'it said nothing'}.")
    return [str(name) for name in names]


def _command(attempts: Mapping[str, tuple[str, str]]) -> list[str]:
    source = Path(__file__).with_name("probe.py").read_text(encoding="utf-8")
    return [os.path.realpath(sys.executable), "-I", "-S", "-c", source, json.dumps(attempts)]


@contextmanager
def _scene(shown: View, shell: str) -> Iterator[Scene]:
    place = Path(os.path.realpath(tempfile.mkdtemp(prefix="offline-agent-")))
    abstract = f"@{place.name}-{secrets.token_hex(4)}"
    try:
        with (
            _listening(str(place / "socket")),
            _listening("\0" + abstract[1:]),
            subprocess.Popen([shell, "-c", "read"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as victim,
        ):
            try:
                yield Scene(_view(place, shown), _attempts(place, abstract, victim.pid), victim)
            finally:
                victim.kill()
    finally:
        remove_tree(place)


def _view(place: Path, shown: View) -> View:
    root = place / "repository"
    (root / ".git" / "hooks").mkdir(parents=True)
    for path in (root / ".git" / "hooks" / "pre-commit", place / "written"):
        path.touch()
    for path in (root / ".env", root / "plain", place / "secret"):
        path.write_text("canary\n")
    python = tuple(Path(os.path.realpath(directory)) for directory in {sys.base_prefix, sys.base_exec_prefix})
    readable = tuple(dict.fromkeys((*shown.readable, *python)))
    return replace(shown, root=root, readable=readable, writable=(), denied=(".env",), protected=(".git/hooks",))


def _attempts(place: Path, abstract: str, victim: int) -> dict[str, tuple[str, str]]:
    root = place / "repository"
    return {
        CONTROL: ("read", str(root / "plain")),
        "secret outside": ("read", str(place / "secret")),
        "shadow": ("read", _SHADOW),
        "denied file": ("read", str(root / ".env")),
        "write outside": ("write", str(place / "written")),
        "protected file": ("write", str(root / ".git" / "hooks" / "pre-commit")),
        "internet": ("internet", ""),
        "socket file": ("connect", str(place / "socket")),
        "abstract socket": ("connect", abstract),
        "memory": ("see", str(victim)),
        "environment": ("variable", VARIABLE),
        "kernel": ("open", _SETTING),
        "process": ("end", str(victim)),
    }


@contextmanager
def _listening(address: str) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        yield
