"""Looks for words, keys and vectors in bytes, however they may have been written there."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RUN = 24  # values in a row that could be a vector's: among random bytes there is one such run in 10^11 places
_SAME = 6  # values in a row that are a vector's
_SMALLEST, _LARGEST = 1e-5, 0.5  # of a value in a unit vector with hundreds of them, with very few exceptions
_CLOSE = 5e-4  # the rounding of float16, and what batches do to float32; neighbouring values differ by 0.05


def written(secret: bytes) -> set[bytes]:
    """How the bytes may stand in a file whose letters were made lower case: as they are, as UTF-16 of either order, and in hex."""
    forms = {secret.lower(), secret.hex().encode()}
    if secret.isascii():
        forms.add(secret.lower().decode().encode("utf-16-le"))  # but for its first byte, it is the other order too
    return forms


def in_base64(secret: bytes) -> set[bytes]:
    """The characters that are sure, for each of the three places in a group that a secret may begin at."""
    forms = set()
    for before in range(3):
        first = -(-before * 8 // 6)  # characters that what is before has a part in
        sure = (before + len(secret)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(bytes(before) + secret)[first:sure])
    return forms


class Scan:
    """Which of `secrets`, by name, stand in some bytes, and whether a part of one of `vectors` does, under the name "vector"."""

    def __init__(self, secrets: Mapping[str, bytes], vectors: "Iterable[NDArray[np.float32]]" = ()) -> None:
        self._folded = {name: written(secret) for name, secret in secrets.items()}
        self._exact = {name: in_base64(secret) for name, secret in secrets.items()}
        self._secrets = dict(secrets)
        self._vectors = list(vectors)

    def of(self, content: bytes) -> set[str]:
        folded = content.lower()
        found = {name for name, forms in self._folded.items() if any(form in folded for form in forms)}
        found |= {name for name, forms in self._exact.items() if any(form in content for form in forms)}
        found |= {name for name, secret in self._secrets.items() if secret in content}
        return found | ({"vector"} if self._holds_vector(content) else set())

    def _holds_vector(self, content: bytes) -> bool:
        with np.errstate(invalid="ignore", over="ignore"):  # most bytes are no numbers
            readings = (values for values in _as_numbers(content) if _could_be_vector(values))
            return any(_is_part(values, vector) for values in readings for vector in self._vectors)


def _as_numbers(content: bytes) -> "Iterator[NDArray[np.float32]]":
    """As float32 and as float16, from each byte on that such a number could begin at."""
    for kind, width in (("<f4", 4), ("<f2", 2)):
        for start in range(min(width, len(content))):
            usable = content[start : len(content) - (len(content) - start) % width]
            yield np.frombuffer(usable, kind).astype(np.float32)


def _could_be_vector(values: "NDArray[np.float32]") -> bool:
    """Cheap, and false for nearly everything."""
    size = np.abs(values)
    plausible = (size > _SMALLEST) & (size < _LARGEST)  # false for what is no number
    run = np.convolve(plausible, np.ones(_RUN), "valid") if len(plausible) >= _RUN else np.zeros(1)
    return bool(run.max() > _RUN - 0.5)


def _is_part(values: "NDArray[np.float32]", vector: "NDArray[np.float32]") -> bool:
    """Whether some values of `vector`, from one of several places in it, stand in a row in `values`."""
    windows = np.lib.stride_tricks.sliding_window_view(values, _SAME)
    for start in range(0, len(vector) - _SAME + 1, 2 * _SAME):
        near = np.abs(windows[:, 0] - vector[start]) < _CLOSE
        if (np.abs(windows[near] - vector[start : start + _SAME]) < _CLOSE).all(axis=1).any():
            return True
    return False
