"""The key file: 32 random bytes that are the key-encrypting key of a vault with neither keyring nor passphrase.

It lies with the person's settings and not in the vault, so that a copy of the vault alone does not carry it.
"""

import os
import stat
from pathlib import Path

from offline_agent.errors import StorageError, VaultLocked
from offline_agent.vault.files import make_private
from offline_agent.vault.header import sync_directory
from offline_agent.vault.secret import Secret

_KEY = 32


def make_key_file(path: Path) -> Secret:
    """A new key, in the new file `path` of mode 0600. Raises StorageError."""
    kek = Secret.random(_KEY)
    make_private(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(kek.reveal())
            file.flush()
            os.fsync(descriptor)
        sync_directory(path.parent)
    except OSError as error:
        raise StorageError(
            f"Cannot make the key file {path}: {error.strerror}. Check the disk and its owner."
        ) from None
    return kek


def read_key_file(path: Path) -> Secret:
    """Raises VaultLocked for a file that is missing, that others can reach, or that is no key."""
    try:
        # Non-blocking: a pipe in its place must not keep the program waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            fault = _fault(os.fstat(descriptor))
            if fault:
                raise VaultLocked(f"The key file {path} is not used: {fault}.")
            return Secret(file.read(_KEY))
    except FileNotFoundError:
        raise VaultLocked(
            f"The vault's key file {path} is missing. Restore it; nothing else opens the vault."
        ) from None
    except OSError as error:
        raise VaultLocked(
            f"The key file {path} cannot be read: {error.strerror}. It must be a file of your own."
        ) from None


def _fault(status: os.stat_result) -> str:
    """What keeps a file from being a key file, or nothing."""
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file"
    if status.st_uid != os.geteuid():
        return "it belongs to somebody else, who may know what is in it"
    if stat.S_IMODE(status.st_mode) & 0o077:
        return "others may read or write it. `chmod 600` it, and think about who did"
    if status.st_size != _KEY:
        return f"it has {status.st_size} bytes and a key has {_KEY}. Restore it from a backup"
    return ""
