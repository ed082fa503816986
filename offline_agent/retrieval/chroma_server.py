"""Nearest neighbours on a Chroma server that a team shares: ids and vectors only, never text, and off unless somebody sets its
address. A vector can be turned back into text, so the server is trusted with the content; what it answers is not trusted at all.

    one collection for each (embedder, project)     id = chunk key, a hash of the content; vector = unit length, cosine
"""

import hashlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from offline_agent.errors import StorageError
from offline_agent.retrieval.chroma import import_chroma
from offline_agent.retrieval.chroma_http import Refused, Server, collection, session_with, translated
from offline_agent.retrieval.hydrate import Passing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_SEARCH_SECONDS = 1.0  # whoever asked is waiting
_PAGE = 1000  # ids in one request, below Chroma's limit of 5461
_FETCHED = 256  # vectors in one answer: 2 MB of JSON at 384 dimensions
_SPARE = (4, 20)  # times as many as are wanted, then again: others' branches are among the nearest
_ROUNDING = 0.02  # of a vector's length; what is further from 1 is no vector of ours
_RETRY_SECONDS = 60.0


class ChromaServerIndex:
    """A VectorIndex that others share. It finds only the keys that were added here, whoever made their vectors.

    A key names content, so its vector never changes: `add` sends what the server lacks, and `remove` forgets a key here alone,
    since others may use it. Raises Passing where the server cannot be used, after a second at most where it is being searched.
    """

    def __init__(self, server: Server, fingerprint: str) -> None:
        self._url = server.url
        self._keys: set[str] = set()
        import_chroma("chromadb.api.fastapi")
        name = collection_name(fingerprint, server.project())
        self._session = session_with(server)
        try:
            with translated(self._url):
                self._collection = collection(server.url, self._session, name)
        except Passing:
            self._session.close()
            raise

    def keys(self) -> set[str]:
        return set(self._keys)

    def add(self, keys: Sequence[str], vectors: "NDArray[np.float32]") -> None:
        for start in range(0, len(keys), _PAGE):
            page = list(keys[start : start + _PAGE])
            with translated(self._url):
                there = set(self._collection.get(ids=page, include=[])["ids"])
                lacking = [row for row, key in enumerate(page) if key not in there]
                if lacking:
                    some = vectors[start : start + _PAGE][lacking]
                    self._collection.upsert(ids=[page[row] for row in lacking], embeddings=some)
            self._keys.update(page)

    def remove(self, keys: Sequence[str]) -> None:
        self._keys.difference_update(keys)

    def search(self, vector: "NDArray[np.float32]", limit: int) -> list[tuple[str, float]]:
        limit = min(limit, len(self._keys))
        if limit <= 0:
            return []
        with translated(self._url):
            return _within(_SEARCH_SECONDS, lambda: self._search(vector, limit))

    def fetch(self, keys: Sequence[str]) -> "Iterator[tuple[list[str], NDArray[np.float32]]]":
        """Those of `keys` that somebody has put there, with their vectors, some at a time. What is no unit vector is left out; the
        number of dimensions is the caller's to check."""
        for start in range(0, len(keys), _FETCHED):
            page = list(keys[start : start + _FETCHED])
            with translated(self._url):
                found = self._collection.get(ids=page, include=["embeddings"])
                here, vectors = _sound(found["ids"], found["embeddings"], set(page))
            if here:
                yield here, vectors

    def close(self) -> None:
        self._session.close()

    def _search(self, vector: "NDArray[np.float32]", limit: int) -> list[tuple[str, float]]:
        best: list[tuple[str, float]] = []
        for times in _SPARE:
            asked = times * limit
            found = self._collection.query(
                query_embeddings=vector.reshape(1, -1), n_results=asked, include=["distances"]
            )
            distances = found["distances"] or [[]]
            pairs = zip(found["ids"][0], distances[0], strict=True)
            best = [(key, 1.0 - float(distance)) for key, distance in pairs if key in self._keys][:limit]
            if len(best) == limit or len(found["ids"][0]) < asked:
                break
        return best


class Lender:
    """What others have embedded, for who is about to embed it. It never fails: it has nothing to lend while the server is away.

    Call it with a fingerprint and keys, for keys and vectors as `fetch` gives them. For one thread.
    """

    def __init__(self, server: Server, retry_seconds: float = _RETRY_SECONDS) -> None:
        self._server = server
        self._retry_seconds = retry_seconds
        self._retry_at = 0.0
        self._index: ChromaServerIndex | None = None

    def __call__(self, fingerprint: str, keys: Sequence[str]) -> "Iterator[tuple[list[str], NDArray[np.float32]]]":
        if not keys or time.monotonic() < self._retry_at:
            return
        try:
            if self._index is None:
                self._index = ChromaServerIndex(self._server, fingerprint)
            yield from self._index.fetch(keys)
        except StorageError as error:
            log.warning("nothing is borrowed: %s", error)
            self.close()
            self._retry_at = time.monotonic() + self._retry_seconds

    def close(self) -> None:
        index, self._index = self._index, None
        if index is not None:
            index.close()


def collection_name(fingerprint: str, project: str) -> str:
    """The same for everybody who has this embedder and a clone of this project, and nothing that names either."""
    both = f"{fingerprint}\n{project}"
    return f"offline-agent-{hashlib.sha256(both.encode()).hexdigest()[:32]}"


def _within(seconds: float, ask: Callable[[], _T]) -> _T:
    """What `ask` returns. A server that sends a byte now and then defeats every timeout of HTTP, so that it is asked from a thread
    that nobody waits for any longer."""
    answers: queue.SimpleQueue[tuple[_T, None] | tuple[None, Exception]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((ask(), None))
        except Exception as error:  # raised below, for whoever still waits
            answers.put((None, error))

    threading.Thread(target=run, name="team search", daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise Refused(f"did not answer within {seconds:g} s.") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # the pair says which of the two it is


def _sound(keys: Sequence[str], values: object, wanted: set[str]) -> "tuple[list[str], NDArray[np.float32]]":
    """Those of `keys` that were asked for and have a unit vector. Raises ValueError for what is no matrix of numbers."""
    import numpy as np

    vectors = np.asarray(values, dtype=np.float32)
    if not keys:
        return [], vectors
    if vectors.ndim != 2 or len(vectors) != len(keys):
        raise ValueError("its vectors are no matrix")
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(vectors, axis=1)
    sound = [
        row for row, key in enumerate(keys) if key in wanted and abs(float(lengths[row]) - 1.0) <= _ROUNDING
    ]  # a comparison with NaN is false
    return [keys[row] for row in sound], vectors[sound] / lengths[sound, None]
