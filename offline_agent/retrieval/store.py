"""What the index knows, in one SQLite database: files, chunks, their search terms and their vectors.

    files        path -> size, mtime, SHA-256 of what is indexed
    skipped      path -> size, mtime and why it is not indexed, so that it is not read again until it changes
    chunks       spans of files with their text
    words        the terms of each file's chunks (see words.py)
    definitions  names that files define, and where
    links        who uses and imports whom, in some tables of their own (see links.py)
    vectors      (embedder fingerprint, chunk key) -> float16 values, little-endian
    spare        keys of vectors that no chunk uses, and since when, in seconds since 1970

The vectors here are the record; any vector index is a cache that can be rebuilt from them. Vectors no chunk uses any more are kept
for a month: switching branches back and forth must not embed anything twice.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from offline_agent.protocols import Database
from offline_agent.retrieval import links
from offline_agent.retrieval.parsed import Parsed
from offline_agent.retrieval.read import Unread
from offline_agent.retrieval.words import FileWords, file_words
from offline_agent.types import Chunk, Definition, FileState, Skipped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# See Database.migrate: never edit a step that was released; append.
_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE files (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT) WITHOUT ROWID",
        "CREATE TABLE skipped (path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, reason TEXT) WITHOUT ROWID",
        "CREATE TABLE chunks (id INTEGER PRIMARY KEY, path TEXT, start_line INTEGER, end_line INTEGER, symbol TEXT, "
        "name TEXT, kind TEXT, text TEXT, key TEXT)",
        "CREATE INDEX chunks_path ON chunks (path)",
        "CREATE INDEX chunks_key ON chunks (key)",
        "CREATE INDEX chunks_name ON chunks (name) WHERE name != ''",
        # porter: "cookies" finds `cookie`. "_" stays inside a term, so that a whole identifier is one.
        "CREATE VIRTUAL TABLE chunks_fts USING fts5 (symbol, path, body, tokenize = \"porter unicode61 tokenchars '_'\")",
        "CREATE TABLE vectors (embedder TEXT, key TEXT, vector BLOB, PRIMARY KEY (embedder, key)) WITHOUT ROWID",
    ),
    (
        # Chunks got signatures and keys without paths: everything is read anew.
        "DROP TABLE files",
        "DROP TABLE chunks",
        "DROP TABLE chunks_fts",
        "DELETE FROM skipped",
        "DELETE FROM vectors",
        "CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT UNIQUE, name TEXT COLLATE NOCASE, size INTEGER, "
        "mtime_ns INTEGER, sha256 TEXT)",
        "CREATE INDEX files_name ON files (name)",
        "CREATE TABLE chunks (id INTEGER PRIMARY KEY, path TEXT, start_line INTEGER, end_line INTEGER, symbol TEXT, "
        "signature TEXT, kind TEXT, text TEXT, key TEXT)",
        "CREATE INDEX chunks_path ON chunks (path, start_line)",
        "CREATE INDEX chunks_key ON chunks (key)",
        "CREATE TABLE words (file INTEGER PRIMARY KEY, first INTEGER, lengths BLOB, postings BLOB)",
        "CREATE TABLE definitions (id INTEGER PRIMARY KEY, file INTEGER, name TEXT, symbol TEXT, kind TEXT, "
        "start_line INTEGER, end_line INTEGER, signature TEXT)",
        "CREATE INDEX definitions_file ON definitions (file)",
        "CREATE INDEX definitions_name ON definitions (name)",
        "CREATE INDEX definitions_name_any_case ON definitions (name COLLATE NOCASE)",
        *links.TABLES,
    ),
    ("CREATE TABLE spare (key TEXT PRIMARY KEY, since REAL) WITHOUT ROWID",),
)

SCHEMA = len(_MIGRATIONS)
"""The version of a store's tables."""

# Longer than a branch rests before somebody comes back to it. A vector of each embedder is about 1.3 KB.
_SPARE_SECONDS = 30 * 86_400.0
_SPARE_KEYS = 100_000
_LOOK_SECONDS = 3600.0
_LAST_LOOK = ""  # among the spare keys
_VECTORS_AT_ONCE = 5000


class Counts(NamedTuple):
    files: int
    chunks: int
    vectors: int


class Named(NamedTuple):
    """Where a name is defined. There may be a thousand such places for one search, so this is less than a Definition."""

    name: str
    path: str
    symbol: str
    start_line: int
    end_line: int


class Store:
    """One connection's view of the index. One per thread, like the database it is made of."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate(_MIGRATIONS)
        self.links = links.Links(database)
        """Who uses whom."""

    def transaction(self) -> AbstractContextManager[None]:
        return self._database.transaction()

    def close(self) -> None:
        self._database.close()

    # --- files ---

    def known(self, under: str = "") -> dict[str, FileState]:
        """Every file seen before, or those below the directory `under`; a skipped one has an empty hash."""
        after, before = (f"{under}/", f"{under}0") if under else ("", "\U0010ffff")  # 0 comes after the slash
        rows = self._rows(
            "SELECT path, size, mtime_ns, sha256 FROM files WHERE path > ?1 AND path < ?2 "
            "UNION ALL SELECT path, size, mtime_ns, '' FROM skipped WHERE path > ?1 AND path < ?2",
            (after, before),
        )
        return {row[0]: _state(row) for row in rows}

    def state(self, path: str) -> FileState | None:
        rows = self._rows("SELECT path, size, mtime_ns, sha256 FROM files WHERE path = ?", (path,))
        return _state(rows[0]) if rows else None

    def touch(self, state: FileState) -> None:
        """The file has another time but the same content."""
        self._run("UPDATE files SET size = ?, mtime_ns = ? WHERE path = ?", (state.size, state.mtime_ns, state.path))

    def replace_file(self, state: FileState, content: Parsed) -> None:
        with self.transaction():
            self.delete_file(state.path)
            name = state.path.rpartition("/")[2]
            row = (state.path, name, state.size, state.mtime_ns, state.sha256)
            self._run("INSERT INTO files (path, name, size, mtime_ns, sha256) VALUES (?, ?, ?, ?, ?)", row)
            [(file,)] = self._rows("SELECT id FROM files WHERE path = ?", (state.path,))
            [(last,)] = self._rows("SELECT coalesce(max(id), 0) FROM chunks")
            numbered = list(enumerate(content.chunks, last + 1))
            insert = self._database.executemany
            insert("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_chunk_row, numbered))
            self._run("INSERT INTO words VALUES (?, ?, ?, ?)", (file, *file_words(last + 1, content.chunks)))
            insert(
                "INSERT INTO definitions (file, name, symbol, kind, start_line, end_line, signature) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (file, one.name, one.symbol, one.kind, one.start_line, one.end_line, one.signature)
                    for one in content.definitions
                ],
            )
            self.links.write(file, state.path, content)

    def delete_file(self, path: str) -> None:
        with self.transaction():
            self._run("DELETE FROM chunks WHERE path = ?", (path,))
            for (file,) in self._rows("SELECT id FROM files WHERE path = ?", (path,)):
                self._run("DELETE FROM definitions WHERE file = ?", (file,))
                self._run("DELETE FROM words WHERE file = ?", (file,))
                self.links.remove(file)
                self._run("DELETE FROM files WHERE id = ?", (file,))
            self._run("DELETE FROM skipped WHERE path = ?", (path,))

    def skip_file(self, unread: Unread) -> None:
        with self.transaction():
            self.delete_file(unread.state.path)
            state = unread.state
            row = (state.path, state.size, state.mtime_ns, unread.skipped.reason)
            self._run("INSERT INTO skipped VALUES (?, ?, ?, ?)", row)

    def skipped(self, limit: int) -> list[Skipped]:
        rows = self._rows("SELECT path, reason FROM skipped ORDER BY path LIMIT ?", (limit,))
        return [Skipped(path=path, reason=reason) for path, reason in rows]

    # --- chunks ---

    def chunks(self, ids: Sequence[int]) -> dict[int, Chunk]:
        # json_each: one statement for any number of values.
        rows = self._rows(
            "SELECT * FROM chunks WHERE chunks.id IN (SELECT value FROM json_each(?))", (json.dumps(ids),)
        )
        return {row[0]: _chunk(row) for row in rows}

    def ids_by_key(self, keys: Sequence[str]) -> dict[str, list[int]]:
        """The chunks that share each key; equal text twice in one file is two chunks with one vector."""
        found: dict[str, list[int]] = {}
        sql = "SELECT key, id FROM chunks WHERE key IN (SELECT value FROM json_each(?)) ORDER BY id"
        for key, number in self._rows(sql, (json.dumps(keys),)):
            found.setdefault(key, []).append(number)
        return found

    def definitions_named(self, names: Sequence[str]) -> list[Named]:
        """Definitions with one of these names, whatever its case."""
        rows = self._rows(
            "SELECT definitions.name, files.path, symbol, start_line, end_line FROM json_each(?) AS asked "
            "JOIN definitions ON definitions.name = asked.value COLLATE NOCASE JOIN files ON files.id = file "
            "ORDER BY definitions.id",
            (json.dumps(names),),
        )
        return [Named(*row) for row in rows]

    def chunks_within(self, spans: Sequence[tuple[str, int, int]]) -> list[list[int]]:
        """For each (path, first line, last line) the chunks that share a line with it, in order."""
        found: list[list[int]] = [[] for _ in spans]
        rows = self._rows(
            "SELECT asked.key, chunks.id FROM json_each(?) AS asked CROSS JOIN chunks ON chunks.path = asked.value ->> 0 "
            "AND start_line <= asked.value ->> 2 AND end_line >= asked.value ->> 1 ORDER BY asked.key, start_line, chunks.id",
            (json.dumps(spans),),
        )
        for number, chunk in rows:
            found[number].append(chunk)
        return found

    def files_named(self, name: str) -> list[str]:
        """Paths of the files of that name, whatever its case."""
        return [row[0] for row in self._rows("SELECT path FROM files WHERE name = ? ORDER BY path", (name,))]

    def chunks_of(self, path: str, limit: int) -> list[int]:
        """The first chunks of a file."""
        sql = "SELECT id FROM chunks WHERE path = ? ORDER BY start_line, id LIMIT ?"
        return [row[0] for row in self._rows(sql, (path, limit))]

    def words(self, paths: Sequence[str] | None = None) -> dict[str, FileWords]:
        """The words of these files, or of all."""
        rows = self._rows(
            "SELECT path, first, lengths, postings FROM words JOIN files ON files.id = file "
            "WHERE ?1 IS NULL OR path IN (SELECT value FROM json_each(?1)) ORDER BY file",
            (None if paths is None else json.dumps(paths),),
        )
        return {row[0]: FileWords(*row[1:]) for row in rows}

    def places(self, ids: Sequence[int]) -> dict[int, tuple[str, str, str, int]]:
        """Path, symbol, kind and first line of each chunk."""
        sql = "SELECT id, path, symbol, kind, start_line FROM chunks WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        return {row[0]: (row[1], row[2], row[3], row[4]) for row in self._rows(sql, (json.dumps(ids),))}

    def counts(self, embedder: str) -> Counts:
        """Files, chunks, and how many of the chunks have a vector of this embedder."""
        [row] = self._rows(
            "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM chunks), (SELECT count(*) FROM chunks "
            "JOIN vectors ON vectors.key = chunks.key AND embedder = ?)",
            (embedder,),
        )
        return Counts(*row)

    def keys(self) -> set[str]:
        """Of all chunks."""
        return {row[0] for row in self._rows("SELECT DISTINCT key FROM chunks")}

    def keys_of(self, path: str) -> set[str]:
        return {row[0] for row in self._rows("SELECT key FROM chunks WHERE path = ?", (path,))}

    # --- graph ---

    def file_ids(self, paths: Sequence[str] | None = None) -> dict[str, int]:
        """The number of each file that is known; of every file without `paths`."""
        if paths is None:
            return dict(self._rows("SELECT path, id FROM files"))
        sql = "SELECT files.path, files.id FROM json_each(?) AS asked CROSS JOIN files ON files.path = asked.value"
        return dict(self._rows(sql, (json.dumps(paths),)))

    def file_paths(self, ids: Sequence[int]) -> dict[int, str]:
        sql = "SELECT files.id, files.path FROM json_each(?) AS asked CROSS JOIN files ON files.id = asked.value"
        return dict(self._rows(sql, (json.dumps(ids),)))

    def definitions_of(self, paths: Sequence[str]) -> list[Definition]:
        """Everything that the files define, in the order of their lines."""
        rows = self._rows(
            "SELECT files.path, symbol, kind, start_line, end_line, signature FROM json_each(?) AS asked "
            "CROSS JOIN files ON files.path = asked.value CROSS JOIN definitions ON definitions.file = files.id "
            "ORDER BY files.path, start_line, end_line DESC, definitions.id",
            (json.dumps(paths),),
        )
        return [_definition(row) for row in rows]

    # --- vectors ---

    def pending(self, embedder: str, limit: int, hot: Sequence[str] = ()) -> list[tuple[str, str]]:
        """Keys without a vector and the text to embed: from the files at the paths `hot`, then from those that changed last."""
        rows = self._rows(
            "SELECT chunks.* FROM chunks JOIN files USING (path) LEFT JOIN vectors ON vectors.key = chunks.key AND embedder = ? "
            "WHERE vectors.key IS NULL GROUP BY chunks.key "
            "ORDER BY max(path IN (SELECT value FROM json_each(?))) DESC, max(mtime_ns) DESC, chunks.id LIMIT ?",
            (embedder, json.dumps(hot), limit),
        )
        return [(row[8], _chunk(row).embedded_text) for row in rows]

    def pending_keys(self, embedder: str) -> list[str]:
        """Every key without a vector."""
        rows = self._rows(
            "SELECT DISTINCT chunks.key FROM chunks LEFT JOIN vectors ON vectors.key = chunks.key AND embedder = ? "
            "WHERE vectors.key IS NULL",
            (embedder,),
        )
        return [row[0] for row in rows]

    def add_vectors(self, embedder: str, keys: Sequence[str], vectors: "NDArray[np.float32]") -> None:
        blobs = [row.tobytes() for row in vectors.astype("<f2")]
        rows = [(embedder, key, blob) for key, blob in zip(keys, blobs, strict=True)]
        with self.transaction():
            self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def texts_without(self, embedder: str, keys: Sequence[str]) -> list[tuple[str, str]]:
        """Those of `keys` that have no vector, with the text to embed, each once."""
        rows = self._rows(
            "SELECT chunks.* FROM chunks WHERE key IN (SELECT value FROM json_each(?)) "
            "AND NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.key = chunks.key AND embedder = ?) GROUP BY key ORDER BY id",
            (json.dumps(keys), embedder),
        )
        return [(row[8], _chunk(row).embedded_text) for row in rows]

    def vector_keys(self, embedder: str) -> set[str]:
        """Keys of chunks that are there now and have a vector."""
        rows = self._rows(
            "SELECT DISTINCT chunks.key FROM chunks JOIN vectors ON vectors.key = chunks.key AND embedder = ?",
            (embedder,),
        )
        return {row[0] for row in rows}

    def vectors_in_use(self, embedder: str) -> Iterator[tuple[list[str], "NDArray[np.float32]"]]:
        """Every vector of this embedder that a chunk has now, some at a time: all rows at once would be in memory twice."""
        sql = (
            "SELECT key, vector FROM vectors WHERE embedder = ? AND key > ? "
            "AND EXISTS (SELECT 1 FROM chunks WHERE chunks.key = vectors.key) ORDER BY key LIMIT ?"
        )
        last = ""
        while rows := self._rows(sql, (embedder, last, _VECTORS_AT_ONCE)):
            last = rows[-1][0]
            yield _vectors(rows)

    def vectors(self, embedder: str, keys: Sequence[str]) -> Iterator[tuple[list[str], "NDArray[np.float32]"]]:
        """The vectors of `keys`, some at a time."""
        sql = "SELECT key, vector FROM vectors WHERE embedder = ? AND key IN (SELECT value FROM json_each(?))"
        for start in range(0, len(keys), _VECTORS_AT_ONCE):
            rows = self._rows(sql, (embedder, json.dumps(keys[start : start + _VECTORS_AT_ONCE])))
            if rows:
                yield _vectors(rows)

    def purge_vectors(self, now: float | None = None) -> None:
        """Drops vectors that no chunk has used for a month, and the oldest of very many. It looks at all, so once an hour at most.

        `now` is in seconds since 1970, by default the clock's.
        """
        now = time.time() if now is None else now
        if self._rows(
            "SELECT 1 FROM spare WHERE key = ? AND since BETWEEN ? AND ?", (_LAST_LOOK, now - _LOOK_SECONDS, now)
        ):
            return
        with self.transaction():
            self._run("DELETE FROM spare WHERE key IN (SELECT key FROM chunks)")
            self._run(
                "INSERT OR IGNORE INTO spare SELECT DISTINCT key, ? FROM vectors WHERE key NOT IN (SELECT key FROM chunks)",
                (now,),
            )
            [(used,)] = self._rows("SELECT count(DISTINCT key) FROM chunks")
            kept = max(_SPARE_KEYS, 2 * used)
            for condition, limit in (
                ("since < ?", now - _SPARE_SECONDS),
                ("key IN (SELECT key FROM spare WHERE key != '' ORDER BY since DESC, key LIMIT -1 OFFSET ?)", kept),
            ):
                self._run(f"DELETE FROM vectors WHERE key IN (SELECT key FROM spare WHERE {condition})", (limit,))  # noqa: S608
                self._run(f"DELETE FROM spare WHERE {condition}", (limit,))  # noqa: S608
            self._run("INSERT OR REPLACE INTO spare VALUES (?, ?)", (_LAST_LOOK, now))

    # --- plumbing ---

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return list(self._database.execute(sql, parameters))

    def _run(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        list(self._database.execute(sql, parameters))


def _vectors(rows: Sequence[tuple[Any, ...]]) -> tuple[list[str], "NDArray[np.float32]"]:
    import numpy as np

    values = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f2")
    return [row[0] for row in rows], values.reshape(len(rows), -1).astype(np.float32)


def _state(row: Sequence[Any]) -> FileState:
    return FileState(path=row[0], size=row[1], mtime_ns=row[2], sha256=row[3])


def _chunk(row: Sequence[Any]) -> Chunk:
    _, path, start, end, symbol, signature, kind, text, _ = row
    return Chunk(path=path, start_line=start, end_line=end, symbol=symbol, signature=signature, kind=kind, text=text)


def _definition(row: Sequence[Any]) -> Definition:
    path, symbol, kind, start, end, signature = row
    return Definition(path=path, symbol=symbol, kind=kind, start_line=start, end_line=end, signature=signature)


def _chunk_row(numbered: tuple[int, Chunk]) -> tuple[Any, ...]:
    number, one = numbered
    return number, one.path, one.start_line, one.end_line, one.symbol, one.signature, one.kind, one.text, one.key
