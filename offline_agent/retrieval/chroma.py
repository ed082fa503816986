"""Nearest neighbours with ChromaDB, embedded and in memory alone: keys and vectors only, and no file. A vector can be turned back
into text, so it must not rest on disk in clear, and Chroma knows no other way.

Chroma takes its settings from the environment and from `.env` in the current directory, where a hostile repository could turn it
into a client of somebody else's server or name a class to import. So the environment is cleaned, the current directory is our own
while it is imported, and every setting that names code or a file is pinned.
"""

import contextlib
import hashlib
import importlib
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offline_agent.errors import StorageError

if TYPE_CHECKING:
    import numpy as np
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection
    from chromadb.config import Settings
    from numpy.typing import NDArray

_PAGE = 5000  # below Chroma's own limit for one call
_OURS = Path(__file__).parent  # whoever may put a `.env` there can change the program itself


class ChromaIndex:
    """A VectorIndex, empty at first and gone when it is closed. Raises a StorageError where Chroma cannot be used."""

    def __init__(self, fingerprint: str) -> None:
        self._keys: set[str] = set()
        import_chroma("chromadb.api.client")
        with _translated():
            self._client: Client | None = _client()
            self._collection: Collection = self._client.create_collection(
                _name(fingerprint),
                configuration={"hnsw": {"space": "cosine"}},
                embedding_function=None,  # the default one would fetch a model
            )

    def keys(self) -> set[str]:
        return set(self._keys)

    def add(self, keys: Sequence[str], vectors: "NDArray[np.float32]") -> None:
        for start in range(0, len(keys), _PAGE):
            page = list(keys[start : start + _PAGE])
            with _translated():
                self._collection.upsert(ids=page, embeddings=vectors[start : start + _PAGE])
            self._keys.update(page)

    def remove(self, keys: Sequence[str]) -> None:
        known = [key for key in keys if key in self._keys]
        for start in range(0, len(known), _PAGE):
            with _translated():
                self._collection.delete(ids=known[start : start + _PAGE])
        self._keys.difference_update(known)

    def search(self, vector: "NDArray[np.float32]", limit: int) -> list[tuple[str, float]]:
        limit = min(limit, len(self._keys))
        if limit <= 0:
            return []
        with _translated():
            found = self._collection.query(
                query_embeddings=vector.reshape(1, -1), n_results=limit, include=["distances"]
            )
        distances = found["distances"] or [[]]
        return [(key, 1.0 - distance) for key, distance in zip(found["ids"][0], distances[0], strict=True)]

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with _translated():
                client.delete_collection(self._collection.name)
                client.close()


def _name(fingerprint: str) -> str:
    """Chroma allows letters, digits, dots and dashes; a fingerprint may hold anything. All that is in memory in one process is one
    database to Chroma, so the name is nobody else's."""
    return f"{hashlib.sha256(fingerprint.encode()).hexdigest()[:32]}-{uuid.uuid4().hex}"


def import_chroma(module: str) -> None:
    """The first import of a module of Chroma's, with nothing around that could speak to it. Raises a StorageError."""
    for name in [name for name in os.environ if name.upper().startswith("CHROMA_")]:
        del os.environ[name]
    try:
        with contextlib.chdir(_OURS):
            importlib.import_module(module)
    except Exception as error:  # whatever a library of this size runs into while it is set up: a search needs it not
        reason = str(error).strip().partition("\n")[0]
        raise StorageError(f"ChromaDB cannot be loaded ({reason}). Run scripts/setup.") from error


def pinned(implementation: str, **settings: Any) -> "Settings":
    """Chroma's settings, with every one that names code, a file or a server said here and nowhere else."""
    from chromadb.config import Settings

    fixed: dict[str, Any] = {
        "_env_file": None,
        "chroma_api_impl": implementation,
        "is_persistent": False,
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
    return Settings(**(fixed | settings))


def _client() -> "Client":
    from chromadb.api.client import Client

    return Client(settings=pinned("chromadb.api.rust.RustBindingsAPI"))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise StorageError(f"ChromaDB failed: {reason}.") from error
