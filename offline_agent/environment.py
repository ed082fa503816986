"""What the program takes from its environment besides settings: secrets, which are gone from it afterwards, and surroundings."""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from offline_agent.errors import UsageError
from offline_agent.settings import PREFIX


def take_passphrase(environ: MutableMapping[str, str] | None = None) -> bytes | None:
    """The passphrase a script gives: the first line of the descriptor OFFLINE_AGENT_PASSPHRASE_FD, else OFFLINE_AGENT_PASSPHRASE.

    Both variables are gone afterwards, so no child inherits them. None when there is neither. Raises UsageError for a descriptor
    that cannot be read, or an empty passphrase.
    """
    environ = os.environ if environ is None else environ
    descriptor = environ.pop(f"{PREFIX}PASSPHRASE_FD", None)
    given = environ.pop(f"{PREFIX}PASSPHRASE", None)
    if descriptor is not None:
        given = _first_line("PASSPHRASE_FD", descriptor)
    if given == "":
        raise UsageError(f"The passphrase in {PREFIX}PASSPHRASE is empty. Set it, or unset the variable.")
    return None if given is None else given.encode("utf-8", "surrogateescape")


def take_new_passphrase(environ: MutableMapping[str, str] | None = None) -> bytes | None:
    """The passphrase that a script wants the vault to have: the first line of the descriptor OFFLINE_AGENT_NEW_PASSPHRASE_FD.

    The variable is gone afterwards. None when there is none. Raises UsageError for a descriptor that cannot be read, or an empty
    passphrase.
    """
    environ = os.environ if environ is None else environ
    descriptor = environ.pop(f"{PREFIX}NEW_PASSPHRASE_FD", None)
    if descriptor is None:
        return None
    given = _first_line("NEW_PASSPHRASE_FD", descriptor)
    if not given:
        raise UsageError(f"The passphrase in {PREFIX}NEW_PASSPHRASE_FD is empty. Nothing was changed.")
    return given.encode("utf-8", "surrogateescape")


def session_bus(environ: Mapping[str, str] | None = None) -> str:
    """Where the desktop session's D-Bus listens, by which an OS keyring is reached; empty where there is no such session."""
    return (os.environ if environ is None else environ).get("DBUS_SESSION_BUS_ADDRESS", "")


def surroundings(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment that the program was started in, with HOME in it. What a command is given of it is chosen by
    guard/view.py."""
    environ = os.environ if environ is None else environ
    return {**environ, "HOME": environ.get("HOME") or str(Path.home())}


def _first_line(variable: str, descriptor: str) -> str:
    try:
        with open(int(descriptor), encoding="utf-8", errors="surrogateescape") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, ValueError):
        raise UsageError(
            f"{PREFIX}{variable}={descriptor} cannot be read. Give the number of an open descriptor."
        ) from None
