"""The models behind an index: what turns text into vectors, and what reads a question together with a text. All are local files."""

from typing import TYPE_CHECKING

from offline_agent.llm.catalogue import load_catalogue
from offline_agent.models import EmbedderCard
from offline_agent.protocols import Embedder, Reranker, TokenCounter
from offline_agent.retrieval import embed
from offline_agent.settings import Settings

if TYPE_CHECKING:
    from offline_agent.retrieval.loaded import Dense


class Embedders:
    """Those that the settings name. Nothing of them is read before it is asked for. What cannot be used raises an EmbedderError."""

    def __init__(self, settings: Settings) -> None:
        self._catalogue = load_catalogue(settings.models_directory)
        self._models = settings.models_directory
        self._settings = settings.embedder
        self._reranker = settings.index.reranker

    def check(self) -> str:
        """Finds the embedder and compares every pinned hash; returns where it is."""
        directory = embed.directory_of(self._card, self._settings)
        if self._settings.directory is None:
            embed.verify(self._card, directory)
        return str(directory)

    def check_static(self) -> str:
        """Loads the static one, which compares every hash; returns its name, empty where none is set."""
        return self.open_static().embedder.fingerprint if self.has_static else ""

    @property
    def fingerprint(self) -> str:
        """Names the weights whose vectors an index holds."""
        return embed.fingerprint_of(self._card, self._settings)

    @property
    def has_static(self) -> bool:
        return bool(self._settings.static)

    @property
    def has_reranker(self) -> bool:
        return self._reranker is not None

    def load(self) -> Embedder:
        """Loads torch too."""
        return embed.load(self._card, self._settings)

    def load_counter(self) -> TokenCounter:
        from offline_agent.retrieval.tokens import WordPieceCounter

        card, settings = self._card, self._settings
        return WordPieceCounter(embed.directory_of(card, settings), embed.max_tokens_of(card, settings))

    def open_static(self) -> "Dense":
        from offline_agent.retrieval.static import open_static

        card = self._catalogue.embedder(self._settings.static)
        return open_static(card, self._models / card.directory)

    def load_reranker(self) -> Reranker:
        from offline_agent.retrieval.rerank import CrossEncoderReranker

        assert self._reranker is not None
        return CrossEncoderReranker(self._reranker)

    @property
    def _card(self) -> EmbedderCard:
        return self._catalogue.embedder(self._settings.name)
