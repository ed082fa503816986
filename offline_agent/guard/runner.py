"""One command, by one mechanism: carried out by the launcher, within the limits of the settings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from offline_agent.errors import SandboxUnavailable
from offline_agent.guard.bubblewrap import find_program
from offline_agent.guard.collected import Collected
from offline_agent.guard.limits import Limits
from offline_agent.guard.mechanisms import ALLOW_NAMESPACES, Mechanism, watched
from offline_agent.guard.starter import Outcome, Starter
from offline_agent.guard.view import View
from offline_agent.protocols import Watcher
from offline_agent.settings import SandboxSettings

_MEGABYTE = 1 << 20
_SYSTEM_PATH = "/usr/bin:/bin"


class Runner:
    """One command at a time."""

    def __init__(self, root: Path, settings: SandboxSettings, environ: Mapping[str, str]) -> None:
        self._root, self._settings, self._environ = root, settings, environ
        self._starter = Starter()

    def shell(self) -> str:
        """Where bash is. Raises SandboxUnavailable where there is none that no command could have put there."""
        places = {"PATH": f"{_SYSTEM_PATH}:{self._environ.get('PATH', '')}"}
        shell = find_program("bash", places, (self._root,))
        if not shell:
            raise SandboxUnavailable("Commands are run by bash, which is not on PATH: install it.")
        return shell

    def start(
        self,
        mechanism: Mechanism,
        view: View,
        command: Sequence[str],
        directory: Path,
        seconds: float,
        collected: Collected,
        watcher: Watcher | None = None,
    ) -> Outcome:
        """Runs a command, an absolute path and arguments, of which nothing is left when this returns or raises. Raises
        SandboxUnavailable where it could not be started."""
        attached: list[Watcher] = []
        try:
            with mechanism.order(view, command, directory, self._limits(seconds)) as order:
                attach = _attaching(watcher, attached) if watcher is not None and watcher.program else None
                if attach is not None and watcher is not None:
                    order = watched(order, watcher.program)
                outcome = self._starter.run(order, collected, self._settings.output_megabytes * _MEGABYTE, attach)
        except OSError as error:
            raise SandboxUnavailable(f"The command could not be confined ({error}), so it was not run.") from None
        finally:
            for each in attached:
                each.detach()
        if outcome.failed:
            raise SandboxUnavailable(_not_started(mechanism, outcome.failed, collected))
        return outcome

    def close(self) -> None:
        self._starter.close()

    def _limits(self, seconds: float) -> Limits:
        wanted = self._settings
        return Limits(
            seconds=seconds,
            memory_bytes=wanted.memory_megabytes * _MEGABYTE,
            processes=wanted.processes,
            file_bytes=wanted.file_megabytes * _MEGABYTE,
            disk_bytes=wanted.disk_megabytes * _MEGABYTE,
        )


def _attaching(watcher: Watcher, attached: list[Watcher]) -> Callable[[int], None]:
    def attach(listener: int) -> None:
        attached.append(watcher)
        watcher.attach(listener)

    return attach


def _not_started(mechanism: Mechanism, failed: str, collected: Collected) -> str:
    said = collected.data.decode("utf-8", "replace").strip().split("\n")[-1] or failed
    if mechanism.name != "bubblewrap":
        return f"The command could not be started: {said}."
    refused = any(word in said for word in ("namespace", "uid map", "Operation not permitted"))
    return f"bubblewrap could not start the command ({said}).{f' {ALLOW_NAMESPACES}' if refused else ''}"
