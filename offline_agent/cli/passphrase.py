"""Passphrases from scripts and from people. They are typed at the terminal itself, whatever standard input is, and never shown."""

import getpass
import sys
from functools import cached_property

from offline_agent.errors import UsageError
from offline_agent.settings import take_passphrase

_TRIES = 3


class TerminalPassphrases:
    """What the environment gave when it was made, else what a person types. Making it takes the passphrase out of the environment."""

    def __init__(self) -> None:
        self._given = take_passphrase()

    def given(self) -> bytes | None:
        return self._given

    def ask(self, prompt: str, confirm: bool) -> bytes | None:
        """None where there is no terminal. Raises UsageError when what should be the same twice is not, three times."""
        if not self._has_terminal:
            return None
        for _ in range(_TRIES):
            first = getpass.getpass(prompt)
            if not confirm or getpass.getpass("The same again: ") == first:
                return first.encode("utf-8", "surrogateescape")
            print("Those two are not the same.", file=sys.stderr)
        raise UsageError("The passphrase was not typed twice the same. Nothing was changed.")

    @cached_property
    def _has_terminal(self) -> bool:
        # Without one, getpass would fall back to reading standard input, and echo it.
        try:
            open("/dev/tty", "rb+", buffering=0).close()
        except OSError:
            return False
        return True
