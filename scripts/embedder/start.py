"""The first vectors: each piece as a sentence encoder sees it alone, in fewer dimensions, frequent ones shorter.

This brings what the pairs are too few to teach: that "delete" and "remove" mean the same. After model2vec (Minish), which weights
by smooth inverse frequency: a / (a + p), Arora et al. 2017.
"""

import numpy as np
from numpy.typing import NDArray

from offline_agent.retrieval.embed import directory_of, go_offline
from offline_agent.retrieval.static import CONTINUED, UNKNOWN
from offline_agent.settings import EmbedderSettings

from .cut import ENCODER

DIMENSIONS = 256
_SMOOTHING = 1e-3


def vectors(vocabulary: dict[str, int], counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Shape (pieces, 256), for pieces that occur `counts` times; the unknown piece is zero."""
    go_offline()
    from sentence_transformers import SentenceTransformer

    words = [""] * len(vocabulary)
    for piece, row in vocabulary.items():
        words[row] = piece.removeprefix(CONTINUED)
    model = SentenceTransformer(str(directory_of(ENCODER, EmbedderSettings())), local_files_only=True, device="cpu")
    seen = model.encode(words, batch_size=256, normalize_embeddings=True, convert_to_numpy=True).astype(np.float64)
    seen -= seen.mean(axis=0)
    _, axes = np.linalg.eigh(seen.T @ seen)
    fewer = seen @ axes[:, ::-1][:, :DIMENSIONS]
    fewer /= np.maximum(np.linalg.norm(fewer, axis=1, keepdims=True), 1e-9)
    share = (counts + 1) / (counts + 1).sum()
    weights = _SMOOTHING / (_SMOOTHING + share)
    for piece, row in vocabulary.items():
        if piece.startswith(CONTINUED):
            weights[row] *= 0.5  # an ending alone says little
    weights[vocabulary[UNKNOWN]] = 0.0
    table: NDArray[np.float32] = (fewer * weights[:, None]).astype(np.float32)
    return table
