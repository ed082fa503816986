"""Sandboxes about small repositories, on the real kernel."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offline_agent import linux
from offline_agent.actions import Command, Ran
from offline_agent.guard.sandbox import CommandSandbox
from offline_agent.settings import SandboxSettings

SEES_PYTHON = (Path(os.path.realpath(sys.base_prefix)),)
PYTHON = os.path.realpath(sys.executable)


def works(mechanism: str) -> bool:
    """Whether this machine can have the mechanism at all; what it then does is for the tests to say."""
    if mechanism == "landlock":
        return linux.landlock_version() >= 6
    command = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


MECHANISMS = [name for name in ("bubblewrap", "landlock") if works(name)]


def repository(path: Path) -> Path:
    """With a commit, a hook and a file `.env`, which is no part of the commit."""
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@b", "-C", str(path)]
    path.mkdir()
    (path / "code.py").write_text("print('hello')\n")
    (path / "src").mkdir()
    (path / "src" / "more.py").write_text("x = 1\n")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    (path / ".git" / "hooks").mkdir(exist_ok=True)
    (path / ".git" / "hooks" / "pre-commit").write_text("#!/bin/sh\n")
    (path / ".git" / "hooks" / "pre-commit").chmod(0o755)
    (path / ".env").write_text("TOKEN=verysecret\n")
    return Path(os.path.realpath(path))


def sandbox(
    root: Path, mechanism: str = "auto", environ: Mapping[str, str] | None = None, **settings: Any
) -> CommandSandbox:
    values = {"mechanism": mechanism, "readable": SEES_PYTHON, **settings}
    return CommandSandbox(root, SandboxSettings(**values), os.environ if environ is None else environ, Path.home())


def run(sandbox: CommandSandbox, line: str, *denied: str, **command: Any) -> Ran:
    return sandbox.run(Command(line=line, **command), denied)
