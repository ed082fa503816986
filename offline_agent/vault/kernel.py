"""What the kernel does for keys: it keeps others out of this process's memory, and can keep a key while no process of ours runs.

The cache is a key of type "user" in the user keyring, @u. What keyrings(7) and user-keyring(7) promise: its payload is held in
kernel memory that is not swapped; it is shared by the processes of the user id; it expires when its time is up, and goes with the
user's last process. Any process of the same user can read it while it is there: that is what an unlocked vault means. Containers
often refuse these calls.
"""

import ctypes
import os
import platform
import resource
import sys
from typing import Protocol

from offline_agent.errors import VaultLocked
from offline_agent.vault.secret import Secret

_PR_SET_DUMPABLE = 4
_MACHINES = {"x86_64": (248, 250), "aarch64": (217, 219)}
"""Numbers of add_key(2) and keyctl(2), from the kernel's syscall_64.tbl and asm-generic/unistd.h."""
_PROCESS_KEYRING, _USER_KEYRING = -2, -4
_SETPERM, _LINK, _UNLINK, _SEARCH, _READ, _SET_TIMEOUT, _INVALIDATE = 5, 8, 9, 10, 11, 15, 21
_PERMISSIONS = 0x3F0B0000
"""keyctl_setperm(3): everything (3f) to who possesses it; view, read and search (0b) to the same user, so that a process whose
session does not reach @u, such as one of cron, can read it and drop it too; nothing to group and others."""
_KEY = 32


def protect_process() -> None:
    """From here on no other process of this user can read this one's memory (ptrace(2), /proc/PID/mem), and a crash leaves no core.

    The first is Linux only, and root is not kept out. Children that are started afresh are not covered: each calls this itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        # The limit alone would not do: the kernel ignores it where cores go to a program, as with systemd-coredump.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


class KeyCache(Protocol):
    """Keeps the key-encrypting key of a vault for a while, outside the process. `vault_id` is public."""

    def put(self, vault_id: bytes, key: Secret, seconds: int) -> None:
        """Keeps `key`, of 32 bytes, for `seconds` (1 or more), in place of an earlier one. Raises VaultLocked where nothing can be
        kept."""

    def get(self, vault_id: bytes) -> Secret | None: ...

    def drop(self, vault_id: bytes) -> None:
        """Forgets the key, if there is one."""


class MemoryKeyCache:
    """The double: a KeyCache that ends with the process and knows no time. `kept` is what it holds, with the seconds asked for."""

    def __init__(self) -> None:
        self.kept: dict[bytes, tuple[Secret, int]] = {}

    def put(self, vault_id: bytes, key: Secret, seconds: int) -> None:
        self.kept[vault_id] = (key, seconds)

    def get(self, vault_id: bytes) -> Secret | None:
        return self.kept[vault_id][0] if vault_id in self.kept else None

    def drop(self, vault_id: bytes) -> None:
        self.kept.pop(vault_id, None)


class KernelKeyCache:
    """A KeyCache in the Linux kernel."""

    def put(self, vault_id: bytes, key: Secret, seconds: int) -> None:
        if seconds < 1:
            raise ValueError("the kernel reads no time as for ever")
        try:
            self._put(_description(vault_id), key, seconds)
        except OSError as error:
            raise VaultLocked(
                f"The kernel keeps no keys here ({error.strerror}), so the vault cannot stay unlocked. "
                "Give the passphrase to each command instead, as OFFLINE_AGENT_PASSPHRASE_FD or at the prompt."
            ) from None

    def get(self, vault_id: bytes) -> Secret | None:
        # One byte more than a key: what is longer was not put by us.
        buffer = ctypes.create_string_buffer(_KEY + 1)
        try:
            length = _keyctl(_READ, _find(_description(vault_id)), buffer, len(buffer))
            return Secret(buffer.raw[:length]) if length == _KEY else None
        except OSError:
            return None
        finally:
            ctypes.memset(buffer, 0, len(buffer))

    def drop(self, vault_id: bytes) -> None:
        try:
            _keyctl(_INVALIDATE, _find(_description(vault_id)))  # takes the search permission only, and works at once
        except OSError:
            return

    def _put(self, description: bytes, key: Secret, seconds: int) -> None:
        # Made in the process's own keyring and linked from there, so that it is in @u never without its limits: a process that is
        # killed half-way takes it along. Linking replaces a key of the same description.
        number = _add_key(description, key, _PROCESS_KEYRING)
        try:
            _keyctl(_SETPERM, number, _PERMISSIONS)
            _keyctl(_SET_TIMEOUT, number, seconds)
            _keyctl(_LINK, number, _USER_KEYRING)
        finally:
            _keyctl(_UNLINK, number, _PROCESS_KEYRING)


def _description(vault_id: bytes) -> bytes:
    return b"offline-agent:" + vault_id.hex().encode()


def _find(description: bytes) -> int:
    return _keyctl(_SEARCH, _USER_KEYRING, b"user", description, 0)


def _add_key(description: bytes, key: Secret, keyring: int) -> int:
    return _syscall(0, b"user", description, key.reveal(), ctypes.c_size_t(len(key)), keyring)


def _keyctl(operation: int, *arguments: "int | bytes | ctypes.Array[ctypes.c_char]") -> int:
    return _syscall(1, operation, *arguments)


def _syscall(which: int, *arguments: object) -> int:
    """The result of add_key (0) or keyctl (1). Raises OSError, also where there is no such call."""
    numbers = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or numbers is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise OSError(0, "not on this system")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    # syscall(2) is variadic and the kernel reads whole registers: an int would leave their upper halves undefined.
    words = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    result = int(libc.syscall(numbers[which], *words))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
