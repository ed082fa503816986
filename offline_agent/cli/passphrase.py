"""Passphrases from scripts and from people. They are typed at the terminal itself, whatever standard input is, and never shown."""

import getpass
import sys
from functools import cached_property

from offline_agent.environment import take_new_passphrase, take_passphrase
from offline_agent.errors import UsageError

_TRIES = 3


class TerminalPassphrases:
    """What the environment gave when it was made, else what a person types. Making it empties the environment of the passphrase."""

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


class ChangingPassphrases:
    """For a command that changes what opens the vault, and then opens it once more: what was typed last opens it by then, and is
    not asked for again. A new passphrase may come from a script."""

    def __init__(self) -> None:
        self._terminal = TerminalPassphrases()
        self._new = take_new_passphrase()
        self._last: bytes | None = None

    def given(self) -> bytes | None:
        return self._terminal.given() if self._last is None else self._last

    def ask(self, prompt: str, confirm: bool) -> bytes | None:
        """Raises UsageError where a new passphrase is wanted and neither given nor typed."""
        answer = self._new if confirm and self._new is not None else self._terminal.ask(prompt, confirm)
        if answer is None and confirm:
            raise UsageError(
                "There is no terminal to type a new passphrase at. Give it on a descriptor, with "
                "OFFLINE_AGENT_NEW_PASSPHRASE_FD=3 3< FILE. Nothing was changed."
            )
        self._last = answer
        return answer
