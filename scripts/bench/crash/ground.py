"""Where a victim works: a vault in a directory, and beside it notes of what it was about to do and what was done.

A note is a line: `? WORDS` before something is begun, `! WORDS` once it is committed. The kernel has a note as soon as it is
written, so it survives `kill -9`; what is said to be committed and is not there afterwards is lost.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from offline_agent.protocols import Embedder
from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.hashing import HashingEmbedder
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.tokens import WordCounter
from offline_agent.settings import IndexSettings, LogSettings, VaultSettings, find_declarations
from offline_agent.vault.archive import Archive
from offline_agent.vault.header import Cost
from offline_agent.vault.keeper import Keeper
from offline_agent.vault.kernel import MemoryKeyCache
from offline_agent.vault.keys import Keys, ScriptedPassphrases
from offline_agent.vault.sealed import SealedVault

INDEX = "repos/0123456789abcdef"
_CHEAP = Cost(memory=64, passes=1, lanes=1)  # this is not about guessing passphrases


class Lost(Exception):
    """Something that was stored is not there, or what is there is not whole."""


def keeper(place: Path, given: bytes | None = None, new: bytes | None = None) -> Keeper:
    """Opens with `given`, or without a passphrase; `new` is what it answers when asked for another."""
    passphrases = ScriptedPassphrases(given, () if new is None else (new,))
    return Keeper(place / "data", Keys("auto", place / "config", passphrases, lambda: None, MemoryKeyCache(), _CHEAP))


class Opened(NamedTuple):
    vault: SealedVault
    archive: Archive


@contextmanager
def opened(place: Path, given: bytes | None = None) -> Iterator[Opened]:
    with ExitStack() as stack:
        vault = stack.enter_context(closing(keeper(place, given).open()))
        archive = stack.enter_context(closing(Archive(vault, vault.blob_key, VaultSettings(), LogSettings())))
        yield Opened(vault, archive)


def index_place(vault: SealedVault, place: Path) -> Place:
    """The index of the directory `files`, quick to start: words are hashed."""

    def load_embedder() -> Embedder:
        return HashingEmbedder()

    return Place(
        root=place / "files",
        directory=vault.directory(INDEX),
        declarations=find_declarations() / "index",
        open_database=lambda: vault.database(f"{INDEX}/index"),
        load_counter=WordCounter,
        fingerprint=HashingEmbedder.fingerprint,
        load_embedder=load_embedder,
        open_vectors=lambda _: ExactIndex(),
        index=IndexSettings(quiet_seconds=0.02, patience_seconds=0.1),
        batch=4,
    )


class Notes:
    def __init__(self, place: Path) -> None:
        self._path = place / "notes"

    def begin(self, words: str) -> None:
        self._write(f"? {words}\n")

    def done(self, words: str) -> None:
        self._write(f"! {words}\n")

    def lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []

    def committed(self, what: str) -> list[str]:
        """What stands after `what` in the notes of things done."""
        return [line.removeprefix(f"! {what} ") for line in self.lines() if line.startswith(f"! {what} ")]

    @property
    def unfinished(self) -> str:
        """What was begun last and not noted as done."""
        last = (self.lines() or [""])[-1]
        return last.removeprefix("? ") if last.startswith("? ") else ""

    def _write(self, line: str) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def require(true: object, what: str) -> None:
    if not true:
        raise Lost(what)
