"""The program itself as its user has it: `index build`, with the real embedder, killed and begun again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from scripts.bench.crash.hunt import Tally
from scripts.bench.crash.kinds import change_files, make_files

_TOP = Path(__file__).parents[3]
_SPAN = 6.0  # seconds: loading the embedder takes most of them
_AGAIN = 4  # tries


class RealHunt:
    """Kills the front or its index worker, with the next build as the check."""

    def __init__(self, place: Path, seed: int) -> None:
        self.tally = Tally()
        self._place = place
        self._rng = random.Random(f"real {seed}")
        make_files(place)

    def kill_one(self) -> None:
        change_files(self._place, self._rng)
        front = subprocess.Popen(self._command("build"), env=self._environment(), stderr=subprocess.DEVNULL)
        time.sleep(self._rng.uniform(0.3, _SPAN))
        worker = _child(front.pid)
        if worker is not None and self._rng.random() < 0.5:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
            time.sleep(self._rng.uniform(0.0, 1.0))  # the front has begun to start another, perhaps
        front.kill()
        self.tally.kills += 1
        self.tally.inside += front.wait() == -signal.SIGKILL
        self._check()

    def _check(self) -> None:
        for action in (["build"], ["status", "--json"]):
            done = self._run(*action)
            if done.returncode:
                self.tally.losses.append(f"index {action[0]}: {done.stderr.strip().splitlines()[-1]}")
                return
        status = json.loads(done.stdout)
        files = len(list((self._place / "files").glob("*.py")))
        if (status["files"], status["vectors"]) != (files, status["chunks"]):
            self.tally.losses.append(f"{status['files']} of {files} files, {status['vectors']} vectors")

    def _run(self, *action: str) -> "subprocess.CompletedProcess[str]":
        """Again, as the message asks, where a worker that was about to end took the question."""
        for _ in range(_AGAIN):
            done = subprocess.run(self._command(*action), env=self._environment(), capture_output=True, text=True)
            if "Run the command again" not in done.stderr:
                break
            time.sleep(2.0)
        return done

    def _command(self, *action: str) -> list[str]:
        return [sys.executable, "-P", "-m", "offline_agent", "index", "--repo", str(self._place / "files"), *action]

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self._place), "PYTHONPATH": str(_TOP)}


def _child(process: int) -> int | None:
    """The process that `process` started, on Linux."""
    with suppress(OSError, ValueError):
        return int(Path(f"/proc/{process}/task/{process}/children").read_text().split()[0])
    return None
