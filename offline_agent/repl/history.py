"""Earlier prompts, for the arrow keys and Ctrl-R. They rest where everything rests: in the vault."""

from collections.abc import Iterable

from prompt_toolkit.history import History

from offline_agent.protocols import Database

_KEPT = 1000


class VaultHistory(History):
    """Prompts of this repository, newest first when loaded; the oldest beyond a thousand are forgotten."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        database.execute("CREATE TABLE IF NOT EXISTS prompts (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")

    def load_history_strings(self) -> Iterable[str]:
        return [str(text) for (text,) in self._database.execute("SELECT text FROM prompts ORDER BY id DESC")]

    def store_string(self, string: str) -> None:
        with self._database.transaction():
            self._database.execute("INSERT INTO prompts (text) VALUES (?)", (string,))
            self._database.execute("DELETE FROM prompts WHERE id <= (SELECT max(id) FROM prompts) - ?", (_KEPT,))
