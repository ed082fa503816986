"""The link that starts the program: one name on PATH, which changes in one step from one environment to the next."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from offline_agent.bundle.bootstrap.environment import Environment, is_environment
from offline_agent.errors import BundleError, StorageError, UsageError


class Link:
    """At `path`, whether it is there or not."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def check(self) -> None:
        """Raises UsageError where something else than a link of this installer's has the name, and StorageError where no link can
        be made: before anything is installed."""
        if not os.path.lexists(self.path):
            self._require_writable()
            return
        if not self.path.is_symlink() or (self.path.exists() and not is_environment(self.path.resolve().parent.parent)):
            raise UsageError(
                f"{self.path} is there already, and no bundle was installed under it. Move it away, or have the link elsewhere: "
                "--bin DIR."
            )
        self._require_writable()

    def version(self) -> str:
        """Of what it starts now; "" where there is nothing that says."""
        return Environment.version_of(self.path.resolve().parent.parent) if self.path.exists() else ""

    def set(self, program: Path) -> None:
        """Has it start `program`. At every moment one of the two is started. Raises StorageError."""
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.symlink_to(program)
            os.replace(temporary, self.path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise StorageError(
                f"{self.path} cannot be written: {error.strerror}. The program is installed: {program}. Or have the link "
                "elsewhere: --bin DIR."
            ) from None

    def command(self) -> tuple[str, ...]:
        """What starts the program now. Raises BundleError where there is none."""
        if not self.path.exists():
            raise BundleError(
                f"This bundle holds models and no program, and there is none at {self.path}. Install one that has it first, or say "
                "`offline-agent bundle install` where it is installed in another way."
            )
        return (str(self.path),)

    def _require_writable(self) -> None:
        there = next(place for place in self.path.parents if place.exists())
        if not os.access(there, os.W_OK | os.X_OK):
            raise StorageError(
                f"{there} cannot be written, and the link that starts the program goes there. Check its owner, or have the link "
                "elsewhere: --bin DIR."
            )
