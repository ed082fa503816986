"""The operating system's keyring, which the person's login unlocks.

The library `keyring` would choose its backend by PYTHON_KEYRING_BACKEND or a configuration file, either of which can name any
class, and by what packages are installed, some of which keep plain text. Here only backends that encrypt are looked at, in an order
that stays the same, so that an entry is looked for where it was put. The library takes a tenth of a second to import, and is
imported only when it is needed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from offline_agent.errors import VaultLocked

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "offline-agent"
_BACKENDS = {
    "linux": (
        ("keyring.backends.SecretService", "Keyring"),
        ("keyring.backends.libsecret", "Keyring"),
        ("keyring.backends.kwallet", "DBusKeyring"),
    ),
    "darwin": (("keyring.backends.macOS", "Keyring"),),
    "win32": (("keyring.backends.Windows", "WinVaultKeyring"),),
}


class Keyring(Protocol):
    """Names and their values, kept by somebody else. Every method raises VaultLocked when the keyring cannot be used now."""

    def get(self, name: str) -> str | None: ...

    def set(self, name: str, value: str) -> None: ...

    def delete(self, name: str) -> None:
        """Removes the entry, if there is one."""


class MemoryKeyring:
    """The double: `entries` is what it holds. A locked one refuses everything, as after a prompt that was dismissed."""

    def __init__(self, locked: bool = False) -> None:
        self.entries: dict[str, str] = {}
        self.locked = locked

    def get(self, name: str) -> str | None:
        self._check()
        return self.entries.get(name)

    def set(self, name: str, value: str) -> None:
        self._check()
        self.entries[name] = value

    def delete(self, name: str) -> None:
        self._check()
        self.entries.pop(name, None)

    def _check(self) -> None:
        if self.locked:
            raise VaultLocked(_ADVICE_LOCKED)


class OsKeyring:
    """A Keyring in one of the library's backends."""

    def __init__(self, backend: "KeyringBackend") -> None:
        self._backend = backend

    def get(self, name: str) -> str | None:
        with _translated():
            return self._backend.get_password(SERVICE, name)

    def set(self, name: str, value: str) -> None:
        with _translated():
            self._backend.set_password(SERVICE, name, value)

    def delete(self, name: str) -> None:
        with _translated():
            # Backends differ in what they raise for an entry that is not there.
            if self._backend.get_password(SERVICE, name) is not None:
                self._backend.delete_password(SERVICE, name)


def find_keyring(bus: str) -> Keyring | None:
    """The keyring of this machine, or None where there is none that protects. `bus` is DBUS_SESSION_BUS_ADDRESS, or empty; where
    the keyring is reached over D-Bus and that is not set, nothing is imported."""
    if sys.platform == "linux" and not _is_local(bus):
        return None
    for module, name in _BACKENDS.get(sys.platform, ()):
        backend = getattr(import_module(module), name)
        if backend.viable:  # its service answers, or D-Bus can start it
            return OsKeyring(backend())
    return None


def _is_local(bus: str) -> bool:
    """Whether every address in the list is a local socket: "tcp:" would leave the machine, "unixexec:" would run a program."""
    return all(address.startswith("unix:") for address in bus.split(";"))


_ADVICE_LOCKED = (
    "The OS keyring is locked. Unlock it (logging in to the desktop does) and try again; "
    "for a new vault, OFFLINE_AGENT_VAULT_KEY=passphrase or =file does without it."
)


@contextmanager
def _translated() -> Iterator[None]:
    """VaultLocked for whatever a backend raises: each has errors of its own, and those of its D-Bus library come through too."""
    from keyring.errors import KeyringLocked

    try:
        yield
    except KeyringLocked:
        raise VaultLocked(_ADVICE_LOCKED) from None
    except Exception as error:
        if type(error).__name__ in ("LockedException", "PromptDismissedException"):  # of SecretStorage
            raise VaultLocked(_ADVICE_LOCKED) from None
        raise VaultLocked(
            f"The OS keyring failed ({type(error).__name__}). See that its service runs, or, for a new vault, set "
            "OFFLINE_AGENT_VAULT_KEY=passphrase or =file."
        ) from None
