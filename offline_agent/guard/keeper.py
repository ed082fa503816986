"""Ends a command that has no PID namespace at one stroke, however fast it forks.

Whoever kills such processes one by one may never come to an end: a fork bomb makes them faster. kill(-1) reaches all at once, and
no fork passes in between, but it would end all that the person runs as well. So the command gets a keeper: a process in a Landlock
domain, out of which its signals do not reach. The command is in a domain within, from which the keeper is out of reach.

    launcher ----- keeper     domain A: signals stay inside      kill(-1): all in A and B but itself
       \\---------- command    domain B, within A                  cannot end the keeper
"""

import os
import signal
import struct
from contextlib import suppress

from offline_agent import linux

SINCE = 6
"""The version of Landlock that brought scopes."""
_SIGNALS = 2
_MOST_DESCRIPTORS = 1 << 16


def start_keeper(launcher: int, orders: int) -> None:
    """For a child of the process `launcher`, before it confines itself. When the pipe `orders` has been closed at its other end,
    the keeper ends all that this process will have become and started. Raises OSError."""
    ruleset = linux.call("landlock_create_ruleset", struct.pack("=QQQ", 0, 0, _SIGNALS), 24, 0)
    linux.landlock_restrict(ruleset)
    os.close(ruleset)
    between = os.fork()
    if (
        between == 0
    ):  # so that the keeper becomes a child of the launcher, and the command has none that it does not know
        try:
            if os.fork() == 0:
                _keep(launcher, orders)
        finally:
            os._exit(0)
    os.waitpid(between, 0)


def _keep(launcher: int, orders: int) -> None:
    os.closerange(0, orders)
    os.closerange(orders + 1, _MOST_DESCRIPTORS)
    try:
        os.kill(launcher, 0)
    except PermissionError:
        with suppress(ProcessLookupError):
            os.read(orders, 1)
            os.kill(-1, signal.SIGKILL)
    # Else signals do reach outside, and nothing here may send one.
