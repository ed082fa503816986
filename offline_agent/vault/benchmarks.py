"""What was measured of models on this machine, newest first."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from offline_agent.benchmarks import Benchmark
from offline_agent.protocols import Database
from offline_agent.vault.erase import erasing, overwriting
from offline_agent.vault.schema import MAIN, storable

log = logging.getLogger(__name__)

KEPT = 200
"""The newest so many. One is some kilobytes, most of it the sentences of what failed."""


class Benchmarks:
    """One per thread, like the database `main` it is made of. Every method raises a StorageError."""

    def __init__(self, database: Database, kept: int = KEPT) -> None:
        self._database = database
        self._kept = kept
        database.migrate(MAIN)

    def add(self, benchmark: Benchmark) -> None:
        """Stores it, and forgets the oldest where there are too many."""
        row = (storable(benchmark.model), benchmark.at, storable(benchmark.model_dump_json()))
        with overwriting(self._database):
            self._database.execute("INSERT INTO benchmarks (model, at, body) VALUES (?, ?, ?)", row)
            self._database.execute(
                "DELETE FROM benchmarks WHERE id NOT IN (SELECT id FROM benchmarks ORDER BY at DESC, id DESC LIMIT ?)",
                (self._kept,),
            )

    def all(self) -> list[Benchmark]:
        return [*_understood(self._database.execute("SELECT body FROM benchmarks ORDER BY at DESC, id DESC"))]

    def of(self, model: str) -> list[Benchmark]:
        """Those of one model, by its name."""
        rows = self._database.execute(
            "SELECT body FROM benchmarks WHERE model = ? ORDER BY at DESC, id DESC", (storable(model),)
        )
        return [*_understood(rows)]

    def remove(self, model: str) -> int:
        """Erases those of one model; how many there were."""
        with erasing(self._database):
            [(count,)] = self._database.execute("SELECT count(*) FROM benchmarks WHERE model = ?", (storable(model),))
            self._database.execute("DELETE FROM benchmarks WHERE model = ?", (storable(model),))
        return int(count)


def _understood(rows: Iterable[tuple[Any, ...]]) -> Iterator[Benchmark]:
    """A record of another version of the program may have fields that this one does not know: it stays, and is not shown."""
    for (body,) in rows:
        try:
            yield Benchmark.model_validate_json(body)
        except ValidationError as error:
            log.warning("a benchmark is not understood: %s", error)
