"""The double of the vault: the same files, in clear. No setting leads here; tests use it, and the proof that encryption matters."""

from pathlib import Path

from offline_agent.vault.database import ApswDatabase
from offline_agent.vault.files import Files


class PlainVault:
    """A Vault that does not encrypt."""

    def __init__(self, root: Path) -> None:
        self._files = Files(root)

    def database(self, name: str, durable: bool = False) -> ApswDatabase:
        return ApswDatabase(self._files.database(name), durable, unlock=lambda connection: None)

    def directory(self, name: str) -> Path:
        return self._files.directory(name)

    def destroy(self, name: str) -> None:
        self._files.destroy(name)
