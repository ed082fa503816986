"""The help is part of the program: it is compared with the copy in tests/cli/cases."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"
VAULT = ("status", "verify", "passphrase", "protect", "rotate", "unlock", "lock", "prune", "destroy")
MODELS = ("list", "info", "recommend", "pull", "import", "default", "remove", "verify", "bench")
HELPED = [
    "",
    *("run", "undo", "redo", "config", "config import"),
    *("permissions", *(f"permissions {action}" for action in ("list", "test", "revoke"))),
    *("sandbox", *(f"sandbox {action}" for action in ("verify", "run"))),
    *("models", *(f"models {action}" for action in MODELS)),
    *("bundle", *(f"bundle {action}" for action in ("keygen", "create", "verify", "install"))),
    *("ask", "chat", "search", "map", "index", "fit", "servers", "doctor", "logs"),
    *("vault", *(f"vault {action}" for action in VAULT)),
    *("sessions", *(f"sessions {action}" for action in ("list", "show", "export", "delete"))),
    *("credentials", *(f"credentials {action}" for action in ("set", "list", "remove"))),
    *("audit", *(f"audit {action}" for action in ("show", "verify", "export"))),
]


@pytest.mark.parametrize("command", HELPED)
def test_help_is_as_recorded(command: str) -> None:
    arguments = [sys.executable, "-m", "offline_agent", *command.split(), "--help"]
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1"}
    said = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True).stdout
    recorded = CASES / f"help-{command.replace(' ', '-') or 'offline-agent'}.txt"
    if "RECORD" in os.environ:
        recorded.write_text(said)
    assert said == recorded.read_text(), f"if the new help is right: RECORD=1 pytest {__file__}"
