"""Vectors turned so that their first axes carry most: the same cosines, and a search need look at the others of few texts only.

How many are enough is said in the catalogue (`leading`): among 100,000 chunks, ten times as many as wanted, chosen by 96 axes, hold
0.999 of the nearest 100 and 0.993 of the nearest 400.
"""

import numpy as np
from numpy.typing import NDArray

from offline_agent.retrieval.static import StaticEmbedder


def turned(table: NDArray[np.float32], vocabulary: dict[str, int], texts: list[str]) -> NDArray[np.float32]:
    """The table of shape (pieces, dimensions) on the principal axes of the vectors of `texts`, which are code as it is searched;
    the axis that carries most first. The axes come from the vectors as they are, not from their differences to a mean: what all
    have in common counts in a cosine too."""
    vectors = StaticEmbedder("", vocabulary, table).encode(texts).astype(np.float64)
    _, axes = np.linalg.eigh(vectors.T @ vectors)  # ascending
    turned: NDArray[np.float32] = (table @ axes[:, ::-1]).astype(np.float32)
    return turned
