"""Blobs: pieces of content of any size, each in a sealed file of its own, found by what is in it.

A blob's address is keyed BLAKE3 of its content, 64 hexadecimal digits: the same content is stored once, and without the key nobody
can confirm a guess of what a file holds. The file `ab/abcd...` under the directory is a sealed stream (stream.py) with the address
as its context; what is known of it is a row in an encrypted database. What shows is how many blobs there are, how long each is and
when it was written.

A file is whole and on disk, its directory too, before its row is. Files get and lose their names inside a transaction of the
database only, whose lock keeps processes apart; sealing happens before, and takes nobody's turn. A crash leaves a file that was
not finished, a file without a row or a row without a file: `sweep` removes all three.
"""

import fcntl
import io
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from blake3 import blake3

from offline_agent.errors import StorageError, VaultDamaged, VaultError
from offline_agent.protocols import Database
from offline_agent.records import Pruned
from offline_agent.vault.files import advice_on, make_private
from offline_agent.vault.header import sync_directory
from offline_agent.vault.secret import Secret, derive
from offline_agent.vault.sources import Joined, hashed
from offline_agent.vault.stream import Source, opened, seal

SCHEMA: tuple[str, ...] = (
    "CREATE TABLE blobs (id TEXT PRIMARY KEY, kind TEXT, label TEXT, size INTEGER, created REAL, used REAL) WITHOUT ROWID",
    # Addresses stand in other tables too: their key stays when the vault's data key is changed, and is as secret as what it hashes.
    "CREATE TABLE blob_address_key (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL)",
)
"""What the database must hold."""
DIRECTORY = "blobs"
"""Where a vault has them."""

_UNFINISHED = "new-"


class Blob(NamedTuple):
    """What is known of a blob: `size` in bytes of content, times in seconds since 1970, UTC."""

    address: str
    kind: str
    label: str
    size: int
    created: float
    used: float


class BlobStore:
    """Blobs in `directory`, which is this store's alone, under `key` of 32 bytes. `database` has SCHEMA; the store is for the
    thread that opened it. All contents together may have `limit_bytes`. `clock` gives seconds since 1970, UTC.

    Every method raises a StorageError where the disk or the database fails.
    """

    def __init__(
        self,
        directory: Path,
        key: bytes,
        database: Database,
        limit_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._key = derive(Secret(key), "blob content")
        self._address_key = _address_key(database)
        self._database = database
        self._limit = limit_bytes
        self._clock = clock

    def put(
        self, source: Source | bytes, kind: str, label: str = "", noted: Callable[[str], None] = lambda address: None
    ) -> str:
        """Stores what `source` has left; returns its address. Blobs that then do not fit beside it go, those not used for longest
        first. Content that is there already keeps its kind and label, counts as used, and is written anew, which mends a
        damaged file. `noted` is called with the address in the transaction that makes the blob known: what it writes to the
        database is never there without the blob, nor the blob without it.

        Raises StorageError for content longer than the limit; nothing is stored then.
        """
        hasher = self._hasher()
        plain = hashed(source, hasher, self._limit)
        with self._explained("written"), self._unfinished() as file:
            size = seal(plain, file, self._key.reveal(), lambda: hasher.hexdigest().encode())
            file.flush()
            os.fsync(file.fileno())
            address, now = hasher.hexdigest(), self._clock()
            self._keep(Path(file.name), Blob(address, kind, label, size, now, now), noted)
        self.evict(self._limit, spare=address)
        return address

    @contextmanager
    def open(self, address: str) -> Iterator[Iterator[bytes]]:
        """The content, piece by piece; the blob counts as used, and may be removed meanwhile.

        Raises StorageError where there is no such blob, VaultDamaged where it is not what was written and VaultTooNew for a later
        format. Damage further in shows only when the iterator gets there: who must have all or nothing calls `read`, or
        `check` first.
        """
        with self._opened(address) as pieces:
            self._touch(address)
            yield pieces

    def read(self, address: str) -> bytes:
        """The whole content, in memory; the blob counts as used. Raises as `open` does."""
        content = io.BytesIO()  # joining the pieces would hold everything twice
        with self.open(address) as pieces:
            content.writelines(pieces)
        return content.getvalue()

    def check(self, address: str) -> None:
        """Reads the blob through and compares the content with its address. Raises as `open` does."""
        hasher = self._hasher()
        with self._opened(address) as pieces:
            for piece in pieces:
                hasher.update(piece)
        if hasher.hexdigest() != address:
            raise VaultDamaged(
                f"The content of {self._path(address)} is not that of its address: memory or disk failed when it was written. "
                "`offline-agent vault verify` tells what else is damaged."
            )

    def exists(self, address: str) -> bool:
        return bool(list(self._database.execute("SELECT 1 FROM blobs WHERE id = ?", (address,))))

    def entries(self, kind: str | None = None) -> list[Blob]:
        """All blobs, or those of a kind, the one not used for longest first: they are evicted in this order."""
        rows = self._database.execute(
            "SELECT id, kind, label, size, created, used FROM blobs WHERE ?1 IS NULL OR kind = ?1 ORDER BY used, created, id",
            (kind,),
        )
        return [Blob(*row) for row in rows]

    def count(self) -> int:
        ((count,),) = self._database.execute("SELECT count(*) FROM blobs")
        return int(count)

    def total(self, kind: str | None = None) -> int:
        """Bytes of content of all blobs together, or of those of a kind."""
        ((total,),) = self._database.execute(
            "SELECT coalesce(sum(size), 0) FROM blobs WHERE ?1 IS NULL OR kind = ?1", (kind,)
        )
        return int(total)

    def remove(self, address: str) -> None:
        """Removes the blob, where there is one."""
        with self._explained("removed"), self._database.transaction():
            self._drop(address)

    def evict(self, limit: int, spare: str = "", kind: str | None = None) -> Pruned:
        """Removes blobs, those not used for longest first, until the others have at most `limit` bytes; never the blob `spare`.
        With a `kind`, no others are looked at."""
        if self.total(kind) <= limit:
            return Pruned()  # the usual case must not wait for a writer
        removed: list[Blob] = []
        with self._explained("removed"), self._database.transaction():
            excess = self.total(kind) - limit
            for blob in self.entries(kind):
                if excess <= 0:
                    break
                if blob.address != spare:
                    self._drop(blob.address)
                    removed.append(blob)
                    excess -= blob.size
        return Pruned(blobs=len(removed), bytes=sum(blob.size for blob in removed))

    def verify(self) -> Iterator[str]:
        """A sentence for everything that is not as it was written. Reads all there is; nothing counts as used."""
        for blob in self.entries():
            try:
                self.check(blob.address)
            except VaultError as error:
                if self.exists(blob.address):  # else it was removed meanwhile
                    yield str(error)

    def sweep(self) -> Pruned:
        """Removes what a crash left. What another process is writing stays. Counts blobs whose file is gone, and bytes of files."""
        lost, freed = 0, 0
        with self._explained("swept"), self._database.transaction():
            known = {blob.address for blob in self.entries()}
            for path in self._files():
                if path.name not in known:
                    freed += _discard(path)
            for address in known:
                if not self._path(address).exists():
                    self._drop(address)
                    lost += 1
        return Pruned(blobs=lost, bytes=freed)

    def copy_to(self, directory: Path, key: bytes) -> None:
        """Every blob again, with the same address, sealed under `key` in the new `directory`: for a copy of the database. Raises
        as `open` does."""
        content_key = derive(Secret(key), "blob content").reveal()
        for blob in self.entries():
            path = directory / blob.address[:2] / blob.address
            make_private(path.parent)
            with self._opened(blob.address) as pieces, self._explained("copied", blob.address), _create(path) as file:
                seal(Joined(pieces), file, content_key, blob.address.encode())

    def _keep(self, unfinished: Path, blob: Blob, noted: Callable[[str], None]) -> None:
        path = self._path(blob.address)
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO blobs (id, kind, label, size, created, used) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET used = excluded.used",
                blob,
            )
            noted(blob.address)
            make_private(path.parent)
            unfinished.replace(path)
            sync_directory(path.parent)
            sync_directory(self._directory)

    def _drop(self, address: str) -> None:
        # In this order, and in a transaction: an address that is no blob's never becomes a path.
        if self.exists(address):
            self._database.execute("DELETE FROM blobs WHERE id = ?", (address,))
            self._path(address).unlink(missing_ok=True)

    def _touch(self, address: str) -> None:
        with suppress(StorageError):  # a full disk keeps nobody from reading
            self._database.execute("UPDATE blobs SET used = ? WHERE id = ?", (self._clock(), address))

    @contextmanager
    def _opened(self, address: str) -> Iterator[Iterator[bytes]]:
        if not self.exists(address):
            raise _unknown(address)
        with self._file(address) as file:
            with self._explained("read", address):
                pieces = opened(file, self._key.reveal(), address.encode())
            yield self._each_explained(pieces, address)

    def _each_explained(self, pieces: Iterator[bytes], address: str) -> Iterator[bytes]:
        with self._explained("read", address):
            yield from pieces

    def _file(self, address: str) -> io.BufferedReader:
        path = self._path(address)
        with self._explained("read", address):
            try:
                return path.open("rb")
            except FileNotFoundError:
                with self._database.transaction():  # waits for a process that is just removing it, row and file
                    known = self.exists(address)
                if not known:
                    raise _unknown(address) from None
                raise VaultDamaged("The file is gone. `offline-agent vault verify` tells what else is.") from None

    def _files(self) -> Iterator[Path]:
        yield from self._directory.glob(f"{_UNFINISHED}*")
        yield from self._directory.glob("??/*")

    def _path(self, address: str) -> Path:
        return self._directory / address[:2] / address

    def _hasher(self) -> blake3:
        # On all cores, or hashing would take longer than encryption does.
        return blake3(key=self._address_key.reveal(), max_threads=blake3.AUTO)

    @contextmanager
    def _unfinished(self) -> Iterator[BinaryIO]:
        make_private(self._directory)
        file = _create_locked(self._directory)
        try:
            with file:
                yield file
        finally:
            Path(file.name).unlink(missing_ok=True)

    @contextmanager
    def _explained(self, done: str, address: str = "") -> Iterator[None]:
        place = self._path(address) if address else self._directory
        try:
            yield
        except VaultDamaged as error:
            raise VaultDamaged(f"{place}: {error}") from None
        except OSError as error:
            raise StorageError(f"{place} cannot be {done}: {error.strerror}. {advice_on(error)}") from None


def _address_key(database: Database) -> Secret:
    """Made when the first store is; all who ask at once get the same."""
    database.execute(
        "INSERT INTO blob_address_key VALUES (1, ?) ON CONFLICT (id) DO NOTHING", (secrets.token_bytes(32),)
    )
    ((key,),) = database.execute("SELECT key FROM blob_address_key")
    return Secret(key)


def _create(path: Path) -> BinaryIO:
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))


def _create_locked(directory: Path) -> BinaryIO:
    """A new file, for its owner alone, with a lock that ends with this process."""
    while True:
        path = directory / f"{_UNFINISHED}{secrets.token_hex(8)}"
        file = _create(path)
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # a sweep came between the two


def _discard(path: Path) -> int:
    """Removes the file, unless the process that writes it is alive; returns its bytes."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            return os.fstat(file.fileno()).st_size
    except (BlockingIOError, FileNotFoundError):
        return 0


def _unknown(address: str) -> StorageError:
    return StorageError(f"There is no blob {address}: it was removed, or made room for others. Make it again.")
