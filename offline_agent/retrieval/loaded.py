"""What of an index is held in memory to answer quickly: words, and the static embedder with its vectors."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from offline_agent.errors import EmbedderError
from offline_agent.protocols import Embedder, VectorIndex
from offline_agent.retrieval.store import Store
from offline_agent.retrieval.words import WordIndex

_AT_ONCE = 2000  # texts


@dataclass(frozen=True)
class Dense:
    """An embedder and the index of its vectors: they only ever come together."""

    embedder: Embedder
    index: VectorIndex


@dataclass(frozen=True)
class Loaded:
    """In step with the store as long as who writes there says what it changed. Any thread may search it."""

    words: WordIndex
    static: Dense | None = None
    problem: str = ""
    """Why there is no static embedder though there should be."""

    def changed(self, store: Store, paths: Iterable[str]) -> None:
        """These files were stored, or removed."""
        some = list(paths)
        known = store.words(some)
        self.words.update({path: known.get(path) for path in some})


def load(store: Store, open_static: Callable[[], Dense] | None = None) -> Loaded:
    """What the store holds now; `open_static` gives the static embedder with an empty index. An embedder that cannot be loaded is
    a `problem`: words alone still find."""
    words = WordIndex(store.words)
    if open_static is None:
        return Loaded(words)
    try:
        static = open_static()
    except EmbedderError as error:
        return Loaded(words, problem=str(error))
    for keys, vectors in store.vectors_in_use(static.embedder.fingerprint):
        static.index.add(keys, vectors)
    return Loaded(words, static)


def embed_static(store: Store, static: Dense) -> None:
    """Static vectors for every chunk that has none: those of an index from before this embedder. Only for who may write."""
    embedder, index = static.embedder, static.index
    missing = sorted(store.keys() - index.keys())
    for start in range(0, len(missing), _AT_ONCE):
        asked = missing[start : start + _AT_ONCE]
        some = store.texts_without(embedder.fingerprint, asked)
        vectors = embedder.encode([text for _, text in some])
        store.add_vectors(embedder.fingerprint, [key for key, _ in some], vectors)
        for keys, known in store.vectors(embedder.fingerprint, asked):
            index.add(keys, known)
