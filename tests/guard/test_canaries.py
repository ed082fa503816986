"""A wall that is not there is noticed, each of them: the canaries are tried on mechanisms that leave something open."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from offline_agent import linux
from offline_agent.errors import SandboxUnavailable
from offline_agent.guard.canaries import NAMES, VARIABLE, try_canaries
from offline_agent.guard.collected import Collected
from offline_agent.guard.launcher import Order
from offline_agent.guard.limits import Limits
from offline_agent.guard.mechanisms import Bare, Bubblewrap, Landlock, Mechanism, Name
from offline_agent.guard.runner import Runner
from offline_agent.guard.view import View, view_of
from offline_agent.settings import SandboxSettings
from tests.guard.sandboxes import MECHANISMS, SEES_PYTHON

ROOT_ONLY = {"shadow", "kernel"}
"""What only root could do without a sandbox."""
POSSIBLE = set(NAMES) - (set() if os.getuid() == 0 else ROOT_ONLY)


@pytest.fixture
def view(tmp_path: Path, home: Path) -> View:
    return view_of(tmp_path, SandboxSettings(readable=SEES_PYTHON), os.environ, home)[0]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(tmp_path, SandboxSettings(), os.environ)
    yield runner
    runner.close()


def probe(runner: Runner, mechanism: Mechanism) -> Callable[[View, Sequence[str]], str]:
    def run(scene: View, command: Sequence[str]) -> str:
        collected = Collected()
        runner.start(mechanism, scene, command, scene.root, 20, collected)
        return collected.data.decode()

    return run


def broken(runner: Runner, mechanism: Mechanism, view: View) -> set[str]:
    """The canaries that did not hold."""
    bare = probe(runner, Bare(Path.home()))
    found = try_canaries(probe(runner, mechanism), bare, view, os.environ, runner.shell())
    assert {canary.name for canary in found} == set(NAMES)
    return {canary.name for canary in found if not canary.held}


@dataclass(frozen=True)
class Altered:
    """A mechanism whose view or order is changed on the way."""

    inner: Mechanism
    view: Callable[[View], View] = lambda view: view
    change: Callable[[Order], Order] = lambda order: order
    name: ClassVar[Name] = "bubblewrap"
    notes: ClassVar[tuple[str, ...]] = ()

    def order(
        self, view: View, command: Sequence[str], directory: Path, limits: Limits
    ) -> AbstractContextManager[Order]:
        return self._order(view, command, directory, limits)

    @contextmanager
    def _order(self, view: View, command: Sequence[str], directory: Path, limits: Limits) -> Iterator[Order]:
        with self.inner.order(self.view(view), command, directory, limits) as order:
            yield self.change(order)


def found(name: str, view: View) -> Mechanism:
    return Bubblewrap.find(os.environ, view) if name == "bubblewrap" else Landlock.find()


@pytest.mark.parametrize("name", MECHANISMS)
def test_all_hold(runner: Runner, view: View, name: str) -> None:
    assert broken(runner, found(name, view), view) == set()


def test_where_nothing_confines_all_that_is_possible_succeeds(runner: Runner, view: View) -> None:
    leaking = {**view.environment, VARIABLE: "1"}
    assert (
        broken(runner, Altered(Bare(Path.home()), lambda shown: replace(shown, environment=leaking)), view) == POSSIBLE
    )


def without(*words: str) -> Callable[[Order], Order]:
    """Arguments of bubblewrap left out: each word, and what it takes."""
    taken = {
        "--unshare-all": 1,
        "--unshare-user": 1,
        "--remount-ro": 2,
        "--proc": 2,
        "--uid": 2,
        "--gid": 2,
        "--disable-userns": 1,
    }

    def change(order: Order) -> Order:
        kept, at = [], 0
        while at < len(order.arguments):
            word = order.arguments[at]
            skip = taken[word] if word in words else 0
            kept += order.arguments[at : at + 1] if not skip else []
            at += skip or 1
        return replace(order, arguments=kept)

    return change


def adding(*arguments: str) -> Callable[[Order], Order]:
    return lambda order: replace(order, arguments=[*order.arguments, *arguments])


OPEN = linux.assemble(linux.end())
bubblewrap_only = pytest.mark.skipif("bubblewrap" not in MECHANISMS, reason="bubblewrap does not work here")


@bubblewrap_only
@pytest.mark.parametrize(
    ("altered", "expected"),
    [
        ({"view": lambda view: replace(view, denied=())}, {"denied file"}),
        ({"view": lambda view: replace(view, protected=())}, {"protected file"}),
        ({"view": lambda view: replace(view, environment={VARIABLE: "1"})}, {"environment"}),
        ({"change": lambda order: replace(order, filter=OPEN.hex())}, {"internet"}),
        ({"change": adding("--ro-bind", "/tmp", "/tmp")}, {"secret outside", "denied file", "socket file"}),
        ({"change": adding("--bind", "/etc", "/etc")}, {"shadow"} & POSSIBLE),
        ({"change": without("--remount-ro")}, {"kernel"} & POSSIBLE),
    ],
)
def test_what_is_left_open_is_named(
    runner: Runner, view: View, altered: dict[str, Callable[..., object]], expected: set[str]
) -> None:
    mechanism = Altered(Bubblewrap.find(os.environ, view), **altered)  # type: ignore[arg-type]
    assert broken(runner, mechanism, view) == expected


def test_a_probe_that_does_not_run_proves_nothing(runner: Runner, view: View) -> None:
    bare = probe(runner, Bare(Path.home()))
    with pytest.raises(SandboxUnavailable, match="The probe could not run"):
        try_canaries(lambda scene, command: "Killed", bare, view, os.environ, runner.shell())
    with pytest.raises(SandboxUnavailable, match="its silence says nothing"):
        try_canaries(lambda scene, command: "[]", bare, view, os.environ, runner.shell())
