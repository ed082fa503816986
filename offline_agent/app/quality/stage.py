"""Where a model is tried: sessions of the program as they always are, with a model that is lent and a vault that does not stay."""

import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from offline_agent.actions import Command, Ran, SandboxReport
from offline_agent.agent.hands import Hands
from offline_agent.agent.loop import Session
from offline_agent.agent.profiles import PROFILES
from offline_agent.app.embedders import Embedders
from offline_agent.app.hands import Workbench
from offline_agent.app.index import RepositoryIndex
from offline_agent.app.model import Answerer
from offline_agent.app.rules import Rules
from offline_agent.app.sessions import Sessions
from offline_agent.app.stored import Stored
from offline_agent.events import Answered, Searched
from offline_agent.guard.askers import Nobody
from offline_agent.guard.protected import remove_tree
from offline_agent.models import ModelCard
from offline_agent.protocols import ChatModel, Index
from offline_agent.retrieval.repository import Repository
from offline_agent.settings import Settings
from offline_agent.types import Hit
from offline_agent.vault.opened import OpenVault
from offline_agent.vault.sealed import SealedVault
from offline_agent.vault.secret import Secret


class Stage:
    """The repository at `root` with all that a session there needs. What its vault keeps is sealed with a key that only this
    process has: one that is killed leaves nothing readable. Close it, and with it everything but `model`."""

    def __init__(self, settings: Settings, root: Path, model: ChatModel, card: ModelCard) -> None:
        self._closing = ExitStack()
        repository = Repository(root=root)
        self._stored = self._closing.enter_context(closing(Stored(repository, lambda: _sealed(settings))))
        embedders = Embedders(settings)
        self._index = RepositoryIndex(root, settings, self._stored, embedders, serving="", relay=None)
        self._closing.enter_context(closing(self._index))
        self._workbench = Workbench(root, settings, self._stored, rules := Rules(root, settings))
        self._closing.enter_context(closing(self._workbench))
        answerer = Lent(settings, self._stored, model, card)
        self._sessions = Sessions(repository, settings.ask, self._stored, answerer, rules, lambda: self._workbench)

    def hands(self) -> Hands:
        """What the `build` agent has here."""
        index, policy = self._index.one_shot(), self._workbench.policy("build")
        return self._workbench.hands(index, Nobody(), PROFILES["build"], policy, "", lambda hands: self.task())

    def index(self) -> Index:
        """As Program.one_shot_retriever."""
        return self._index.one_shot()

    def question(self, index: Index) -> Session:
        """As Program.question."""
        return self._sessions.begin(index, Nobody(), "ask")

    def task(self) -> Session:
        """As Program.task with `yes`, for the `build` agent."""
        return self._sessions.begin(self._index.one_shot(changing=True), Nobody(), "build", yes=True)

    @property
    def report(self) -> SandboxReport:
        """What confines the commands of `task`, and those given to `run`."""
        return self._workbench.report(self._workbench.policy("build", yes=True))

    def run(self, command: Command) -> Ran:
        """Runs a command of ours, confined as those of the agent are. Raises SandboxUnavailable."""
        return self._workbench.sandbox(self._workbench.policy("build", yes=True)).run(command)

    def close(self) -> None:
        self._closing.close()


class Turn(NamedTuple):
    """What a turn came to: what was found before the model was asked, and its answer; None where it took too long."""

    found: Sequence[Hit]
    answered: Answered | None


def ask(session: Session, request: str, minutes: float) -> Turn:
    """A turn of so many minutes at most, after which the model is stopped: the limits of a session are looked at between requests
    to a model, of which one can take very long. Raises a ModelError or IndexUnavailable."""
    end = time.monotonic() + 60 * minutes
    found: Sequence[Hit] = ()
    with closing(session.ask(request)) as events:
        for event in events:
            if isinstance(event, Searched):
                found = event.result.hits
            elif isinstance(event, Answered):
                return Turn(found, event)
            elif time.monotonic() > end:
                break
    return Turn(found, None)


class Lent(Answerer):
    """A model that somebody else started, keeps what it has computed, and ends it."""

    def __init__(self, settings: Settings, stored: Stored, model: ChatModel, card: ModelCard) -> None:
        super().__init__(settings, stored, model)
        self._lent = model
        self._card = card

    @property
    def card(self) -> ModelCard:
        return self._card

    def start(self) -> ChatModel:
        return self._lent

    def resume(self, session: str) -> None:
        """Nothing was computed of it."""

    def keep(self, session: str) -> None:
        """It will not be resumed."""

    def close(self) -> None:
        """Whoever lent it closes it."""


@contextmanager
def staged(settings: Settings, root: Path, model: ChatModel, card: ModelCard) -> Generator[Stage, None, None]:
    """A stage for the repository at `root`, with the person's rules. Nothing of it is left afterwards."""
    with scratch() as place, closing(Stage(apart(settings, place), root, model, card)) as stage:
        yield stage


def apart(settings: Settings, place: Path) -> Settings:
    """The settings with everything that is kept below `place`; models are where they were."""
    library = settings.library.model_copy(update={"directory": settings.library_directory})
    return settings.model_copy(update={"data_directory": place / "data", "library": library})


@contextmanager
def scratch() -> Iterator[Path]:
    """A private directory that is removed afterwards, whatever was put there."""
    place = Path(tempfile.mkdtemp(prefix="offline-agent-")).resolve()
    try:
        yield place
    finally:
        remove_tree(place)


def _sealed(settings: Settings) -> OpenVault:
    return OpenVault(settings, SealedVault(settings.data_directory, Secret.random()), "bench")
