"""Which mechanism confines commands here: the strongest that is there and holds when it is tried."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offline_agent.actions import Canary, SandboxReport
from offline_agent.errors import SandboxUnavailable
from offline_agent.guard.canaries import VARIABLE, try_canaries
from offline_agent.guard.collected import Collected
from offline_agent.guard.mechanisms import Bare, Bubblewrap, Landlock, Mechanism
from offline_agent.guard.runner import Runner
from offline_agent.guard.view import View, environment_of, view_of
from offline_agent.settings import SandboxSettings

_PROBE_SECONDS = 20.0
UNCONFINED = 'Commands are not confined, since sandbox.mechanism is "none" in the settings.'
REFUSED = "Commands cannot be confined here, so none is run."


@dataclass(frozen=True)
class Chosen:
    """Where nothing confines commands and nothing should run, `mechanism` is None, and `view` may be. Nothing is denied or
    protected in it yet."""

    mechanism: Mechanism | None
    report: SandboxReport
    view: View | None = None


def choose(root: Path, settings: SandboxSettings, environ: Mapping[str, str], home: Path, runner: Runner) -> Chosen:
    """Tries the candidates until one holds. Raises UsageError for settings that would show commands the vault."""
    if settings.mechanism == "none":
        environment = environment_of(environ, (*settings.environment, "PATH"))
        view = View(root, (Path("/"),), (), (), (), environment)
        return Chosen(Bare(home), SandboxReport(mechanism="none", problem=UNCONFINED, notes=Bare.notes), view)
    try:
        view, notes = view_of(root, settings, environ, home)
    except SandboxUnavailable as error:
        return Chosen(None, SandboxReport(mechanism="none", problem=f"{REFUSED} {error}"))
    return _tried(root, settings, environ, home, runner, view, (*notes, *_notes_on(root)))


def _tried(
    root: Path,
    settings: SandboxSettings,
    environ: Mapping[str, str],
    home: Path,
    runner: Runner,
    view: View,
    notes: Sequence[str],
) -> Chosen:
    tempting = {**environ, VARIABLE: "1"}
    shown = replace(view_of(root, settings, tempting, home)[0], readable=view.readable)
    problems: list[str] = []
    canaries: list[Canary] = []
    for find in _candidates(settings, environ, view):
        try:
            mechanism = find()
            canaries = try_canaries(
                _probe(runner, mechanism), _probe(runner, Bare(home)), shown, tempting, runner.shell()
            )
        except SandboxUnavailable as error:
            problems.append(str(error))
            continue
        if all(canary.held for canary in canaries):
            return Chosen(mechanism, _report(mechanism, canaries, problems, notes), view)
        broken = "; ".join(canary.detail for canary in canaries if not canary.held)
        problems.append(f"{mechanism.name} does not hold here: {broken}.")
    problem = " ".join([REFUSED, *problems])
    return Chosen(None, SandboxReport(mechanism="none", canaries=tuple(canaries), problem=problem, notes=tuple(notes)))


def _report(
    mechanism: Mechanism, canaries: Sequence[Canary], problems: Sequence[str], notes: Sequence[str]
) -> SandboxReport:
    return SandboxReport(
        mechanism=mechanism.name,
        canaries=tuple(canaries),
        problem=" ".join(problems),
        notes=(*mechanism.notes, *notes),
    )


def _candidates(settings: SandboxSettings, environ: Mapping[str, str], view: View) -> Iterator[Callable[[], Mechanism]]:
    if settings.mechanism in ("auto", "bubblewrap"):
        yield lambda: Bubblewrap.find(environ, view)
    if settings.mechanism in ("auto", "landlock"):
        yield Landlock.find


def _probe(runner: Runner, mechanism: Mechanism) -> Callable[[View, Sequence[str]], str]:
    def probe(scene: View, command: Sequence[str]) -> str:
        collected = Collected()
        runner.start(mechanism, scene, command, scene.root, _PROBE_SECONDS, collected)
        return collected.data.decode("utf-8", "replace")

    return probe


def _notes_on(root: Path) -> Iterator[str]:
    git = root / ".git"
    if git.is_file():
        yield (
            f"git does not work in commands: {git} says that the repository's data is elsewhere. "
            "Name that directory in [sandbox] writable to show it."
        )
    if os.geteuid() == 0 and root.stat().st_uid != 0:
        yield "The repository is not root's, and commands have no privileges: they may be unable to change it."
