"""The tables of who uses whom: names that files define and use, and what they import.

    names     each name once, with how many files define it and how many use it
    defined   names that a file defines (name, file)
    refs      names that a file uses, and how often (file, name, count)
    modules   what a file may be imported as: the last component of its module, and the last two (see modules.py)
    imports   what a file imports, as paths without an ending (`a/b/c`); `key` is the last two components

Names are numbers here: a repository says the same words over and over, and a million references by number are a third of the disk
and a quarter of the time. The counts change in the transaction that changes the rows they count.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from offline_agent.protocols import Database
from offline_agent.retrieval.modules import key, keys, own
from offline_agent.retrieval.parsed import Parsed

TABLES = (
    "CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT UNIQUE, definers INTEGER DEFAULT 0, users INTEGER DEFAULT 0)",
    "CREATE TABLE defined (name INTEGER, file INTEGER, PRIMARY KEY (name, file)) WITHOUT ROWID",
    "CREATE INDEX defined_file ON defined (file)",
    "CREATE TABLE refs (file INTEGER, name INTEGER, count INTEGER, PRIMARY KEY (file, name)) WITHOUT ROWID",
    "CREATE INDEX refs_name ON refs (name, file, count)",
    "CREATE TABLE modules (key TEXT, file INTEGER, PRIMARY KEY (key, file)) WITHOUT ROWID",
    "CREATE INDEX modules_file ON modules (file)",
    "CREATE TABLE imports (file INTEGER, key TEXT, target TEXT, PRIMARY KEY (file, target)) WITHOUT ROWID",
    "CREATE INDEX imports_key ON imports (key, target, file)",
)
"""Part of a migration that was released: never edit, append (see store.py)."""

_SHORTEST = 3
_LONG = 9
_PLAIN = 0.3
_MOST_DEFINERS = 4
_MOST_USERS = 32

# A name that many files define says nothing about which of them is meant; one that the using file defines itself means its own.
_TELLING = f"length(names.name) >= {_SHORTEST} AND names.definers BETWEEN 1 AND {_MOST_DEFINERS}"
_NOT_ITS_OWN = (
    "defined.file != refs.file AND (names.definers = 1 OR "
    "NOT EXISTS (SELECT 1 FROM defined AS own WHERE own.name = refs.name AND own.file = refs.file))"
)
# A plain word such as `open` or `name` is as often something else's method; a compound or a capital is nobody's by accident.
_DISTINCT = f"(CASE WHEN length(names.name) >= {_LONG} OR names.name GLOB '*[_A-Z]*' THEN 1.0 ELSE {_PLAIN} END)"
# How much rests on a name that is used: less the more files define it. That a file says it more than nine times adds nothing.
_USE = f"{_DISTINCT} * sqrt(min(refs.count, 9)) / names.definers"
# And how much it says about two files: less the more others use it.
_WEIGHT = f"{_USE} / log2(1 + names.users)"
_ROW = "refs.file, defined.file, names.id, names.definers"


Reference = tuple[int, int, int, int, float]
"""A file uses a name that another one defines: the numbers of both files and of the name, how many files define it, and how much
that says. There may be hundreds of thousands."""


class Standing(NamedTuple):
    """How a name that a file defines stands: how many files define it, how many others use it, and whether it is its very own (1)
    or a word that many things are called (less)."""

    file: int
    name: str
    definers: int
    users: int
    distinct: float


class Links:
    """The tables over one connection. Files are known by their number in the table `files`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, file: int, path: str, content: Parsed) -> None:
        """Inside a transaction, for a file that has nothing here yet."""
        defined, used = (
            json.dumps(sorted({one.name for one in content.definitions})),
            json.dumps(dict(content.references)),
        )
        # json_each: one statement for any number of names, which is several times faster than one for each.
        self._run("INSERT OR IGNORE INTO names (name) SELECT value FROM json_each(?)", (defined,))
        self._run("INSERT OR IGNORE INTO names (name) SELECT key FROM json_each(?)", (used,))
        named = "FROM json_each(?) AS given CROSS JOIN names ON names.name ="
        self._run(f"INSERT INTO defined SELECT names.id, ? {named} given.value", (file, defined))
        self._run(f"INSERT INTO refs SELECT ?, names.id, given.value {named} given.key", (file, used))
        insert = self._database.executemany
        insert("INSERT INTO modules VALUES (?, ?)", [(one, file) for one in keys(path)])
        targets = sorted({own(target) for target in content.imports} - {""})
        insert("INSERT INTO imports VALUES (?, ?, ?)", [(file, key(target), target) for target in targets])
        self._count(file, 1)

    def remove(self, file: int) -> None:
        """Inside a transaction. Names that nobody knows any more go too."""
        self._count(file, -1)
        of_file = "SELECT name FROM defined WHERE file = ? UNION SELECT name FROM refs WHERE file = ?"
        self._run(f"DELETE FROM names WHERE id IN ({of_file}) AND definers = 0 AND users = 0", (file, file))  # noqa: S608
        for table in ("defined", "refs", "modules", "imports"):
            self._run(f"DELETE FROM {table} WHERE file = ?", (file,))  # noqa: S608

    def references_of(self, files: Sequence[int]) -> list[Reference]:
        """What the files use of others, and what others use of them. Who uses a name that everybody uses is left out: that
        would be everybody."""
        asked = json.dumps(files)
        used = (
            f"SELECT {_ROW}, {_WEIGHT} FROM json_each(?) AS asked CROSS JOIN refs ON refs.file = asked.value "  # noqa: S608
            f"CROSS JOIN names ON names.id = refs.name AND {_TELLING} CROSS JOIN defined ON defined.name = names.id "
            f"WHERE {_NOT_ITS_OWN}"
        )
        users = (
            f"SELECT {_ROW}, {_WEIGHT} FROM json_each(?) AS asked CROSS JOIN defined ON defined.file = asked.value "  # noqa: S608
            f"CROSS JOIN names ON names.id = defined.name AND {_TELLING} AND names.users <= {_MOST_USERS} "
            f"CROSS JOIN refs ON refs.name = names.id WHERE {_NOT_ITS_OWN}"
        )
        rows = dict.fromkeys([*self._rows(used, (asked,)), *self._rows(users, (asked,))])
        return list(rows)

    def references(self) -> list[Reference]:
        """All of them, for the whole graph, weighed by what rests on a name and not by how telling it is. Those by names that one
        file alone defines are added up, their names left out: there are hundreds of thousands."""
        joined = (
            "FROM names CROSS JOIN defined ON defined.name = names.id CROSS JOIN refs ON refs.name = names.id "
            f"WHERE {_TELLING} AND {_NOT_ITS_OWN}"
        )
        certain = f"SELECT refs.file, defined.file, 0, 1, sum({_USE}) {joined} AND definers = 1 GROUP BY 1, 2"
        return [*self._rows(certain), *self._rows(f"SELECT {_ROW}, {_USE} {joined} AND definers > 1")]

    def names(self, numbers: Iterable[int]) -> dict[int, str]:
        sql = "SELECT names.id, names.name FROM json_each(?) AS asked CROSS JOIN names ON names.id = asked.value"
        return dict(self._rows(sql, (json.dumps(list(numbers)),)))

    def imports_of(self, files: Sequence[int]) -> list[tuple[int, str, int]]:
        """(importing file, what it imports, a file that may be meant), for imports by and of the files."""
        asked = json.dumps(files)
        imported = (
            "SELECT imports.file, target, modules.file FROM json_each(?) AS asked "
            "CROSS JOIN imports ON imports.file = asked.value CROSS JOIN modules ON modules.key = imports.key"
        )
        rows = dict.fromkeys(self._rows(imported, (asked,)))
        return [*rows, *self._importers(asked, rows)]

    def _importers(self, asked: str, known: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Rows as in `imports_of` for who may import the asked files: with every candidate, for another one may be meant. A module
        that everybody imports is left out."""
        sql = (
            "SELECT imports.file, target, others.file FROM json_each(?) AS asked "  # noqa: S608
            "CROSS JOIN modules ON modules.file = asked.value CROSS JOIN imports ON imports.key = modules.key "
            "CROSS JOIN modules AS others ON others.key = modules.key "
            f"WHERE NOT EXISTS (SELECT 1 FROM imports AS more WHERE more.key = modules.key LIMIT 1 OFFSET {_MOST_USERS})"
        )
        seen = set(known)
        return [row for row in dict.fromkeys(self._rows(sql, (asked,))) if row not in seen]

    def imports(self) -> list[tuple[int, str, int]]:
        """As `imports_of`, for the whole graph."""
        return self._rows(
            "SELECT imports.file, target, modules.file FROM imports CROSS JOIN modules ON modules.key = imports.key"
        )

    def sizes(self) -> dict[str, int]:
        """How many names each file defines."""
        return dict(self._rows("SELECT path, count(*) FROM defined CROSS JOIN files ON files.id = file GROUP BY file"))

    def standings(self, files: Sequence[int]) -> list[Standing]:
        """Of every name that the files define."""
        rows = self._rows(
            "SELECT defined.file, names.name, definers, users - EXISTS "  # noqa: S608
            "(SELECT 1 FROM refs WHERE refs.file = defined.file AND refs.name = defined.name), "
            f"{_DISTINCT} FROM json_each(?) AS asked CROSS JOIN defined ON defined.file = asked.value "
            "CROSS JOIN names ON names.id = defined.name",
            (json.dumps(files),),
        )
        return [Standing(*row) for row in rows]

    def _count(self, file: int, step: int) -> None:
        for table, column in (("defined", "definers"), ("refs", "users")):
            sql = f"UPDATE names SET {column} = {column} + ? WHERE id IN (SELECT name FROM {table} WHERE file = ?)"  # noqa: S608
            self._run(sql, (step, file))

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return list(self._database.execute(sql, parameters))

    def _run(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        list(self._database.execute(sql, parameters))
