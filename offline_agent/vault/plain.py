"""The double of the vault: the same files, in clear. No setting leads here; tests use it, and the proof that encryption matters."""

from pathlib import Path

from offline_agent.vault.database import ApswDatabase
from offline_agent.vault.files import Files
from offline_agent.vault.secret import Secret


class PlainVault:
    """A Vault that does not encrypt. Its blobs are sealed, with a key that anybody knows."""

    data_key = Secret(bytes(32))
    blob_key = data_key.reveal()

    def __init__(self, root: Path) -> None:
        self._files = Files(root)

    def database(self, name: str, durable: bool = False) -> ApswDatabase:
        return ApswDatabase(self._files.database(name), durable, unlock=lambda connection: None)

    def directory(self, name: str) -> Path:
        return self._files.directory(name)

    def destroy(self, name: str) -> None:
        self._files.destroy(name)

    def close(self) -> None:
        """Nothing is held."""
