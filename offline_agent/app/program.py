"""The program about one repository: everything wired, nothing started before it is asked for."""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from offline_agent.agent.loop import Session
from offline_agent.app.embedders import Embedders
from offline_agent.app.index import Progress, RepositoryIndex, StatusProgress
from offline_agent.app.model import Answerer
from offline_agent.app.rules import Rules
from offline_agent.app.sessions import Sessions
from offline_agent.app.stored import Stored
from offline_agent.app.vault import Say, open_vault
from offline_agent.guard.askers import Nobody
from offline_agent.llm.messages import Confinement
from offline_agent.models import ModelCard
from offline_agent.protocols import Asker, ChatModel, Index, Vault
from offline_agent.records import SessionInfo
from offline_agent.retrieval.process import IndexProcess
from offline_agent.retrieval.repository import Repository, open_repository
from offline_agent.settings import Settings
from offline_agent.types import IndexStatus
from offline_agent.vault.archive import Archive
from offline_agent.vault.keys import PassphraseSource
from offline_agent.vault.opened import OpenVault

if TYPE_CHECKING:
    from offline_agent.app.hands import Workbench
    from offline_agent.retrieval.borrow import Found

log = logging.getLogger(__name__)


def open_program(
    settings: Settings,
    start: Path,
    passphrases: PassphraseSource | None = None,
    say: Say = log.info,
    model: ChatModel | None = None,
) -> "Program":
    """The program for the repository that `start` is in; `model` answers in place of the one in the settings. Raises
    RepositoryError; nothing is started or written yet."""
    return Program(settings, open_repository(start), lambda: open_vault(settings, passphrases, say), model=model)


class Program:
    """A repository with everything around it. Use it as a context manager: leaving it ends the children.

    The vault is opened when it is first needed, by `open_vault`; what needs it raises a VaultError where it cannot be. `relay` is
    for the index worker alone: see RepositoryIndex. `model` answers in place of the one in the settings.
    """

    serving = "from offline_agent.app import serve_index; serve_index()"
    """What the index worker's process runs."""

    def __init__(
        self,
        settings: Settings,
        repository: Repository,
        open_vault: Callable[[], OpenVault],
        relay: Path | None = None,
        model: ChatModel | None = None,
    ) -> None:
        self.settings = settings
        self.repository = repository
        self._embedders = Embedders(settings)
        # The vault is closed last: what the others do as they end is still logged.
        self._closing = ExitStack()
        self._stored = self._closing.enter_context(closing(Stored(repository, open_vault)))
        self._index = self._closing.enter_context(
            closing(RepositoryIndex(repository.root, settings, self._stored, self._embedders, self.serving, relay))
        )
        self._answerer = self._closing.enter_context(closing(Answerer(settings, self._stored, model)))
        self._rules = Rules(repository.root, settings)
        self._sessions = Sessions(
            repository, settings.ask, self._stored, self._answerer, self._rules, lambda: self.workbench
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._stored.is_open:
            log.error("ended by %s", type(error).__name__, exc_info=error)
        self._closing.close()

    # --- the vault ---

    @property
    def vault(self) -> Vault:
        return self._stored.vault

    @property
    def archive(self) -> Archive:
        """Sessions, audit, log, credentials: for the thread that first asked."""
        return self._stored.archive

    @property
    def key(self) -> str:
        """The repository's name in the vault."""
        return self._stored.key

    # --- the model ---

    @property
    def card(self) -> ModelCard:
        """What is known of the model that answers, before it is loaded."""
        return self._answerer.card

    @property
    def model_path(self) -> Path:
        return self._answerer.path

    def start_model(self) -> ChatModel:
        """Starts what answers, once, and returns at once. Raises a ModelError for a file that cannot be a model."""
        return self._answerer.start()

    @property
    def confinement(self) -> Confinement | None:
        """What the kernel keeps the model's process from; None where there is none."""
        return self._answerer.confinement

    # --- sessions ---

    def session(self, index: Index, asker: Asker, agent: str, resume: str = "") -> Session:
        """A conversation with an agent ("build", "plan"), recorded: a new one, or the one of the session `resume`, which is an id
        in full. `asker` is asked what the rules want asked."""
        return self._sessions.begin(index, asker, agent, resume)

    def change_agent(self, session: Session, index: Index, asker: Asker, agent: str) -> None:
        """Has the session that was begun last go on with another agent."""
        self._sessions.change(session, index, asker, agent)

    def task(self, index: Index, allow: Sequence[str] = (), yes: bool = False) -> Session:
        """A conversation with the agent of the settings while nobody is there to ask; `allow` holds rules for this time, and with
        `yes` whatever would be asked is allowed."""
        return self._sessions.begin(index, Nobody(), self.settings.ask.agent, allow=allow, yes=yes)

    def question(self, index: Index) -> Session:
        """A conversation with an agent that only reads, while nobody is there to ask."""
        return self._sessions.begin(index, Nobody(), "ask")

    def warnings(self) -> tuple[str, ...]:
        """What a person should know before a model acts here: rules that could not be understood, and commands that nothing
        confines. Raises UsageError for rules of their own that cannot be understood."""
        bare = ('Nothing confines commands: [sandbox] mechanism is "none".',)
        return (*self._rules.policy("build").notes, *(bare if self.settings.sandbox.mechanism == "none" else ()))

    @cached_property
    def workbench(self) -> "Workbench":
        """Rules, sandbox and undo. What they need is imported now."""
        from offline_agent.app.hands import Workbench

        bench = Workbench(self.repository.root, self.settings, self._stored, self._rules)
        return self._closing.enter_context(closing(bench))

    def keep_session(self) -> None:
        """Keeps what the model has computed of the session, so that resuming it need not. What cannot be kept is logged."""
        self._sessions.keep()

    def resumable(self, limit: int | None = None) -> list[SessionInfo]:
        """The sessions of this repository that can be resumed, the one with the newest message first."""
        return self._sessions.resumable(limit)

    def find_resumable(self, prefix: str = "") -> SessionInfo:
        """The session whose id begins so, or the newest. Raises UsageError where there is none that can be resumed here."""
        return self._sessions.find_resumable(prefix)

    # --- the index ---

    def one_shot_retriever(self, progress: Progress | None = None, changing: bool = False) -> Index:
        """What answers soonest: a worker that runs already, vectors included, else words and symbols brought up to date here; where
        files are `changing` meanwhile, before each search."""
        return self._index.one_shot(progress, changing)

    def complete_retriever(self, progress: StatusProgress | None = None) -> Index:
        """The worker, once it has embedded everything there is. Raises an EmbedderError where that cannot be."""
        return self._index.complete(progress)

    def following_retriever(self) -> IndexProcess:
        """The index that follows the files, in a worker that is started when first asked. It answers once it has read them."""
        return self._index.following()

    def serve_index(self) -> None:
        """Is the index worker, until standard input ends. Raises IndexUnavailable when there is one already."""
        self._index.serve()

    def index_status(self) -> IndexStatus:
        """Of the worker where one runs, else what is stored."""
        return self._index.status()

    def clear_index(self) -> None:
        """Removes it. Raises IndexUnavailable while a session is using it."""
        self._index.clear()

    def borrow(self, fingerprint: str, keys: Sequence[str]) -> "Iterable[Found]":
        """Vectors that other indexes of this person, or the team's server, have already."""
        return self._index.borrow(fingerprint, keys)

    def check_embedder(self) -> str:
        """Finds the embedder and compares every pinned hash; returns where it is. Raises an EmbedderError."""
        return self._embedders.check()

    def check_static_embedder(self) -> str:
        """Loads it, which compares every hash; returns its name, empty where none is set. Raises an EmbedderError."""
        return self._embedders.check_static()
