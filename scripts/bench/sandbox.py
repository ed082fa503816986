"""Milliseconds of a command that does nothing: by bash alone, and through each way of confining it that works here.

The figure to hold is the median over bash alone: under 25 ms. With a watcher every change of a file waits for an answer first.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from offline_agent.actions import Command
from offline_agent.errors import SandboxUnavailable
from offline_agent.guard.sandbox import CommandSandbox
from offline_agent.guard.touch import FileWatcher
from offline_agent.settings import SandboxSettings

Figures = Mapping[str, float]
_DENIED = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = _repository(Path(os.path.realpath(scratch)) / "repository")
        table = {"bash alone": _measured(_bare, given.runs)}
        for mechanism in ("bubblewrap", "landlock"):
            try:
                table |= _confined(root, mechanism, given.runs)
            except SandboxUnavailable as error:
                table[f"{mechanism}: {error}"] = {}
    _show(table, given.json)


def _repository(root: Path) -> Path:
    """With denied files in directories of their own, as a repository with several services has."""
    subprocess.run(["/usr/bin/env", "git", "init", "--quiet", root], check=True)
    for number in range(_DENIED):
        (root / f"service{number}").mkdir()
        (root / f"service{number}" / ".env").write_text("TOKEN=1\n")
    return root


def _confined(root: Path, mechanism: str, runs: int) -> dict[str, Figures]:
    settings = SandboxSettings.model_validate({"mechanism": mechanism})
    sandbox = CommandSandbox(root, settings, os.environ, Path.home())
    denied = [f"service{number}/.env" for number in range(_DENIED)]
    watcher = FileWatcher(root, lambda path: None, lambda path: None)
    ways: dict[str, Callable[[], object]] = {
        mechanism: lambda: sandbox.run(Command(line="true")),
        f"{mechanism}, {_DENIED} denied files": lambda: sandbox.run(Command(line="true"), denied),
        f"{mechanism}, with a watcher": lambda: sandbox.run(Command(line="true"), (), watcher),
    }
    try:
        began = time.perf_counter()
        if sandbox.report.mechanism != mechanism:
            raise SandboxUnavailable(sandbox.report.problem)
        first = {"p50": 1000 * (time.perf_counter() - began)}
        return {f"{mechanism}: trying it out, once": first} | {name: _measured(way, runs) for name, way in ways.items()}
    finally:
        sandbox.close()


def _bare() -> None:
    subprocess.run(["/bin/bash", "-c", "true"], stdin=subprocess.DEVNULL, check=True)


def _measured(way: Callable[[], object], runs: int) -> Figures:
    way()
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        way()
        taken.append(1000 * (time.perf_counter() - began))
    taken.sort()
    return {"p50": taken[runs // 2], "p95": taken[int(runs * 0.95)]}


def _show(table: Mapping[str, Figures], as_json: bool) -> None:
    if as_json:
        print(json.dumps(table, indent=2))
        return
    bare = table["bash alone"]["p50"]
    print(f"{'milliseconds':44} {'p50':>7} {'p95':>7} {'over bash':>10}")
    for name, figures in table.items():
        columns = [f"{figures[key]:7.1f}" if key in figures else " " * 7 for key in ("p50", "p95")]
        over = f"{figures['p50'] - bare:10.1f}" if "p95" in figures else ""
        print(f"{name:44} {' '.join(columns)} {over}")


if __name__ == "__main__":
    main()
