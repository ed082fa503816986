"""The ways to confine a command, strongest first. Each makes of a View and a command the order that the launcher carries out."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from offline_agent import linux
from offline_agent.errors import SandboxUnavailable
from offline_agent.guard import landlock
from offline_agent.guard.bubblewrap import MOST_ARGUMENTS, features_of, find_program, options
from offline_agent.guard.launcher import Order
from offline_agent.guard.limits import Limits
from offline_agent.guard.seccomp import deny_filter, no_set_id
from offline_agent.guard.view import View

Name = Literal["bubblewrap", "landlock", "none"]
INSTALL = "Install it: on Debian or Ubuntu `apt-get install bubblewrap`, on Fedora `dnf install bubblewrap`."
ALLOW_NAMESPACES = (
    "As root, let users make namespaces: `sysctl kernel.unprivileged_userns_clone=1`, `sysctl user.max_user_namespaces=10000`, "
    "or on Ubuntu an AppArmor profile for bwrap; in a container, its runtime decides."
)


class Mechanism(Protocol):
    name: ClassVar[Name]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of it here."""

    def order(
        self, view: View, command: Sequence[str], directory: Path, limits: Limits
    ) -> AbstractContextManager[Order]:
        """The order to run `command` (an absolute path, and arguments) in `directory`; what it needs is there while the context is
        open. Raises SandboxUnavailable."""


@dataclass(frozen=True)
class Bubblewrap:
    program: str
    features: frozenset[str]
    filter: bytes
    name: ClassVar[Name] = "bubblewrap"

    @classmethod
    def find(cls, environ: Mapping[str, str], view: View) -> "Bubblewrap":
        """Raises SandboxUnavailable where there is none."""
        program = find_program("bwrap", environ, (view.root, *view.writable))
        if not program:
            raise SandboxUnavailable(f"bubblewrap (bwrap) is not on PATH. {INSTALL}")
        features = features_of(program)
        if missing := {"--json-status-fd", "--perms", "--args", "--seccomp"} - features:
            raise SandboxUnavailable(
                f"{program} does not know {min(missing)}: bubblewrap 0.5 or later is needed. {INSTALL}"
            )
        machine = _machine()
        return cls(program, features, deny_filter(machine, no_set_id(machine)))

    @property
    def notes(self) -> tuple[str, ...]:
        if "--size" in self.features:
            return ()
        return ("This version of bubblewrap cannot limit what a command writes to its /tmp, which is in memory.",)

    @contextmanager
    def order(self, view: View, command: Sequence[str], directory: Path, limits: Limits) -> Iterator[Order]:
        arguments = options(view, directory, limits.file_bytes, self.features, os.geteuid() == 0)
        if len(arguments) > MOST_ARGUMENTS:
            raise SandboxUnavailable(
                f"{len(view.denied)} denied files are more than can be hidden from a command: "
                "deny the directories that hold them as a whole."
            )
        start = [self.program, "--args", "3", "--", *command]
        yield Order(
            command=start,
            environment=dict(view.environment),
            directory=str(directory),
            limits=limits,
            disk=str(view.root),
            arguments=arguments,
            filter=self.filter.hex(),
        )


@dataclass(frozen=True)
class Landlock:
    filter: bytes
    version: int
    name: ClassVar[Name] = "landlock"

    @classmethod
    def find(cls) -> "Landlock":
        """Raises SandboxUnavailable where this kernel has none."""
        version, machine = linux.landlock_version(), _machine()
        if version < 1:
            raise SandboxUnavailable(
                "This kernel has no Landlock (Linux 5.13 or later, with `landlock` among its `lsm=`)."
            )
        return cls(deny_filter(machine, landlock.ungoverned(machine, version)), version)

    @property
    def notes(self) -> tuple[str, ...]:
        return landlock.gaps(self.version)

    @contextmanager
    def order(self, view: View, command: Sequence[str], directory: Path, limits: Limits) -> Iterator[Order]:
        with landlock.private_directory() as private:
            yield Order(
                command=list(command),
                environment={**view.environment, **landlock.private_environment(private)},
                directory=str(directory),
                limits=limits,
                disk=str(view.root),
                filter=self.filter.hex(),
                rules=landlock.rules(view, private),
            )


@dataclass(frozen=True)
class Bare:
    """Confines nothing: limits hold all the same, and the environment is that of the others."""

    home: Path
    name: ClassVar[Name] = "none"
    notes: ClassVar[tuple[str, ...]] = ("Nothing confines commands: they can do whatever you can.",)

    @contextmanager
    def order(self, view: View, command: Sequence[str], directory: Path, limits: Limits) -> Iterator[Order]:
        yield Order(
            command=list(command),
            environment={**view.environment, "HOME": str(self.home)},
            directory=str(directory),
            limits=limits,
            disk=str(view.root),
        )


def watched(order: Order, program: bytes) -> Order:
    return replace(order, watch=program.hex())


def _machine() -> linux.Machine:
    machine = linux.this_machine()
    if machine is None:
        raise SandboxUnavailable("Commands can be confined on Linux on 64-bit x86 and ARM only.")
    return machine
