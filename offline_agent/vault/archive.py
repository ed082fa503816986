"""The records of a vault, each kind by its own class, all made when first asked for."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import cached_property, partial

from offline_agent.errors import VaultDamaged
from offline_agent.protocols import Database, Vault
from offline_agent.records import Pruned
from offline_agent.settings import LogSettings, UndoSettings, VaultSettings
from offline_agent.vault.audit import AuditChain
from offline_agent.vault.benchmarks import Benchmarks
from offline_agent.vault.blobs import DIRECTORY, BlobStore
from offline_agent.vault.credentials import Credentials
from offline_agent.vault.journal import DIRECTORY as JOURNALS
from offline_agent.vault.journal import SealedJournals, each_repository
from offline_agent.vault.logs import Logs
from offline_agent.vault.outputs import forget_outputs
from offline_agent.vault.repositories import Repositories
from offline_agent.vault.schema import LOGS_NAME, MAIN, MAIN_NAME
from offline_agent.vault.sessions import Sessions
from offline_agent.vault.states import States

_DAY = 86400.0
_UNDO = UndoSettings()


class Archive:
    """For the thread that made it, but for `states` and `journals`. `blob_key` seals the blobs and the journals."""

    def __init__(
        self,
        vault: Vault,
        blob_key: bytes,
        settings: VaultSettings,
        log: LogSettings,
        undo: UndoSettings = _UNDO,
    ) -> None:
        self._vault = vault
        self._blob_key = blob_key
        self._settings = settings
        self._log = log
        self._undo = undo
        self._open = ExitStack()

    @cached_property
    def main(self) -> Database:
        """The database of everything a person would miss."""
        database = self._open.enter_context(closing(self._vault.database(MAIN_NAME, durable=True)))
        database.migrate(MAIN)
        return database

    @cached_property
    def repositories(self) -> Repositories:
        return Repositories(self.main)

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.main, forget=self._forget_gone)

    @cached_property
    def audit(self) -> AuditChain:
        return AuditChain(self.main)

    @cached_property
    def credentials(self) -> Credentials:
        return Credentials(self.main)

    @cached_property
    def benchmarks(self) -> Benchmarks:
        return Benchmarks(self.main)

    @cached_property
    def logs(self) -> Logs:
        return Logs(self._open.enter_context(closing(self._vault.database(LOGS_NAME))))

    @cached_property
    def blobs(self) -> BlobStore:
        return BlobStore(self._vault.directory(DIRECTORY), self._blob_key, self.main, _bytes(self._settings))

    @cached_property
    def states(self) -> States:
        directory = partial(self._vault.directory, DIRECTORY)
        states = States(self._another_main, directory, self._blob_key, _bytes(self._settings))
        return self._open.enter_context(closing(states))

    def journals(self, key: str) -> SealedJournals:
        """What undoes the turns of the repository of that key."""
        return SealedJournals(self._vault.directory(JOURNALS) / key, self._blob_key)

    def prune(self, settings: VaultSettings | None = None, log: LogSettings | None = None) -> Pruned:
        """Removes what the settings do not keep, these or the ones from the start, and what crashes left. What undoes turns goes
        where there is too much of it, or its repository is not known any more; its bytes count too. Raises a VaultError."""
        settings, log, now = settings or self._settings, log or self._log, time.time()
        sessions = self.sessions.prune(_days_before(now, settings.session_days), settings.sessions)
        self.blobs.sweep()
        limit = _bytes(settings)
        gone = (self.states.sweep(), self.states.evict(limit), self.blobs.evict(limit))
        return Pruned(
            sessions=sessions,
            log_entries=self.logs.prune(_days_before(now, log.days), log.entries),
            blobs=sum(pruned.blobs for pruned in gone),
            bytes=sum(pruned.bytes for pruned in gone) + self._prune_journals(),
        )

    def _forget_gone(self) -> None:
        """What was kept of sessions that are not stored any more."""
        self.states.sweep()
        stored = {session for (session,) in self.main.execute("SELECT id FROM sessions")}
        forget_outputs(self.blobs, stored.__contains__)

    def journal_faults(self) -> Iterator[str]:
        """One sentence for each turn whose undoing is not as it was written. Raises a StorageError."""
        for _, journals in each_repository(self._vault.directory(JOURNALS), self._blob_key):
            yield from journals.verify()

    def _prune_journals(self) -> int:
        """The bytes of what was removed."""
        known, removed = {repository.key for repository in self.repositories.all()}, 0
        for key, journals in each_repository(self._vault.directory(JOURNALS), self._blob_key):
            if key in known:
                removed += journals.prune(self._undo.turns, self._undo.megabytes * 1_000_000)
            else:
                removed += journals.prune(0, 0)
                if not journals.numbers():
                    self._vault.destroy(f"{JOURNALS}/{key}")
        return removed

    def faults(self) -> Iterator[str]:
        """One sentence for each thing that is not as it was written, in what is not a database."""
        try:
            broken = self.audit.verify()
        except VaultDamaged as error:
            yield str(error)
        else:
            if broken is not None:
                yield f"audit record {broken.number}: {broken.sentence}"
        yield from self.blobs.verify()

    def close(self) -> None:
        self._open.close()

    def _another_main(self) -> Database:
        database = self._vault.database(MAIN_NAME, durable=True)
        try:
            database.migrate(MAIN)
        except BaseException:
            database.close()
            raise
        return database


def _bytes(settings: VaultSettings) -> int:
    """What all blobs together may have."""
    return settings.blob_megabytes * 1_000_000


def _days_before(now: float, days: int | None) -> float | None:
    return None if days is None else now - days * _DAY
