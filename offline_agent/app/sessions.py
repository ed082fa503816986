"""The sessions about one repository: begun, resumed, kept."""

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from offline_agent.agent.hands import Hands
from offline_agent.agent.loop import Session
from offline_agent.agent.profiles import PROFILES
from offline_agent.agent.transcript import MemoryTranscript
from offline_agent.app.index import render_map
from offline_agent.app.model import Answerer
from offline_agent.app.rules import Rules
from offline_agent.app.stored import Stored
from offline_agent.errors import UsageError
from offline_agent.guard.policy import Policy
from offline_agent.protocols import Asker, Index, Mapper
from offline_agent.records import SessionInfo
from offline_agent.retrieval.repository import Repository
from offline_agent.settings import AskSettings
from offline_agent.types import SessionContext
from offline_agent.vault.schema import storable
from offline_agent.vault.sessions import Recorder

if TYPE_CHECKING:
    from offline_agent.app.hands import Workbench

_ASIDE_STEPS = 12  # requests to the model that an agent may make for another one


class Sessions:
    """One is under way at a time. `workbench` gives what they act with, and is asked late."""

    def __init__(
        self,
        repository: Repository,
        settings: AskSettings,
        stored: Stored,
        answerer: Answerer,
        rules: Rules,
        workbench: "Callable[[], Workbench]",
    ) -> None:
        self._root = str(repository.root)
        self._settings = settings
        self._stored = stored
        self._answerer = answerer
        self._rules = rules
        self._workbench = workbench
        self._transcript: Recorder | None = None

    def begin(
        self,
        index: Index,
        asker: Asker,
        agent: str,
        resume: str = "",
        allow: Sequence[str] = (),
        yes: bool = False,
    ) -> Session:
        """A conversation with `agent`, recorded: a new one, or the one of the session `resume`, which is an id in full. What the
        one before it had computed is kept first. Raises UsageError for rules that cannot be understood."""
        policy = self._rules.policy(agent, allow, yes)  # before anything is recorded
        self.keep()
        sessions, card = self._stored.archive.sessions, self._answerer.card
        self._answerer.start()
        earlier = None
        if resume:
            earlier, transcript = sessions.context(resume), sessions.resume(resume, card.name)
            self._answerer.resume(resume)
        else:
            transcript = sessions.begin(self._root, card.name)
        self._transcript = transcript
        index = self._rules.permitted(index, policy)
        hands = self._hands(index, asker, agent, policy, transcript.id)
        return self._open(index, self._settings, transcript, hands, earlier)

    def change(self, session: Session, index: Index, asker: Asker, agent: str) -> None:
        """Has the session that was begun last go on with another agent. Raises UsageError for rules that cannot be understood."""
        assert self._transcript is not None
        policy = self._rules.policy(agent)
        index = self._rules.permitted(index, policy)
        session.become(self._hands(index, asker, agent, policy, self._transcript.id), index)

    def _hands(self, index: Index, asker: Asker, agent: str, policy: Policy, session: str) -> Callable[[], Hands]:
        if not self._answerer.card.acts:
            return Hands  # such a model uses none
        aside = partial(self._aside, index)
        return lambda: self._workbench().hands(index, asker, PROFILES[agent], policy, session, aside)

    def _aside(self, index: Index, hands: Hands) -> Session:
        """A session inside another one, which leaves no record of its own."""
        settings = self._settings.model_copy(update={"steps": min(self._settings.steps, _ASIDE_STEPS)})
        return self._open(index, settings, MemoryTranscript(), hands)

    def _open(
        self,
        index: Index,
        settings: AskSettings,
        transcript: Recorder | MemoryTranscript,
        hands: Hands | Callable[[], Hands],
        earlier: SessionContext | None = None,
    ) -> Session:
        model, card, audit = self._answerer.start(), self._answerer.card, self._stored.archive.audit
        return Session(index, model, card, settings, transcript, audit, partial(_outline, index), hands, earlier)

    def keep(self) -> None:
        """Keeps what the model has computed of the session, so that resuming it need not: up to 500 MB. Nothing where it had no
        turn that can be resumed. What cannot be kept is logged."""
        transcript, self._transcript = self._transcript, None
        if transcript is not None and transcript.remembered:
            self._answerer.keep(transcript.id)

    def resumable(self, limit: int | None = None) -> list[SessionInfo]:
        """Those that can be resumed, the one with the newest message first."""
        return self._stored.archive.sessions.recent(self._root, limit, resumable=True)

    def find_resumable(self, prefix: str = "") -> SessionInfo:
        """The session whose id begins so, or the newest. Raises UsageError where there is none that can be resumed here."""
        sessions = self._stored.archive.sessions
        info = sessions.find(prefix) if prefix else next(iter(self.resumable(1)), None)
        if info is None:
            raise UsageError(f"No session about {self._root} can be resumed. Ask something in one, and it can be.")
        if info.repository != storable(self._root):
            raise UsageError(
                f"Session {info.id} is about {info.repository}. To resume it there: "
                f"offline-agent chat --repo {shlex.quote(info.repository)} --resume {info.id}"
            )
        if sessions.context(info.id) is None:
            raise UsageError(
                f"Session {info.id} cannot be resumed: what its model was shown is not stored, or a later version stored it. "
                f"Read it with: offline-agent sessions show {info.id}"
            )
        return info


def _outline(index: Mapper, tokens: int) -> str:
    return render_map(index.repository_map(tokens))
