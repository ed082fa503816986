"""A person's machine in a directory: a home, a place for temporary files, a repository, and nothing else that anybody shares."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.canaries.camera import Camera
from tests.canaries.marks import Marks

TOP = Path(__file__).parents[2]
_PYTHON = [sys.executable, "-P"]  # never from the current directory, which is the repository
_UNLIMITED = ["/bin/sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh"]


class Stage:
    """`marks` are strewn over a small repository; `camera` watches all of `place` but what the repository began with."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.marks = Marks()
        self.home, self.temporary, self.runtime = (place / name for name in ("home", "tmp", "run"))
        self.repository = place / "work" / self.marks.repository
        for directory in (self.home, self.temporary, self.runtime):
            directory.mkdir(mode=0o700)
        sources = self._sources()
        for path, text in sources.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        known = {path: text.encode() for path, text in sources.items()}
        self.camera = Camera((self.home, self.temporary, self.runtime, self.repository), known)

    @property
    def data(self) -> Path:
        return self.home / ".local/share/offline-agent"

    @property
    def config(self) -> Path:
        return self.home / ".config/offline-agent"

    def environment(self) -> dict[str, str]:
        """As a login would give it, with a passphrase and everything logged."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(TOP),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "OFFLINE_AGENT_LOG_LEVEL": "debug",
            "OFFLINE_AGENT_PASSPHRASE": self.marks.passphrase,
        }

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command of the program, in the repository."""
        command = [*_UNLIMITED, *_PYTHON, "-m", "offline_agent", *arguments]
        environment, here = self.environment(), self.repository
        return subprocess.run(command, cwd=here, env=environment, input="", capture_output=True, text=True, timeout=60)

    def begin(self, kind: str) -> "Front":
        return Front(self, kind)

    def _sources(self) -> dict[Path, str]:
        marks, root = self.marks, self.repository
        body = (
            f'def {marks.code}(total, code):\n    """Lower the {marks.docs} by the code."""\n    return total - code\n'
        )
        plain = "class Cart:\n    def add(self, item):\n        self.items.append(item)\n"
        return {
            root / marks.folder / f"{marks.file}.py": body,
            root / "cart.py": plain,
            root / "README.md": f"# Shop\n\nSells {marks.text} and other things.\n",
        }


class Front:
    """A session (session.py) in a process of its own. Cores are allowed to it, as far as whoever starts it can allow them."""

    def __init__(self, stage: Stage, kind: str) -> None:
        command = [*_UNLIMITED, *_PYTHON, "-m", "tests.canaries.session", kind, str(stage.repository)]
        self._process = subprocess.Popen(
            command,
            cwd=stage.repository,
            env=stage.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self._tell(json.dumps(asdict(stage.marks)))

    def do(self, step: str) -> dict[str, Any]:
        """Takes one step; the ids of the front, index and model processes."""
        self._tell(step)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the session ended in {step!r}: {self.end()[1]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def die(self, step: str) -> tuple[int, str]:
        """Takes a step that ends the process; its exit status, and what it said on standard error."""
        self._tell(step)
        return self.end()

    def kill(self) -> None:
        self._process.kill()
        self.end()

    def end(self) -> tuple[int, str]:
        _, said = self._process.communicate(timeout=60)
        return self._process.returncode, said

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
