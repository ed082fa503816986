"""Rows of vectors and the nearest of them to another: all of each vector looked at, or first only the part that carries most."""

from typing import TYPE_CHECKING, Any, Protocol

from offline_agent.retrieval.best import best

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROUNDING = 1e-6  # cosines closer than this differ by float32's rounding, which depends on the row a vector is in
_SCREENED = 10  # times as many rows as are wanted

Rows = slice | list[int]
Near = tuple["NDArray[np.intp]", "NDArray[np.float32]"]
"""Rows with their cosines."""


class Matrix(Protocol):
    """Unit vectors by row. Rows that were never written hold anything."""

    rows: int
    dimensions: int

    def grow(self, rows: int) -> None:
        """Makes room for more."""

    def write(self, rows: Rows, vectors: "NDArray[np.float32]") -> None: ...

    def read(self, rows: list[int]) -> "NDArray[np.float32]":
        """Copies."""

    def nearest(self, vector: "NDArray[np.float32]", count: int, limit: int) -> Near:
        """The `limit` nearest of the first `count` rows, in no order, and all that are as near as the last of them."""


class WholeMatrix:
    """A Matrix of float32. float16 would halve the memory and take ten times as long: every value is widened for each search."""

    def __init__(self, rows: int, dimensions: int) -> None:
        import numpy as np

        self.rows, self.dimensions = rows, dimensions
        self._values: NDArray[np.float32] = np.empty((rows, dimensions), dtype=np.float32)

    def grow(self, rows: int) -> None:
        self.rows, self._values = rows, _grown(self._values, rows)

    def write(self, rows: Rows, vectors: "NDArray[np.float32]") -> None:
        self._values[rows] = vectors

    def read(self, rows: list[int]) -> "NDArray[np.float32]":
        return self._values[rows]

    def nearest(self, vector: "NDArray[np.float32]", count: int, limit: int) -> Near:
        scores = self._values[:count] @ vector
        near = best(scores, limit, ROUNDING)
        return near, scores[near]


class SplitMatrix:
    """A Matrix for vectors whose first `leading` axes carry most: these, in float32, choose ten times as many rows as are wanted;
    the other axes, in float16, are looked at for those alone. For a third of the axes it takes two thirds of the memory and less
    than half the time."""

    def __init__(self, rows: int, dimensions: int, leading: int) -> None:
        import numpy as np

        self.rows, self.dimensions, self._leading = rows, dimensions, leading
        self._first: NDArray[np.float32] = np.empty((rows, leading), dtype=np.float32)
        self._rest: NDArray[np.float16] = np.empty((rows, dimensions - leading), dtype=np.float16)

    def grow(self, rows: int) -> None:
        self.rows, self._first, self._rest = rows, _grown(self._first, rows), _grown(self._rest, rows)

    def write(self, rows: Rows, vectors: "NDArray[np.float32]") -> None:
        self._first[rows] = vectors[:, : self._leading]
        self._rest[rows] = vectors[:, self._leading :]

    def read(self, rows: list[int]) -> "NDArray[np.float32]":
        import numpy as np

        return np.concatenate([self._first[rows], self._rest[rows]], axis=1, dtype=np.float32)

    def nearest(self, vector: "NDArray[np.float32]", count: int, limit: int) -> Near:
        import numpy as np

        first, rest = vector[: self._leading], vector[self._leading :]
        scores = self._first[:count] @ first
        near = best(scores, _SCREENED * limit)
        cosines = scores[near] + self._rest[near].astype(np.float32) @ rest
        nearest = best(cosines, limit, ROUNDING)
        return near[nearest], cosines[nearest]


def _grown(values: "NDArray[Any]", rows: int) -> "NDArray[Any]":
    import numpy as np

    larger: NDArray[Any] = np.empty((rows, values.shape[1]), dtype=values.dtype)
    larger[: len(values)] = values
    return larger
