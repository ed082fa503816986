"""What the vault keeps for one repository."""

import logging
from collections.abc import Callable
from contextlib import closing
from functools import cached_property
from pathlib import Path

from offline_agent import __version__
from offline_agent.protocols import Vault
from offline_agent.retrieval.repository import Repository
from offline_agent.vault.archive import Archive
from offline_agent.vault.credentials import Credentials
from offline_agent.vault.inspect import REPOSITORIES
from offline_agent.vault.journal import SealedJournals
from offline_agent.vault.opened import OpenVault
from offline_agent.vault.schema import MAIN_NAME

log = logging.getLogger(__name__)

CHROMA = "chroma"
"""The credential with which a team's Chroma server is spoken to: the value of the Authorization header."""
ENDPOINT = "endpoint"
"""The one with which the server of [endpoint] url is spoken to, likewise."""


class Stored:
    """The vault is opened, by `open_vault`, when it is first needed; all that needs it raises a VaultError where it cannot be."""

    def __init__(self, repository: Repository, open_vault: Callable[[], OpenVault]) -> None:
        self._repository = repository
        self._open_vault = open_vault

    @cached_property
    def _opened(self) -> OpenVault:
        opened = self._open_vault()
        log.info("offline-agent %s in %s", __version__, self._repository.root)
        return opened

    @property
    def is_open(self) -> bool:
        return "_opened" in self.__dict__

    @property
    def vault(self) -> Vault:
        return self._opened.vault

    @property
    def archive(self) -> Archive:
        """Sessions, audit, log, credentials: for the thread that first asked."""
        return self._opened.archive

    @property
    def data_key(self) -> bytes:
        """What opens the vault in a child process, which reads it from a pipe."""
        return self._opened.vault.data_key.reveal()

    @cached_property
    def key(self) -> str:
        """The repository's name in the vault: random, so that the directory of that name tells nothing."""
        repositories = self.archive.repositories
        key = repositories.key(str(self._repository.root))
        repositories.touch(key)
        return f"{REPOSITORIES}/{key}"

    @property
    def journals(self) -> SealedJournals:
        """What undoes the turns of this repository."""
        return self.archive.journals(self.key.rpartition("/")[2])

    @cached_property
    def directory(self) -> Path:
        """Private, for the lock and the socket of its index."""
        return self.vault.directory(self.key)

    def authorization(self, name: str) -> str | None:
        """What a server is told in the header of that name. For any thread, and read anew each time: it may be set meanwhile."""
        with closing(self.vault.database(MAIN_NAME, durable=True)) as database:
            return Credentials(database).get(name)

    def close(self) -> None:
        if self.is_open:
            self._opened.close()
