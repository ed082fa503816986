"""Nearest neighbours with ChromaDB, embedded: keys and vectors only, in a private directory, rebuilt from the store when in doubt.

Chroma takes its settings from the environment and from `.env` in the current directory, where a hostile repository could turn it
into a client of somebody else's server or name a class to import. So the environment is cleaned, the current directory is the
private one while it is imported, and every setting that names code is pinned. One process at a time may own the directory (see
lock.py): two lose vectors without an error.
"""

import contextlib
import hashlib
import importlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offline_agent.errors import StorageError

if TYPE_CHECKING:
    import numpy as np
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection
    from numpy.typing import NDArray

_PAGE = 5000  # below Chroma's own limit for one call
_PROBES = 32
_SAME = 1e-3  # cosine distance of a vector to itself, rounding included
_OPENING = "opening"  # a file that is there while the directory is being opened


class ChromaIndex:
    """A VectorIndex. `note` says so when the directory was unreadable and had to be made anew."""

    def __init__(self, directory: Path, fingerprint: str) -> None:
        self.note = ""
        self._directory = directory
        # Chroma allows letters, digits, dots and dashes in a name; a fingerprint may hold anything.
        self._name = f"vectors-{hashlib.sha256(fingerprint.encode()).hexdigest()[:32]}"
        self._client: Client | None = None
        _make_private(directory)
        _import_chroma(directory)
        if (directory / _OPENING).exists():
            # A damaged file can end the whole process (seen with zeroed link lists): the last attempt did not survive.
            self.note = "The vector index was damaged and is being rebuilt."
            self._wipe()
        try:
            self._open()
        except StorageError as error:
            self.note = f"The vector index was damaged and is being rebuilt ({error})."
            self._wipe()
            self._open()

    def keys(self) -> set[str]:
        return set(self._keys)

    def add(self, keys: Sequence[str], vectors: "NDArray[np.float32]") -> None:
        for start in range(0, len(keys), _PAGE):
            with _translated(self._directory):
                self._collection.upsert(
                    ids=list(keys[start : start + _PAGE]), embeddings=vectors[start : start + _PAGE]
                )
            self._keys.update(keys[start : start + _PAGE])

    def remove(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _PAGE):
            with _translated(self._directory):
                self._collection.delete(ids=list(keys[start : start + _PAGE]))
        self._keys.difference_update(keys)

    def search(self, vector: "NDArray[np.float32]", limit: int) -> list[tuple[str, float]]:
        limit = min(limit, len(self._keys))
        if limit == 0:
            return []
        with _translated(self._directory):
            found = self._collection.query(
                query_embeddings=vector.reshape(1, -1), n_results=limit, include=["distances"]
            )
        distances = found["distances"] or [[]]
        return [(key, 1.0 - distance) for key, distance in zip(found["ids"][0], distances[0], strict=True)]

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _open(self) -> None:
        with contextlib.chdir(self._directory), _translated(self._directory):
            Path(_OPENING).touch()
            self._client = _client(self._directory)
            self._collection: Collection = self._client.get_or_create_collection(
                self._name,
                configuration={"hnsw": {"space": "cosine"}},
                embedding_function=None,  # the default one would fetch a model
            )
            self._keys = self._read_keys()
            self._probe()
            Path(_OPENING).unlink()

    def _read_keys(self) -> set[str]:
        keys: set[str] = set()
        while page := self._collection.get(limit=_PAGE, offset=len(keys), include=[])["ids"]:
            keys.update(page)
        return keys

    def _probe(self) -> None:
        """Looks some stored vectors up: a file cut short loses vectors without an error. The search is approximate, so a few
        that do not find themselves are no damage."""
        if not self._keys:
            return
        import numpy as np

        some = sorted(self._keys)[:: max(1, len(self._keys) // _PROBES)]
        stored = self._collection.get(ids=some, include=["embeddings"])["embeddings"]
        vectors = np.asarray(stored, dtype=np.float32)
        found = self._collection.query(query_embeddings=vectors, n_results=1, include=["distances"])["distances"] or []
        missed = sum(not one or not abs(one[0]) < _SAME for one in found)
        if not np.isfinite(vectors).all() or missed > len(some) // 4:
            raise StorageError("vectors are missing")

    def _wipe(self) -> None:
        from chromadb.api.client import Client

        # Chroma keeps a client that failed to start and would hand it out again for the same directory.
        Client.clear_system_cache()
        self._client = None
        try:
            shutil.rmtree(self._directory)
        except OSError as error:
            raise StorageError(f"The vector index {self._directory} cannot be removed ({error.strerror}).") from None
        _make_private(self._directory)


def _make_private(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise StorageError(
            f"The directory {directory} cannot be made ({error.strerror}). Check that you own it."
        ) from None


def _import_chroma(directory: Path) -> None:
    """The first import, with nothing around that could speak to it."""
    for name in [name for name in os.environ if name.upper().startswith("CHROMA_")]:
        del os.environ[name]
    try:
        with contextlib.chdir(directory):
            importlib.import_module("chromadb.api.client")
    except ImportError as error:
        raise StorageError(f"ChromaDB cannot be loaded ({error}). Run scripts/setup.") from error


def _client(directory: Path) -> "Client":
    from chromadb.api.client import Client
    from chromadb.config import Settings

    pinned: dict[str, Any] = {
        "_env_file": None,
        "chroma_api_impl": "chromadb.api.rust.RustBindingsAPI",
        "is_persistent": True,
        "persist_directory": str(directory),
        "anonymized_telemetry": False,
        "chroma_product_telemetry_impl": "chromadb.telemetry.product.posthog.Posthog",  # an empty shell in this release
        "chroma_telemetry_impl": "chromadb.telemetry.product.posthog.Posthog",
        "chroma_otel_collection_endpoint": "",
        "chroma_otel_granularity": None,
        "chroma_client_auth_provider": None,
        "chroma_server_authn_provider": None,
        "chroma_server_authz_provider": None,
        "chroma_server_host": None,
        "chroma_server_nofile": None,
        "migrations": "apply",
    }
    return Client(settings=Settings(**pinned))


@contextlib.contextmanager
def _translated(directory: Path) -> Iterator[None]:
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise StorageError(f"The vector index {directory} failed: {reason}") from error
