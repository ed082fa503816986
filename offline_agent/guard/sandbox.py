"""Runs commands that the kernel confines: chooses how, proves it, and says what came of each.

command -> View (what is shown) -> order, by the mechanism -> launcher -> output, exit code -> Ran
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from offline_agent.actions import Command, Ran, SandboxReport
from offline_agent.errors import GuardError, SandboxUnavailable
from offline_agent.guard.choice import Chosen, choose
from offline_agent.guard.collected import Collected
from offline_agent.guard.history import History, HistoryVerdict
from offline_agent.guard.mechanisms import Mechanism
from offline_agent.guard.protected import Absent, protected_names
from offline_agent.guard.runner import Runner
from offline_agent.guard.starter import Outcome
from offline_agent.guard.view import View, same_files
from offline_agent.protocols import Watcher
from offline_agent.settings import SandboxSettings

LONGEST_LINE = (1 << 17) - 1
"""Bytes: MAX_ARG_STRLEN, the longest argument that Linux passes, and the zero behind it."""


class CommandSandbox:
    """For the repository at `root`, an absolute path without symbolic links. `environ` is the person's environment and `home` their
    home directory. `history` says of a path, relative to the root, whether it may not be read: with it, git's objects are hidden
    where they hold such a file.

    One command at a time; others wait. Nothing is started or looked at before the first.
    """

    def __init__(
        self,
        root: Path,
        settings: SandboxSettings,
        environ: Mapping[str, str],
        home: Path,
        history: Callable[[str], bool] | None = None,
    ) -> None:
        self._root, self._settings, self._environ, self._home = root, settings, dict(environ), home
        self._history = History(root, history, self._run_git) if history is not None else None
        self._lock = threading.RLock()
        self._runner = Runner(root, settings, self._environ)
        self._chosen: Chosen | None = None
        self._told = ""

    @property
    def report(self) -> SandboxReport:
        return self._choice().report

    def run(
        self,
        command: Command,
        denied: Sequence[str] = (),
        watcher: Watcher | None = None,
        output: Callable[[str], None] | None = None,
    ) -> Ran:
        """See protocols.Sandbox. Raises GuardError for a command that cannot be started, and UsageError for settings that would
        show commands the vault."""
        _refuse_malformed(command.line)
        with self._lock:
            mechanism, view = self._ready()
            directory = self._directory(command.directory, view)
            names = protected_names(self._root) if self._settings.protect and mechanism.name != "none" else []
            view, notes = self._hidden(view, denied, names)
            absent = Absent(self._root, names)
            collected, began = Collected(output), time.monotonic()
            line = [self._runner.shell(), "-c", command.line]
            seconds = min(command.seconds, self._settings.longest_seconds)
            try:
                outcome = self._runner.start(mechanism, view, line, directory, seconds, collected, watcher)
            finally:
                notes += _removed(absent)
            return _ran(outcome, collected, time.monotonic() - began, notes, output, watcher)

    def close(self) -> None:
        self._runner.close()

    # --- what is shown ---

    def _ready(self) -> tuple[Mechanism, View]:
        chosen = self._choice()
        if chosen.mechanism is None or chosen.view is None:
            raise SandboxUnavailable(chosen.report.problem)
        return chosen.mechanism, chosen.view

    def _hidden(self, view: View, denied: Sequence[str], protected: Sequence[str]) -> tuple[View, list[str]]:
        """The view without what may not be seen or changed as things are now, and what to say about it."""
        hidden = self._denied(view, denied)
        view = replace(view, denied=hidden, protected=tuple(_existing(str(self._root), protected)))
        verdict = self._history_verdict(view)
        if not verdict.held:
            return view, []
        note, self._told = ("" if verdict.note == self._told else verdict.note), verdict.note
        return replace(view, hide_history=True), [note] if note else []

    def _denied(self, view: View, denied: Sequence[str]) -> tuple[str, ...]:
        """Where the denied files really are, under every name that they have. What lies where nothing is shown needs no hiding."""
        shown = (self._root, *view.writable, *view.readable)
        real = {os.path.realpath(self._root / path) for path in denied}
        real = {
            path for path in real if os.path.lexists(path) and any(Path(path).is_relative_to(tree) for tree in shown)
        }
        real |= set(same_files(sorted(real), (self._root, *view.writable)))
        inside = f"{self._root}/"
        return tuple(sorted(path.removeprefix(inside) for path in real))

    def _history_verdict(self, view: View) -> HistoryVerdict:
        if self._settings.history == "hide":
            return HistoryVerdict(held=True, note="git's objects are hidden from commands, as the settings have it.")
        if self._settings.history == "show" or self._history is None:
            return HistoryVerdict(held=False)
        self._git_view = view
        return self._history.hides(view.denied)

    def _run_git(self, command: Sequence[str], seconds: float) -> tuple[int, bytes]:
        """A history.RunGit: what the program writes to standard error is left out."""
        mechanism, _ = self._ready()
        shell, collected = self._runner.shell(), Collected(kept=self._settings.output_megabytes << 20)
        line = [shell, "-c", 'exec "$@" 2>/dev/null', shell, *command]
        outcome = self._runner.start(mechanism, self._git_view, line, self._root, seconds, collected)
        return (outcome.code or int(bool(outcome.why or collected.dropped))), collected.data

    def _directory(self, given: str, view: View) -> Path:
        directory = Path(os.path.realpath(self._root / given))
        if not directory.is_dir():
            raise GuardError(f"{given} is no directory: give one that exists, relative to the repository.")
        if not any(directory.is_relative_to(tree) for tree in (self._root, *view.writable, *view.readable)):
            raise GuardError(f"{given} is not shown to commands: give a directory in the repository.")
        return directory

    def _choice(self) -> Chosen:
        with self._lock:
            if self._chosen is None:
                self._chosen = choose(self._root, self._settings, self._environ, self._home, self._runner)
            return self._chosen


def _refuse_malformed(line: str) -> None:
    if "\0" in line:
        raise GuardError("The command has a zero byte in it: write it without.")
    if len(os.fsencode(line)) >= LONGEST_LINE:
        raise GuardError("The command is longer than 128 KiB: write it to a file, and run that.")


def _existing(root: str, names: Iterable[str]) -> Iterator[str]:
    """Those that exist, without the links: what a link leads to is protected in its own place."""
    for name in names:
        if os.path.exists(f"{root}/{name}"):
            real = os.path.realpath(f"{root}/{name}")
            if real.startswith(f"{root}/"):
                yield os.path.relpath(real, root)


def _removed(absent: Absent) -> list[str]:
    try:
        return [f"{name} was made and has been removed: it could run outside the sandbox" for name in absent.remove()]
    except OSError as error:
        return [
            f"{error.filename} was made and could not be removed ({error.strerror}): remove it, it could run outside"
        ]


def _ran(
    outcome: Outcome,
    collected: Collected,
    seconds: float,
    notes: Sequence[str],
    output: Callable[[str], None] | None,
    watcher: Watcher | None,
) -> Ran:
    text = collected.data.decode("utf-8", "replace")
    said = "".join(f"[sandbox: {note}]\n" for note in notes)
    if said and text and not text.endswith("\n"):
        said = f"\n{said}"
    if said and output is not None:
        output(said)
    values = {"ended": outcome.why} if outcome.why else {}
    return Ran.model_validate(
        {
            "exit_code": outcome.code,
            "output": text + said,
            "dropped": collected.dropped,
            "seconds": seconds,
            "unseen": watcher is None or not watcher.program,
            **values,
        }
    )
