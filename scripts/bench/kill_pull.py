"""Kills a pulling process (SIGKILL) at random moments, and sees that what comes after goes on and ends with the right hash.

Each round begins with an empty library, or, every other time, with an older model of the same name, which must be whole until the
newer one is. A process is killed, another goes on where it was, and is killed too, until one ends by itself. The moments are
seeded; the hub sends so slowly that most are while the file is fetched, and the child says in which phase it is, so that kills can
be aimed at hashing, at the end of the file and at the admission too. After each kill: is there no model, the older one, or the
newer one, whole?
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from offline_agent.library.digest import hash_file
from offline_agent.library.pull import Pulled, Puller
from offline_agent.library.store import Library
from offline_agent.models import Kind
from offline_agent.settings import HubSettings
from scripts.bench.pull import FILE, MEGABYTE, REPOSITORY, hub, write_model

REFERENCE = f"hub:{REPOSITORY}/{FILE}"
AIMS = (
    "start",
    "hashing what is there",
    "hashing what is there",
    "fetching",
    "fetching",
    "last bytes",
    "checking",
    "checking",
)
"""Where a kill is aimed at: the phase whose beginning is waited for. Nothing is hashed before something was fetched."""


def child(endpoint: str, directory: Path, hold: float) -> None:
    """Pulls, and prints a line at the beginning of each phase. `hold` seconds pass in the check, which is otherwise too short to be
    hit."""

    def say(phase: str) -> None:
        os.write(1, f"{phase}\n".encode())

    def check(kind: Kind, path: Path) -> None:
        time.sleep(hold)

    phases: list[str] = []

    def tell(pulled: Pulled) -> None:
        last = pulled.phase == "fetching" and pulled.done > 0.8 * pulled.total
        phase = "last bytes" if last else pulled.phase
        if phase not in phases[-1:]:
            phases.append(phase)
            say(phase)

    say("start")
    puller = Puller(Library(directory, check), HubSettings(endpoint=endpoint), lambda: None)
    puller.pull(puller.plan(REFERENCE), tell)
    say("end")


class Victim:
    """A child that says where it is."""

    def __init__(self, endpoint: str, directory: Path, hold: float) -> None:
        command = [sys.executable, "-m", "scripts.bench.kill_pull", "--child", endpoint, str(directory), str(hold)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.phase = "before"

    def reach(self, aim: str) -> bool:
        """Whether it gets there before it ends."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.phase = line.strip()
            if self.phase == aim:
                return True
        return False

    def kill(self) -> str:
        """Returns the phase in which it was, or "end" where it was quicker."""
        self._process.send_signal(signal.SIGKILL)
        assert self._process.stdout is not None
        for line in self._process.stdout:  # what it said while the signal was on its way
            self.phase = line.strip() or self.phase
        if self._process.wait() != -signal.SIGKILL and self.phase != "end":
            raise SystemExit(f"A pull failed by itself while {self.phase}.")
        return self.phase

    def end(self) -> None:
        self.reach("end")
        if self._process.wait():
            raise SystemExit("A pull that nobody killed failed.")


class Ground:
    """A hub with one model, and a library whose content is known."""

    def __init__(self, endpoint: str, top: Path, source: Path, seed: int) -> None:
        self._endpoint = endpoint
        self._directory = top / "models"
        self._right = hash_file(source)
        self._older = ""
        self._chance = random.Random(seed)

    def kills(self, number: int) -> Iterator[str]:
        """The phase of each kill. Ends with the program where something is not as it should be."""
        done = 0
        rounds = 0
        while done < number:
            self._begin(replaces=rounds % 2 == 1)
            rounds += 1
            for _ in range(min(number - done, self._chance.randint(2, 5))):
                phase = self._kill()
                if phase == "end":
                    break
                done += 1
                yield phase
            Victim(self._endpoint, self._directory, 0).end()
            if self._there() != self._right:
                raise SystemExit("A pull ended with a wrong hash.")

    def _kill(self) -> str:
        victim = Victim(self._endpoint, self._directory, 0.02)
        aim = self._chance.choice(AIMS)
        if not victim.reach(aim):
            victim.end()
            return "end"
        time.sleep(self._chance.random() * (0.4 if aim == "fetching" else 0.03))  # the other phases are short
        phase = victim.kill()
        if self._there() not in (self._right, self._older):
            raise SystemExit(f"A kill while {phase} left something that is no model.")
        return phase

    def _begin(self, replaces: bool) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._older = ""
        if replaces:
            Victim(self._endpoint, self._directory, 0).end()
            place = Library(self._directory, lambda kind, path: None).directory_of("model")
            holding = json.loads((place / "holding.json").read_text())
            (place / FILE).write_bytes(b"GGUF of another day")
            size, self._older = (place / FILE).stat().st_size, hash_file(place / FILE)
            holding["files"][0] |= {"size": size, "sha256": self._older}
            (place / "holding.json").write_text(json.dumps(holding))

    def _there(self) -> str:
        """The hash of the model that is found; empty where there is none. One that is not what its record says is not whole."""
        library = Library(self._directory, lambda kind, path: None)
        holding = library.find("model")
        if holding is None:
            return ""
        found = hash_file(library.path_of(holding))
        return found if found == holding.files[0].sha256 else "not whole"


@contextmanager
def ground(megabytes: int, rate: int, seed: int) -> Iterator[Ground]:
    with tempfile.TemporaryDirectory() as made:
        source = write_model(Path(made) / "hub", megabytes * MEGABYTE)
        with hub(Path(made) / "hub", rate * MEGABYTE) as endpoint:
            yield Ground(endpoint, Path(made), source, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--rate", type=int, default=100, help="megabytes a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], Path(arguments.child[1]), float(arguments.child[2]))
        return
    phases: Counter[str] = Counter()
    with ground(arguments.megabytes, arguments.rate, arguments.seed) as place:
        for phase in place.kills(arguments.kills):
            phases[phase] += 1
            print(f"\r{phases.total()} kills", end="", flush=True)
    print(f"\r{phases.total()} kills, and every file is whole:")
    for phase, count in phases.most_common():
        print(f"  {count:3} {phase}")


if __name__ == "__main__":
    main()
