"""The models behind an index: what turns text into vectors, and what reads a question together with a text. All are local files."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from offline_agent.app.library import embedder_of, is_name
from offline_agent.errors import Denied, EmbedderError
from offline_agent.models import EmbedderCard
from offline_agent.protocols import Embedder, Reranker, TokenCounter
from offline_agent.retrieval import embed
from offline_agent.settings import Settings

if TYPE_CHECKING:
    from offline_agent.retrieval.loaded import Dense


class Embedders:
    """Those that the settings name. Nothing of them is read before it is asked for. What cannot be used raises an EmbedderError;
    what is not there, or may not be used, what `embedder_of` raises."""

    def __init__(self, settings: Settings) -> None:
        self._all = settings
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

        card = embedder_of(self._all, self._settings.static)
        return open_static(card, Path(card.directory))

    def load_reranker(self) -> Reranker:
        """That of the settings: a model by its name, whose hashes are compared, or a directory."""
        from offline_agent.retrieval.rerank import CrossEncoderReranker

        assert self._reranker is not None
        return CrossEncoderReranker(self._reranker_directory(self._reranker))

    def _reranker_directory(self, named: Path) -> Path:
        if not is_name(str(named)):
            self._refuse_unlisted("[index] reranker")
            return named
        card = embedder_of(self._all, str(named))
        if card.kind != "reranking":
            raise EmbedderError(f"{card.name} makes vectors and is no reranker. Correct [index] reranker.")
        embed.verify(card, Path(card.directory))
        return Path(card.directory)

    @cached_property
    def _card(self) -> EmbedderCard:
        if self._settings.directory is not None:
            self._refuse_unlisted("[embedder] directory")
        card = embedder_of(self._all, self._settings.name)
        if card.form != "transformer":
            raise EmbedderError(f"{card.name} is {card.form}, so it cannot be [embedder] name. Name another.")
        return card

    def _refuse_unlisted(self, setting: str) -> None:
        if self._all.library.listed_only:
            raise Denied(
                f"{setting} names files of your own, and only models of the catalogue may be used here [library.listed_only]."
            )
