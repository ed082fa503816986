"""The tables of the two databases that every repository shares, as migrations. See Database.migrate: append, never edit.

main    what a person would miss: sessions and how they go on, prompts, approvals, the audit chain, credentials, measurements of
        models; opened as durable
logs    what a person would not: its size is bounded and it may be removed at any time
"""

from offline_agent.vault import blobs, states

MAIN_NAME, LOGS_NAME = "main", "logs"

MAIN: tuple[tuple[str, ...], ...] = (
    (
        # Bytes: a path need not be UTF-8.
        "CREATE TABLE repositories (key TEXT PRIMARY KEY, root BLOB NOT NULL UNIQUE, opened REAL NOT NULL) WITHOUT ROWID",
        "CREATE TABLE sessions (id TEXT PRIMARY KEY, repository TEXT NOT NULL, model TEXT NOT NULL, started REAL NOT NULL, "
        "last REAL NOT NULL) WITHOUT ROWID",
        "CREATE INDEX sessions_last ON sessions (last)",
        # A table with row ids grows at its end: what is in it is moved less than in the order of sessions.
        "CREATE TABLE messages (id INTEGER PRIMARY KEY, session TEXT NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, "
        "at REAL NOT NULL, citations TEXT NOT NULL)",
        "CREATE INDEX messages_session ON messages (session)",
        "CREATE TABLE audit (number INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, "
        "previous TEXT NOT NULL, hash TEXT NOT NULL)",
        "CREATE TABLE audit_head (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, hash TEXT NOT NULL)",
        "INSERT INTO audit_head VALUES (1, 0, hex(zeroblob(32)))",
        # These hold the program's own mistakes off; against a person with the key there is the chain, see audit.py.
        "CREATE TRIGGER audit_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit chain only grows'); END",
        "CREATE TRIGGER audit_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit chain only grows'); END",
        # INSERT OR REPLACE deletes without asking the trigger above.
        "CREATE TRIGGER audit_insert BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE number = NEW.number) "
        "BEGIN SELECT RAISE(ABORT, 'the audit chain only grows'); END",
        "CREATE TABLE prompts (id INTEGER PRIMARY KEY, repository TEXT, text TEXT NOT NULL)",
        "CREATE INDEX prompts_repository ON prompts (repository)",
        "CREATE TABLE credentials (name TEXT PRIMARY KEY, value TEXT NOT NULL, changed REAL NOT NULL) WITHOUT ROWID",
        *blobs.SCHEMA,
    ),
    (
        # Apart from the sessions, whose list is read often: what the model was shown is many times as long.
        "CREATE TABLE contexts (id INTEGER PRIMARY KEY, session TEXT NOT NULL UNIQUE, body TEXT NOT NULL)",
        *states.SCHEMA,
    ),
    (
        # AUTOINCREMENT: a number that was revoked never comes to mean another approval.
        "CREATE TABLE approvals (id INTEGER PRIMARY KEY AUTOINCREMENT, repository TEXT NOT NULL, permission TEXT NOT NULL, "
        "pattern TEXT NOT NULL, at REAL NOT NULL, UNIQUE (repository, permission, pattern))",
    ),
    (
        # `model` and `at` stand in the body too; here they are looked for.
        "CREATE TABLE benchmarks (id INTEGER PRIMARY KEY, model TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL)",
        "CREATE INDEX benchmarks_model ON benchmarks (model)",
    ),
)

LOGS: tuple[tuple[str, ...], ...] = (
    (
        # AUTOINCREMENT: a number is never given twice, so who follows the log by number misses nothing after a pruning.
        "CREATE TABLE entries (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, level INTEGER NOT NULL, "
        "logger TEXT NOT NULL, process TEXT NOT NULL, message TEXT NOT NULL)",
    ),
)


def storable(text: str) -> str:
    """The text as it can be stored, in UTF-8: halves of surrogate pairs are joined, and what is left of them becomes U+FFFD.

    Such halves come from file names and pasted bytes that are not UTF-8.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
