"""The double of the embedder, which needs no model files: it hashes words."""

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
