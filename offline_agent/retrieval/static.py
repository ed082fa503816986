"""The static embedder: a table with a vector for each piece of a word, and nothing else.

A text's vector is the sum of its pieces' vectors, scaled to length 1. No torch and no tokenizer library: it is ready some tens
of milliseconds after it is asked for. The directory is also a model for sentence-transformers, whose vectors are the same:

    modules.json
    0_StaticEmbedding/tokenizer.json      how a text falls into pieces, with the vocabulary
    0_StaticEmbedding/model.safetensors   8 bytes: length of the header, little-endian; header, JSON; the table, float16, by rows
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from offline_agent.errors import EmbedderError, EmbedderHashMismatch
from offline_agent.models import EmbedderCard
from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.loaded import Dense

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS = "0_StaticEmbedding/model.safetensors"
TOKENIZER = "0_StaticEmbedding/tokenizer.json"
UNKNOWN = "[UNK]"
CONTINUED = "##"
LONGEST_WORD = 40  # characters; longer ones are keys, hashes and encoded data

# Where an identifier falls apart: getAuth, HTTPAdapter, sha256. Empty matches; the tokenizer's file has the same expression.
HUMP = r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])"
ACCENT = "[\u0300-\u036f]+"

_TABLE = "embedding.weight"
_COMPOUND = re.compile(r"[A-Za-z0-9]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")  # what is between two humps
_ACCENT = re.compile(ACCENT)
_COMPOUNDS_REMEMBERED = 200_000
_TEXTS_AT_ONCE = 32  # their pieces' vectors are about 8 MB, which stay in the cache
_SMALLEST = 1e-6


class WordPieces:
    """From a text to the rows of its pieces: compounds split at humps, lower case, then the longest known piece first (BERT's
    WordPiece). What is not a letter or digit of ASCII divides words and is dropped; accents are taken off."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._vocabulary = dict(vocabulary)
        self._longest = max(map(len, vocabulary), default=0)
        self._known: dict[str, tuple[int, ...]] = {}

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Source code repeats its words: each compound is split once, which is most of the speed."""
        found = [_COMPOUND.findall(text if text.isascii() else _plain(text)) for text in texts]
        known = self._known
        if len(known) > _COMPOUNDS_REMEMBERED:
            known.clear()
        for compound in set().union(*found).difference(known):
            known[compound] = tuple(chain.from_iterable(map(self._pieces, _PART.findall(compound))))
        return [list(chain.from_iterable(map(known.__getitem__, compounds))) for compounds in found]

    def _pieces(self, part: str) -> list[int]:
        """The rows of one word; none where it is too long or some character has no piece."""
        word, rows, start = part.lower(), [], 0
        while start < len(word) <= LONGEST_WORD:
            prefix = CONTINUED if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                row = self._vocabulary.get(prefix + word[start:end])
                if row is not None:
                    break
            else:
                return []
            rows.append(row)
            start = end
        return rows


def _plain(text: str) -> str:
    return _ACCENT.sub("", unicodedata.normalize("NFKD", text))


class StaticEmbedder:
    """An Embedder from a table of shape (pieces, dimensions). Any thread may call it.

    `vocabulary` names the table's rows. The vector of a text without any known piece is the first axis, a direction like any other.
    """

    def __init__(self, fingerprint: str, vocabulary: Mapping[str, int], table: "NDArray[np.float32]") -> None:
        self.fingerprint = fingerprint
        self.dimensions = int(table.shape[1])
        self._pieces = WordPieces(vocabulary)
        self._table = table

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        import numpy as np

        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            rows = self._pieces.rows(texts[start : start + _TEXTS_AT_ONCE])
            self._sum(rows, vectors[start : start + _TEXTS_AT_ONCE])
        lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
        nowhere = lengths[:, 0] < _SMALLEST
        vectors[nowhere], lengths[nowhere] = np.eye(1, self.dimensions, dtype=np.float32), 1.0
        vectors /= lengths
        return vectors

    def _sum(self, rows: list[list[int]], into: "NDArray[np.float32]") -> None:
        """Adds up the table's rows of each text, into one row of `into` each. (`np.add.reduceat` takes ten times as long.)"""
        import numpy as np

        count = sum(map(len, rows))
        gathered = self._table.take(np.fromiter(chain.from_iterable(rows), dtype=np.intp, count=count), axis=0)
        start = 0
        for some, vector in zip(rows, into, strict=True):
            gathered[start : start + len(some)].sum(axis=0, out=vector)
            start += len(some)


def open_static(card: EmbedderCard, directory: Path) -> Dense:
    """The embedder with an empty index that suits its vectors. Raises what `load_static` raises."""
    return Dense(load_static(card, directory), ExactIndex(card.leading))


def load_static(card: EmbedderCard, directory: Path) -> StaticEmbedder:
    """Reads each file once, and uses nothing whose hash is not the card's. Raises EmbedderError or EmbedderHashMismatch."""
    files = {name: _pinned(directory / name, expected) for name, expected in card.sha256.items()}
    try:
        table = _table(files[WEIGHTS])
        vocabulary = json.loads(files[TOKENIZER])["model"]["vocab"]
        if table.ndim != 2 or not vocabulary or max(vocabulary.values()) >= len(table):
            raise ValueError("the vocabulary and the table do not belong together")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EmbedderError(
            f"The embedder in {directory} is not a static one ({error}). Install offline-agent again."
        ) from None
    return StaticEmbedder(f"{card.name}-{card.sha256[WEIGHTS][:16]}", vocabulary, table)


def _table(data: bytes) -> "NDArray[np.float32]":
    """The token vectors of a safetensors file."""
    import numpy as np

    size = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8 : 8 + size])[_TABLE]
    kind = {"F16": np.float16, "F32": np.float32}[entry["dtype"]]
    begin, end = entry["data_offsets"]
    values = np.frombuffer(data[8 + size + begin : 8 + size + end], dtype=kind)
    return values.reshape(entry["shape"]).astype(np.float32)


def _pinned(path: Path, expected: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EmbedderError(
            f"The embedder file {path} cannot be read ({error.strerror}). Install offline-agent again."
        ) from None
    actual = hashlib.sha256(data).hexdigest()
    if actual != expected:
        raise EmbedderHashMismatch(
            f"The embedder file {path} is not the pinned one (sha256 {actual[:12]}..., expected {expected[:12]}...). "
            "Install offline-agent again."
        )
    return data
