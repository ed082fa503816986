"""Lets a victim work in a process of its own, and kills it at a random moment."""

import multiprocessing
import random
import time
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from offline_agent.errors import AgentError
from scripts.bench.crash.ground import Lost, Notes
from scripts.bench.crash.kinds import Kind

_PATIENCE = 20.0  # seconds for a victim to begin
_KILLED = -9
# Imports are done once, in the process that victims are forked from.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["__main__", "numpy", "scripts.bench.crash.kinds"])


@dataclass
class Tally:
    """How many were killed, how many of them amidst something, and what was lost."""

    kills: int = 0
    inside: int = 0
    losses: list[str] = field(default_factory=list)


class Hunt:
    """Kills of one kind in one place, each after what the ones before left there. The same seed gives the same moments, as far as
    the machine is as fast."""

    def __init__(self, kind: Kind, place: Path, seed: int) -> None:
        self.tally = Tally()
        self._kind = kind
        self._place = place
        self._rng = random.Random(f"{kind.name} {seed}")
        place.mkdir(parents=True)
        kind.prepare(place)

    def kill_one(self) -> None:
        kind, notes = self._kind, Notes(self._place)
        kind.disturb(self._place, self._rng)
        before = len(notes.lines())
        victim = _PROCESSES.Process(target=kind.victim, args=(self._place, self.tally.kills))
        victim.start()
        _wait_until_begun(victim, notes, before)
        time.sleep(self._rng.uniform(0.0, kind.span))
        victim.kill()
        victim.join()
        self.tally.kills += 1
        if victim.exitcode != _KILLED:
            self.tally.losses.append(f"the victim ended by itself with {victim.exitcode}, see above")
            return
        self._check(bool(notes.unfinished))

    def _check(self, inside: bool) -> None:
        try:
            self.tally.inside += self._kind.check(self._place, inside)
        except (Lost, AgentError) as error:  # what keeps the next start from working is a loss too
            self.tally.losses.append(str(error))


def _wait_until_begun(victim: ForkServerProcess, notes: Notes, before: int) -> None:
    give_up = time.monotonic() + _PATIENCE
    while len(notes.lines()) == before and victim.is_alive():
        if time.monotonic() > give_up:
            victim.kill()
            raise Lost("a victim did not begin its work")
        time.sleep(0.002)
