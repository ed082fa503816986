import shutil
import subprocess
import sys

import pytest
from keyring.backend import KeyringBackend
from keyring.errors import InitError, KeyringLocked, PasswordDeleteError

from offline_agent.errors import VaultLocked
from offline_agent.vault.os_keyring import Keyring, MemoryKeyring, OsKeyring, find_keyring


class DictBackend(KeyringBackend):
    """A backend of the library's, as strict as its own: it fails with `failure`, and on what is not there."""

    priority = 0  # type: ignore[assignment]

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.failure = failure

    def get_password(self, service: str, username: str) -> str | None:
        if self.failure:
            raise self.failure
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.failure:
            raise self.failure
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop((service, username), None) is None:
            raise PasswordDeleteError("No such password!")


@pytest.mark.parametrize("keyring", [MemoryKeyring(), OsKeyring(DictBackend())], ids=["memory", "os"])
def test_a_keyring_keeps_and_deletes(keyring: Keyring) -> None:
    assert keyring.get("a") is None
    keyring.delete("a")
    keyring.set("a", "1")
    keyring.set("b", "2")
    keyring.set("a", "3")
    assert (keyring.get("a"), keyring.get("b")) == ("3", "2")
    keyring.delete("a")
    assert keyring.get("a") is None


def test_the_service_is_ours() -> None:
    backend = DictBackend()
    OsKeyring(backend).set("a", "1")
    assert backend.entries == {("offline-agent", "a"): "1"}


class LockedException(Exception):
    """Named as SecretStorage's."""


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (KeyringLocked("value 1"), "is locked"),
        (LockedException("value 1"), "is locked"),
        (InitError("value 1"), r"failed \(InitError\)"),
        (ConnectionResetError("value 1"), r"failed \(ConnectionResetError\)"),
    ],
)
def test_a_keyring_that_fails_says_what_to_do_and_no_more(failure: Exception, said: str) -> None:
    keyring = OsKeyring(DictBackend(failure))
    for use in (lambda: keyring.get("a"), lambda: keyring.set("a", "value 1"), lambda: keyring.delete("a")):
        with pytest.raises(VaultLocked, match=said) as raised:
            use()
        assert "OFFLINE_AGENT_VAULT_KEY=passphrase or =file" in str(raised.value)
        assert "value 1" not in str(raised.value)
        assert raised.value.__suppress_context__


def test_the_double_can_be_locked() -> None:
    with pytest.raises(VaultLocked, match="Unlock it"):
        MemoryKeyring(locked=True).get("a")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the keyring needs no D-Bus")
@pytest.mark.parametrize(
    "bus",
    [
        "",
        "tcp:host=keys.example,port=1",
        "unix:path=/none;tcp:host=keys.example",
        "unixexec:path=/bin/sh",
        "autolaunch:",
    ],
)
def test_without_a_local_bus_nothing_is_imported(bus: str) -> None:
    script = (
        "import sys; from offline_agent.vault.os_keyring import find_keyring\n"
        "print(find_keyring(sys.argv[1]), any(name.split('.')[0] in ('keyring', 'jeepney') for name in sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", script, bus], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["None", "False"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the keyring needs no D-Bus")
@pytest.mark.parametrize("choice", ["keyring.backends.null.Keyring", "tests.vault.test_os_keyring.DictBackend"])
def test_no_variable_chooses_the_backend(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", choice)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nothing/is/here")
    assert find_keyring("unix:path=/nothing/is/here") is None


REAL = """
import os
from offline_agent.errors import VaultLocked
from offline_agent.vault.os_keyring import find_keyring

keyring = find_keyring(os.environ["DBUS_SESSION_BUS_ADDRESS"])
assert keyring.get("vault-1") is None
keyring.set("vault-1", "00ff")
print(keyring.get("vault-1"))
keyring.delete("vault-1")
keyring.delete("vault-1")
print(keyring.get("vault-1"))

import secretstorage

with secretstorage.dbus_init() as bus:
    secretstorage.get_default_collection(bus).lock()
try:
    keyring.get("vault-1")
except VaultLocked as error:
    print(error)
"""


@pytest.mark.skipif(
    not (shutil.which("dbus-run-session") and shutil.which("gnome-keyring-daemon")), reason="no GNOME keyring here"
)
def test_the_real_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):  # the prompt for a locked keyring must not appear on a screen
        monkeypatch.delenv(name, raising=False)
    script = 'printf pw | gnome-keyring-daemon --unlock --components=secrets > /dev/null || exit 77; exec "$0" -c "$1"'
    command = ["dbus-run-session", "--", "sh", "-c", script, sys.executable, REAL]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if ran.returncode == 77:
        pytest.skip("the GNOME keyring does not start here")
    lines = ran.stdout.splitlines()
    assert lines[:2] == ["00ff", "None"], ran.stderr
    assert lines[2].startswith("The OS keyring is locked. Unlock it")
