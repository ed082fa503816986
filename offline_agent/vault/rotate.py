"""Copies everything one data key seals to another directory, sealed with another.

The copy is complete and on the disk before anything refers to it, so whoever is killed here has changed nothing.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from offline_agent.errors import StorageError, VaultDamaged
from offline_agent.vault.blobs import DIRECTORY, BlobStore
from offline_agent.vault.files import make_private
from offline_agent.vault.journal import DIRECTORY as JOURNALS
from offline_agent.vault.journal import each_repository
from offline_agent.vault.schema import MAIN, MAIN_NAME
from offline_agent.vault.sealed import SealedVault, sealed_uri
from offline_agent.vault.secret import Secret

_DATABASE = ".db"


def database_names(directory: Path) -> Iterator[str]:
    """The names of the databases in a generation."""
    for path in sorted(directory.rglob(f"*{_DATABASE}")):
        yield path.relative_to(directory).with_suffix("").as_posix()


def copy_generation(source: Path, old_key: Secret, target: Path, new_key: Secret) -> None:
    """Raises VaultDamaged where something in `source` cannot be read, and StorageError; `target` is half made then."""
    shutil.rmtree(target, ignore_errors=True)
    make_private(target)
    for name in database_names(source):
        _copy_database(SealedVault(source, old_key), SealedVault(target, new_key), name)
    _copy_blobs(SealedVault(source, old_key), SealedVault(target, new_key))
    _copy_journals(SealedVault(source, old_key), SealedVault(target, new_key))
    _sync(target)


def _copy_database(source: SealedVault, target: SealedVault, name: str) -> None:
    path = target.database_file(name)
    with closing(source.database(name)) as database:
        database.execute("VACUUM INTO ?", (sealed_uri(path, target.data_key, name),))
    with closing(target.database(name)) as copy:
        faults = copy.execute("PRAGMA integrity_check(1)")
        if faults != [("ok",)]:
            raise VaultDamaged(
                f"The copy of the database {name} is not whole ({faults[0][0]}). The vault stays as it was."
            )
        copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy_blobs(source: SealedVault, target: SealedVault) -> None:
    with closing(source.database(MAIN_NAME, durable=True)) as database:
        database.migrate(MAIN)
        store = BlobStore(source.directory(DIRECTORY), source.blob_key, database, limit_bytes=0)
        store.sweep()  # a row whose file a crash took would hold everything up
        store.copy_to(target.directory(DIRECTORY), target.blob_key)


def _copy_journals(source: SealedVault, target: SealedVault) -> None:
    for name, journals in each_repository(source.directory(JOURNALS), source.blob_key):
        journals.copy_to(target.directory(f"{JOURNALS}/{name}"), target.blob_key)


def _sync(directory: Path) -> None:
    """Everything below reaches the disk: SQLite does not wait for that when it copies."""
    try:
        for place, _, files in os.walk(directory):
            for path in (Path(place), *(Path(place, file) for file in files)):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
    except OSError as error:
        raise StorageError(
            f"Cannot write {directory}: {error.strerror}. Nothing was changed; check the disk."
        ) from None
