"""A vault in use: the databases, the records made of them, and this process's log."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from offline_agent.records import VaultCounts, Verified
from offline_agent.settings import Settings
from offline_agent.vault.archive import Archive
from offline_agent.vault.inspect import REPOSITORIES, counts, verify
from offline_agent.vault.kernel import protect_process
from offline_agent.vault.logs import VaultHandler
from offline_agent.vault.plain import PlainVault
from offline_agent.vault.schema import LOGS_NAME
from offline_agent.vault.sealed import SealedVault


class OpenVault:
    """A vault that is open, with its records, and with what this process logs going into it. Close it.

    From here on this process leaves no core behind: it would have the key in it, and what was read with it.
    """

    def __init__(self, settings: Settings, vault: SealedVault | PlainVault, process: str) -> None:
        protect_process()
        self.vault = vault
        self.archive = Archive(vault, vault.blob_key, settings.vault, settings.log, settings.undo)
        self._handler = VaultHandler(lambda: vault.database(LOGS_NAME), process)
        logging.getLogger().addHandler(self._handler)
        logging.captureWarnings(True)  # what libraries warn of is for the log, not for the terminal
        logging.getLogger("offline_agent").setLevel(settings.log.level.upper())

    @property
    def generation(self) -> Path:
        """The directory in which everything of it is."""
        return self.vault.directory(REPOSITORIES).parent

    def count(self) -> VaultCounts:
        """How much there is of everything. Raises a VaultError."""
        return counts(self.generation, self.archive)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Verified]:
        """Reads everything, and goes on after a fault. `progress` is called with how many parts are read and how many there are."""
        return verify(self.generation, self.vault, self.archive, progress)

    def close(self) -> None:
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()
        self.archive.close()
        self.vault.close()
