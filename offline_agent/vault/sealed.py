"""The vault: SQLite databases whose pages are encrypted, and a directory of sealed blobs.

    <data>/vault.header      the data key, sealed (header.py)
    <data>/vault.lock        held shared by every process that has the vault open (lock.py)
    <data>/1/                a generation: everything that one data key seals; rotation writes the next one
        main.db logs.db      records: sessions, messages, audit, prompts, credentials; the log
        repos/1f0c.../       index.db, and the lock and the socket of its worker
        blobs/               sealed blobs (blobs.py)

Each database has a key of its own, derived from the data key and its name: a file put in another's place does not open. Pages are
sealed with AEGIS-256 by SQLite3 Multiple Ciphers (https://utelle.github.io/SQLite3MultipleCiphers/): each page of 4096 bytes has 32
of nonce and 32 of tag, so a flipped bit is an error and never data. The first 24 bytes of a file are in clear:

     0  16  salt: unused with a raw key, so it is derived too, and compared
    16   8  page size 4096 (10 00), WAL or not (02 02 or 01 01), 64 bytes reserved a page (40), three constants of SQLite (40 20 20)
"""

from collections.abc import Callable
from pathlib import Path

import apsw

from offline_agent.errors import StorageError, VaultDamaged
from offline_agent.vault.database import ApswDatabase
from offline_agent.vault.files import Files
from offline_agent.vault.lock import Held
from offline_agent.vault.secret import Secret, derive

_CLEAR = (bytes.fromhex("1000020240402020"), bytes.fromhex("1000010140402020"))
_SALT = 16


class SealedVault:
    """A Vault in `directory`, opened with `data_key`. It holds `held`, the vault's lock, until it is closed (keeper.py)."""

    def __init__(self, directory: Path, data_key: Secret, held: Held | None = None) -> None:
        self.data_key = data_key
        self._files = Files(directory)
        self._held = held

    @property
    def blob_key(self) -> bytes:
        return derive(self.data_key, "blobs").reveal()

    def database(self, name: str, durable: bool = False) -> ApswDatabase:
        """Raises VaultDamaged for a file that is not what was written, or was written under another name or key."""
        path = self._files.database(name)
        _check_start(path, _salt(self.data_key, name))
        return ApswDatabase(path, durable, unlocking(self.data_key, name))

    def directory(self, name: str) -> Path:
        return self._files.directory(name)

    def destroy(self, name: str) -> None:
        self._files.destroy(name)

    def database_file(self, name: str) -> Path:
        """Where the database of that name is or would be; what is above it exists afterwards."""
        return self._files.database(name)

    def close(self) -> None:
        if self._held is not None:
            self._held.close()


def unlocking(data_key: Secret, name: str) -> Callable[[apsw.Connection], None]:
    """What gives a new connection the key of the database `name`."""

    def unlock(connection: apsw.Connection) -> None:
        connection.pragma("cipher", "aegis")
        connection.pragma("key", _raw_key(data_key, name))

    return unlock


def sealed_uri(path: Path, data_key: Secret, name: str) -> str:
    """For `VACUUM INTO`: the new file `path`, as the database `name` under `data_key`."""
    return f"{path.absolute().as_uri()}?cipher=aegis&key={_raw_key(data_key, name)}"


def _raw_key(data_key: Secret, name: str) -> str:
    """A raw key takes no key derivation: opening costs 0.3 ms instead of 50."""
    return f"raw:{derive(data_key, f'database {name}').reveal().hex()}{_salt(data_key, name).hex()}"


def _salt(data_key: Secret, name: str) -> bytes:
    return derive(data_key, f"salt {name}", _SALT).reveal()


def _check_start(path: Path, salt: bytes) -> None:
    """The one part of a file that the pages' tags do not cover."""
    try:
        with path.open("rb") as file:
            start = file.read(_SALT + len(_CLEAR[0]))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}. Check its owner and mode.") from None
    if start and not (start[:_SALT] == salt and start[_SALT:] in _CLEAR):
        raise VaultDamaged(
            f"{path} is damaged at its start, or is another database's file. `offline-agent vault verify` tells what else is."
        )
