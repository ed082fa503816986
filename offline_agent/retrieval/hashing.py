"""Doubles that need no model files: an embedder that hashes words, and an exact vector index in memory."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from offline_agent.retrieval.terms import terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class HashingEmbedder:
    """A hashed bag of terms: texts that share words have vectors that point the same way. Fast, and the same everywhere."""

    fingerprint = "hashing-256"
    dimensions = 256

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        import numpy as np

        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row, 0] = 0.1  # no text is without a direction
            for term in terms(text):
                digest = hashlib.blake2b(term.encode(), digest_size=3).digest()
                vectors[row, digest[0]] += 1.0 if digest[1] & 1 else -1.0
        lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / lengths


class MemoryIndex:
    """An exact VectorIndex: the oracle that approximate ones are compared with."""

    def __init__(self) -> None:
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def keys(self) -> set[str]:
        return set(self._vectors)

    def add(self, keys: Sequence[str], vectors: "NDArray[np.float32]") -> None:
        self._vectors.update(zip(keys, vectors, strict=True))

    def remove(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._vectors.pop(key, None)

    def search(self, vector: "NDArray[np.float32]", limit: int) -> list[tuple[str, float]]:
        scored = [(key, float(one @ vector)) for key, one in self._vectors.items()]
        return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:limit]
