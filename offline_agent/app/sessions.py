"""The sessions about one repository: begun, resumed, kept."""

import shlex
from functools import partial

from offline_agent.agent.hands import Hands
from offline_agent.agent.loop import Session
from offline_agent.app.index import render_map
from offline_agent.app.model import Answerer
from offline_agent.app.stored import Stored
from offline_agent.errors import UsageError
from offline_agent.protocols import Index, Mapper
from offline_agent.records import SessionInfo
from offline_agent.retrieval.repository import Repository
from offline_agent.settings import AskSettings
from offline_agent.tools.recall import SearchCode
from offline_agent.vault.schema import storable
from offline_agent.vault.sessions import Recorder


class Sessions:
    """One is under way at a time."""

    def __init__(self, repository: Repository, settings: AskSettings, stored: Stored, answerer: Answerer) -> None:
        self._root = str(repository.root)
        self._settings = settings
        self._stored = stored
        self._answerer = answerer
        self._transcript: Recorder | None = None

    def begin(self, index: Index, resume: str = "") -> Session:
        """A conversation, recorded: a new one, or the one of the session `resume`, which is an id in full. What the one before it
        had computed is kept first."""
        self.keep()
        archive = self._stored.archive
        sessions, model, audit, card = archive.sessions, self._answerer.start(), archive.audit, self._answerer.card
        earlier = None
        if resume:
            earlier, transcript = sessions.context(resume), sessions.resume(resume, card.name)
            self._answerer.resume(resume)
        else:
            transcript = sessions.begin(self._root, card.name)
        self._transcript = transcript
        outline = partial(_outline, index)
        hands = Hands(tools=[SearchCode(index)])
        return Session(index, model, card, self._settings, transcript, audit, outline, hands, earlier)

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
