"""A directory with an index that follows it, as in the program but in the clear: what is asked."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from offline_agent.llm.catalogue import load_catalogue
from offline_agent.protocols import Embedder, TokenCounter
from offline_agent.retrieval import embed
from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.indexer import Indexer, reconcile
from offline_agent.retrieval.kinds import is_configuration, is_docs, is_test
from offline_agent.retrieval.loaded import Dense, load
from offline_agent.retrieval.lock import owned
from offline_agent.retrieval.query import Shape
from offline_agent.retrieval.rank import Weights, load_weights
from offline_agent.retrieval.static import open_static
from offline_agent.retrieval.store import Store
from offline_agent.retrieval.syntax import Languages
from offline_agent.retrieval.tokens import WordPieceCounter
from offline_agent.settings import IndexSettings, Settings
from offline_agent.vault.plain import PlainVault
from scripts.evaluate.baseline import BM25, Passage, Windows
from scripts.evaluate.cases import Spot, Target

if TYPE_CHECKING:
    pass

Show = Callable[[str, int, int], None]
"""Called with what is done, how many of it are done, and how many there are."""


@dataclass(frozen=True)
class Tools:
    """What any index is made with; the embedders are optional."""

    declarations: Path
    settings: IndexSettings
    counter: TokenCounter
    weights: dict[Shape, Weights]
    open_static: Callable[[], Dense] | None = None
    dense: Embedder | None = None
    batch: int = 32
    dense_aside: bool = True
    """Whether tests, documentation and data get the transformer's vectors too."""


def tools_of(settings: Settings, with_dense: bool) -> Tools:
    """As the program would have them. Raises an EmbedderError."""
    catalogue, own = load_catalogue(settings.models_directory), settings.embedder
    card = catalogue.embedder(own.name)
    static = catalogue.embedder(own.static) if own.static else None
    return Tools(
        declarations=settings.index_declarations,
        settings=settings.index,
        counter=WordPieceCounter(embed.directory_of(card, own), embed.max_tokens_of(card, own)),
        weights=load_weights(settings.index_declarations),
        open_static=partial(open_static, static, settings.models_directory / static.directory) if static else None,
        dense=embed.load(card, own) if with_dense else None,
        batch=own.batch,
    )


class Subject:
    """The index of `root`, kept below `data`; `definitions` says that definitions are looked for, not files. Use it as a context
    manager. Raises AlreadyOwned where another process uses that index."""

    def __init__(self, root: Path, data: Path, tools: Tools, definitions: bool) -> None:
        self.definitions = definitions
        self._root = root
        self._tools = tools
        self._held = ExitStack()
        vault = PlainVault(data)
        self._held.enter_context(owned(vault.directory("index")))
        self.store = self._held.enter_context(closing(Store(vault.database("index/chunks"))))
        self.loaded = load(self.store, tools.open_static)
        self._indexer = Indexer(root, self.store, tools.counter, tools.declarations, tools.settings, self.loaded)
        self.dense = None if tools.dense is None else Dense(tools.dense, ExactIndex())
        self._languages = Languages(tools.declarations)
        self._windows = Windows()
        self.baseline = BM25([])

    @property
    def weights(self) -> dict[Shape, Weights]:
        return self._tools.weights

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def refresh(self, show: Show) -> None:
        """Brings everything in step with the directory, vectors included."""
        self._indexer.refresh(lambda done, total: show("files", done, total))
        if self.dense is not None:
            self._embed(self.dense, show)
        self.baseline = BM25(self._chunks() if self.definitions else self._files())

    def spots(self, ids: Sequence[int]) -> list[Spot]:
        """Where chunks are, each place once."""
        places = self.store.places(ids)
        return list(dict.fromkeys(self._spot(*places[number][:2]) for number in ids if number in places))

    def resolve(self, target: Target) -> Spot | None:
        """What a ranking has to find; None where the index does not hold it."""
        if not target.line:
            return (target.path, "") if self.store.state(target.path) else None
        [numbers] = self.store.chunks_within([(target.path, target.line, target.line)])
        return next(iter(self.spots(numbers[:1])), None)

    def is_source(self, path: str) -> bool:
        """Whether a file's ending is that of a programming language that the program knows."""
        return self._languages.grammar(path, "") is not None

    def _spot(self, path: str, symbol: str) -> Spot:
        return path, symbol if self.definitions else ""

    def _embed(self, dense: Dense, show: Show) -> None:
        fingerprint = dense.embedder.fingerprint
        reconcile(self.store, fingerprint, dense.index)
        waiting = self.store.texts_without(fingerprint, self._keys(self._tools.dense_aside))
        waiting.sort(key=lambda pair: len(pair[1]))  # what is shorter than its neighbours is padded
        for start in range(0, len(waiting), self._tools.batch):
            some = waiting[start : start + self._tools.batch]
            keys, vectors = [key for key, _ in some], dense.embedder.encode([text for _, text in some])
            self.store.add_vectors(fingerprint, keys, vectors)
            dense.index.add(keys, vectors)
            show("vectors", start + len(some), len(waiting))

    def _files(self) -> list[Passage]:
        """Source files alone: among documentation as well, the baseline would be a straw man."""
        known = {path: state.sha256 for path, state in self.store.known().items() if self.is_source(path)}
        keys = sorted((path, sha256) for path, sha256 in known.items() if sha256)
        return self._windows.update(
            {key: None if self._windows.knows(key) else _text(self._root / key[0]) for key in keys}
        )

    def _chunks(self) -> list[Passage]:
        ids = [number for some in self.store.ids_by_key(self._keys()).values() for number in some]
        return [Passage((chunk.path, chunk.symbol), chunk.embedded_text) for chunk in self.store.chunks(ids).values()]

    def _keys(self, aside: bool = True) -> list[str]:
        paths = [path for path in self.store.known() if aside or not _is_aside(path)]
        return sorted({key for path in paths for key in self.store.keys_of(path)})


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # gone since it was indexed
        return ""


def _is_aside(path: str) -> bool:
    return is_test(path) or is_docs(path) or is_configuration(path)
