"""The composition root: settings in, a wired program out. The only module that knows every part.

    Program ---- vault           where things rest
       |-------- index worker    a child process: watches, chunks, embeds, answers searches
       |-------- model worker    a child process: owns llama.cpp
       `-------- session         search -> prompt -> answer

Heavy libraries are imported by the children. What only some commands need is imported here inside the function that needs it: the
first prompt of a session costs no more than half a second of CPU.
"""

import hashlib
import re
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from offline_agent.agent.loop import Session
from offline_agent.errors import AgentError, EmbedderError, IndexUnavailable, RepositoryError
from offline_agent.llm.catalogue import load_catalogue, model_file
from offline_agent.llm.confine import deny_internet
from offline_agent.llm.process import LlamaProcess
from offline_agent.protocols import Database, Retriever, VectorIndex
from offline_agent.retrieval import embed
from offline_agent.retrieval.client import try_connect
from offline_agent.retrieval.process import IndexProcess
from offline_agent.settings import Settings
from offline_agent.types import EmbedderCard, IndexPhase, IndexStatus, ModelCard, Value
from offline_agent.vault.plain import PlainVault

if TYPE_CHECKING:
    from offline_agent.retrieval.place import Place

Progress = Callable[[int, int], None]
"""Called with how many files are done and how many there are."""
StatusProgress = Callable[[IndexStatus], None]


class Repository(Value):
    """A directory tree that is asked about. `key` names it in the vault: readable, and unique by its real path."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name or "root"

    @property
    def key(self) -> str:
        readable = re.sub(r"[^A-Za-z0-9._-]", "_", self.name)[:40]
        return f"repos/{readable}-{hashlib.sha256(str(self.root).encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def open_repository(start: Path) -> Repository:
    """The repository that `start` is in: the nearest directory above with a `.git`, else `start` itself.

    Raises RepositoryError for what is no readable directory, and for a home directory or a whole disk that is no checkout.
    """
    try:
        here = start.expanduser().resolve(strict=True)
        if not here.is_dir():
            raise RepositoryError(f"{start} is a file. Name a directory with --repo.")
        next(iter(here.iterdir()), None)
    except FileNotFoundError:
        raise RepositoryError(f"There is no directory {start}. Name one with --repo.") from None
    except OSError as error:
        raise RepositoryError(f"{start} cannot be read: {error.strerror}. Check its permissions.") from None
    root = next((place for place in (here, *here.parents) if (place / ".git").exists()), here)
    if root in (Path(root.anchor), Path.home()) and not (root / ".git").exists():
        raise RepositoryError(f"{root} is not a project. Change into one, or name one with --repo.")
    return Repository(root=root)


_SERVE_INDEX = "from offline_agent.app import serve_index; serve_index()"
SETTLED = (IndexPhase.CURRENT, IndexPhase.LEXICAL_ONLY)
"""Phases in which nothing more comes by itself."""


def open_program(settings: Settings, start: Path) -> "Program":
    """The program for the repository that `start` is in. Raises RepositoryError; nothing is started or written yet."""
    return Program(settings, open_repository(start))


def serve_index() -> None:
    """Is the index worker of the settings and the repository that the command line gives. Program starts it, people do not."""
    settings, root = sys.argv[1:]
    deny_internet()  # before torch and Chroma are loaded: told to stay offline, they also cannot do otherwise
    try:
        with open_program(Settings.model_validate_json(settings), Path(root)) as program:
            program.serve_index()
    except AgentError as error:
        sys.exit(str(error))


class Program:
    """A repository with everything around it. Use it as a context manager: leaving it ends the children."""

    def __init__(self, settings: Settings, repository: Repository) -> None:
        self.settings = settings
        self.repository = repository
        self._vault = PlainVault(settings.data_directory)
        self._catalogue = load_catalogue(settings.models_directory)
        self._model: LlamaProcess | None = None
        self._index: IndexProcess | None = None
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()
        for child in (self._model, self._index):
            if child is not None:
                child.close()

    # --- the model ---

    @cached_property
    def card(self) -> ModelCard:
        """What is known of the model that answers, before it is loaded."""
        path = self.settings.model.path
        return self._catalogue.model(self.settings.model.name) if path is None else self._catalogue.recognise(path)

    @property
    def model_path(self) -> Path:
        return self.settings.model.path or model_file(self.card, self.settings.models_directory)

    def start_model(self) -> LlamaProcess:
        """Starts the model's process, once, and returns at once. Raises a ModelError for a file that cannot be a model."""
        if self._model is None:
            self._model = LlamaProcess(self.card, self.model_path, self.settings.model)
            self._model.start()
        return self._model

    def check_embedder(self) -> str:
        """Finds the embedder and compares every pinned hash; returns where it is. Raises an EmbedderError."""
        card, settings = self._embedder_card, self.settings.embedder
        directory = embed.directory_of(card, settings)
        if settings.directory is None:
            embed.verify(card, directory)
        return str(directory)

    def session(self, retriever: Retriever) -> Session:
        return Session(retriever, self.start_model(), self.card, self.settings.ask)

    def history(self) -> Database:
        """Earlier prompts in this repository."""
        return self._closing.enter_context(closing(self._vault.database(f"{self.repository.key}/history")))

    # --- the index ---

    def one_shot_retriever(self, progress: Progress | None = None) -> Retriever:
        """What answers soonest: a worker that runs already, vectors included, else words and symbols brought up to date here."""
        remote = try_connect(self._index_directory)
        if remote is not None:
            return remote
        from offline_agent.retrieval.local import LocalIndex

        local = self._closing.enter_context(closing(LocalIndex(self._place)))
        local.refresh(progress)
        return local

    def complete_retriever(self, progress: StatusProgress | None = None) -> Retriever:
        """The worker, once it has embedded everything there is. Raises an EmbedderError where that cannot be."""
        self.check_embedder()
        index = self.following_retriever()
        while (status := index.status()).phase not in SETTLED:
            if progress is not None:
                progress(status)
            time.sleep(0.2)
        if status.phase is IndexPhase.LEXICAL_ONLY:
            raise EmbedderError(status.problem)
        return index

    def following_retriever(self) -> IndexProcess:
        """The index that follows the files, in a worker that is started when first asked. It answers once it has read them."""
        if self._index is None:
            # Our settings, wherever they came from; no secret is in them.
            worker = (_SERVE_INDEX, self.settings.model_dump_json(), str(self.repository.root))
            command = [sys.executable, "-P", "-c", *worker]
            self._index = IndexProcess(command, self._index_directory)
        return self._index

    def serve_index(self) -> None:
        """Is the index worker, until standard input ends. Raises IndexUnavailable when there is one already."""
        from offline_agent.retrieval.worker import Worker, prepare_process

        prepare_process(self._index_directory)
        Worker(self._place).run(lifeline=sys.stdin.fileno())

    def index_status(self) -> IndexStatus:
        """Of the worker where one runs, else what is stored."""
        remote = try_connect(self._index_directory)
        if remote is not None:
            return remote.status()
        from offline_agent.retrieval.local import LocalIndex

        with closing(LocalIndex(self._place)) as local:
            return local.status()

    def clear_index(self) -> None:
        """Removes it. Raises IndexUnavailable while a session is using it."""
        if try_connect(self._index_directory) is not None:
            raise IndexUnavailable("A session is using this index. End it first (Ctrl-D there), then clear.")
        self._vault.destroy(f"{self.repository.key}/index")

    @cached_property
    def _index_directory(self) -> Path:
        return self._vault.directory(f"{self.repository.key}/index")

    @property
    def _embedder_card(self) -> EmbedderCard:
        return self._catalogue.embedder(self.settings.embedder.name)

    @cached_property
    def _place(self) -> "Place":
        from offline_agent.retrieval.place import Place
        from offline_agent.retrieval.tokens import WordPieceCounter

        card, settings = self._embedder_card, self.settings.embedder
        return Place(
            root=self.repository.root,
            directory=self._index_directory,
            declarations=self.settings.index_declarations,
            open_database=lambda: self._vault.database(f"{self.repository.key}/index/chunks"),
            load_counter=lambda: WordPieceCounter(
                embed.directory_of(card, settings), embed.max_tokens_of(card, settings)
            ),
            fingerprint=embed.fingerprint_of(card, settings),
            load_embedder=lambda: embed.load(card, settings),
            open_vectors=self._open_vectors,
            index=self.settings.index,
            batch=settings.batch,
        )

    def _open_vectors(self, fingerprint: str) -> VectorIndex:
        from offline_agent.retrieval.chroma import ChromaIndex  # only the worker gets here

        return ChromaIndex(self._vault.directory(f"{self.repository.key}/index/chroma"), fingerprint)
