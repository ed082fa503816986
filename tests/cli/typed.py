"""Commands as they run at a terminal, and as they run without one."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence

COMMAND = [sys.executable, "-m", "offline_agent"]
_PATIENCE = 60.0


def typed(
    *arguments: str, answers: Sequence[tuple[str, str]] = (), environment: dict[str, str] | None = None
) -> tuple[int, str]:
    """The exit code, and all that the terminal showed. Each of `answers` is typed after its first half was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [*COMMAND, *arguments], os.environ | (environment or {}))
    shown, seen, waiting, give_up = b"", 0, list(answers), time.monotonic() + _PATIENCE
    while time.monotonic() < give_up:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # what Linux says at the end
            break
        if not piece:
            break
        shown += piece
        if waiting and waiting[0][0].encode() in shown[seen:]:
            seen = len(shown)
            os.write(terminal, f"{waiting.pop(0)[1]}\n".encode())
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def unattended(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    """Without a terminal: a session of its own cannot open /dev/tty."""
    given = {"stdin": subprocess.DEVNULL, "env": os.environ | {}, **options}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, start_new_session=True, **given
    )
