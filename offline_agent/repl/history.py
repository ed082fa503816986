"""Earlier prompts, for the arrow keys and Ctrl-R. They rest where everything rests: in the vault."""

import logging
from collections.abc import Iterable

from prompt_toolkit.history import History

from offline_agent.cli.terminal import readable
from offline_agent.errors import VaultError
from offline_agent.protocols import Database

log = logging.getLogger(__name__)

_KEPT = 1000


class VaultHistory(History):
    """Prompts of one repository, newest first when loaded; the oldest beyond a thousand are forgotten. `database` is the
    archive's `main`."""

    def __init__(self, database: Database, repository: str) -> None:
        super().__init__()
        self._database = database
        self._repository = repository

    def load_history_strings(self) -> Iterable[str]:
        sql = "SELECT text FROM prompts WHERE repository = ? ORDER BY id DESC LIMIT ?"
        return [str(text) for (text,) in self._database.execute(sql, (self._repository, _KEPT))]

    def store_string(self, string: str) -> None:
        """What cannot be stored is logged only: prompt_toolkit would show a traceback, and the turn that follows says why."""
        try:
            self._store(readable(string))
        except VaultError as error:
            log.warning("a prompt is not in the history: %s", error)

    def _store(self, prompt: str) -> None:
        oldest = "SELECT id FROM prompts WHERE repository = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2"
        with self._database.transaction():
            self._database.execute("INSERT INTO prompts (repository, text) VALUES (?, ?)", (self._repository, prompt))
            self._database.execute(f"DELETE FROM prompts WHERE id IN ({oldest})", (self._repository, _KEPT))  # noqa: S608
