"""What the vault's databases cost beside plain SQLite: opening, inserts, full reads, single commits.

Against: Python's own sqlite3 on the same rows with the same settings (WAL, synchronous NORMAL), in the same process, taking turns.
Opening is measured in fresh processes, imports included: the vault with its key file, its sessions and its index, against the same
tables in plain files. CPU seconds throughout, the machine's other work left out.
"""

import argparse
import os
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from offline_agent.retrieval.parsed import Parsed
from offline_agent.retrieval.store import Store
from offline_agent.settings import LogSettings, VaultSettings
from offline_agent.types import Chunk, FileState, Message
from offline_agent.vault.archive import Archive
from offline_agent.vault.keeper import Keeper
from offline_agent.vault.kernel import MemoryKeyCache
from offline_agent.vault.keys import Keys, ScriptedPassphrases
from offline_agent.vault.plain import PlainVault
from offline_agent.vault.sealed import SealedVault
from offline_agent.vault.secret import Secret

ROW = 1500  # bytes
AT_ONCE = 1000
_OPEN_PLAIN = """
import sqlite3, sys
for file, table in (("main", "messages"), ("repos/bench/index", "chunks")):
    connection = sqlite3.connect(f"{sys.argv[1]}/{file}.db")
    connection.execute(f"SELECT count(*) FROM {table}").fetchall()
"""
_OPEN_VAULT = """
import sys
from pathlib import Path
from scripts.bench.store import keeper_in
vault = keeper_in(Path(sys.argv[1]), sys.argv[2].encode() or None).open()
for name, table in (("main", "messages"), ("repos/bench/index", "chunks")):
    vault.database(name).execute(f"SELECT count(*) FROM {table}")
"""
_IMPORT_ONLY = "import offline_agent.vault.keeper, offline_agent.settings"


def keeper_in(place: Path, passphrase: bytes | None = None) -> Keeper:
    keys = Keys("auto", place / "config", ScriptedPassphrases(passphrase), lambda: None, MemoryKeyCache())
    return Keeper(place / "data", keys)


def fill(vault: SealedVault | PlainVault, sessions: int, chunks: int) -> None:
    import numpy as np

    archive = Archive(vault, vault.blob_key, VaultSettings(), LogSettings())
    for number in range(sessions):
        transcript = archive.sessions.begin("/bench", "model")
        for turn in range(10):
            transcript.add(Message(role="user", content=f"Question {turn} of session {number}? " * 5))
            transcript.add(Message(role="assistant", content="An answer of some length. " * 40))
    archive.close()
    store = Store(vault.database("repos/bench/index"))
    rng = np.random.default_rng(0)
    for first in range(0, chunks, 50):
        path = f"src/file{first}.py"
        made = [
            Chunk(
                path=path, start_line=30 * n + 1, end_line=30 * n + 30, symbol=f"f{n}", text=f"def f{n}(): ...\n" * 30
            )
            for n in range(first, min(first + 50, chunks))
        ]
        store.replace_file(FileState(path=path, size=1, mtime_ns=1, sha256=""), Parsed(made))
        store.add_vectors("bench", [one.key for one in made], rng.normal(size=(len(made), 384)).astype(np.float32))
    store.close()


def child_cpu(code: str, *arguments: str) -> float:
    """CPU seconds of a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_opening(place: Path, rounds: int, sessions: int, chunks: int) -> None:
    plain = place / "plain"
    fill(PlainVault(plain), sessions, chunks)
    sealed = {}
    for kind, passphrase in (("key file", b""), ("passphrase", b"bench")):
        vault = keeper_in(place / kind, passphrase or None).open()
        fill(vault, sessions, chunks)
        vault.close()
        sealed[kind] = (_OPEN_VAULT, str(place / kind), passphrase.decode())
    contests = {"plain": (_OPEN_PLAIN, str(plain)), "imports": (_IMPORT_ONLY,), **sealed}
    times: dict[str, list[float]] = {name: [] for name in contests}
    for _ in range(rounds):
        for name, command in contests.items():
            times[name].append(child_cpu(*command))
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"opening a vault with {sessions} sessions and {chunks} chunks, CPU seconds of a fresh process:")
    print(f"  plain SQLite {median['plain']:.3f}; the vault by key file {median['key file']:.3f}, of which imports")
    print(f"  {median['imports']:.3f}; by passphrase {median['passphrase']:.3f}")
    print(f"  beyond plain SQLite: {median['key file'] - median['plain']:.3f} s; by passphrase, Argon2id included,")
    print(f"  {median['passphrase'] - median['plain']:.3f} s")


class Plain:
    """Python's sqlite3, as anybody would use it."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", "temp_store = MEMORY"):
            self._connection.execute(f"PRAGMA {setting}")

    def execute(self, sql: str, row: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, row).fetchall()

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)

    def close(self) -> None:
        self._connection.close()


def cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def measure_rows(place: Path, rounds: int, rows: int) -> None:
    content = [(f"{n:08x} ".encode() + os.urandom(ROW - 9),) for n in range(rows)]
    ratios: dict[str, list[float]] = {"insert": [], "read all": [], "commit one": []}
    absolute: dict[str, list[float]] = {name: [] for name in ratios}
    for number in range(rounds + 1):
        spent = [run_rows(kind, place / f"{number}-{kind}", content) for kind in ("plain", "sealed")]
        if number:  # the first round warms both up
            for name in ratios:
                ratios[name].append(spent[1][name] / spent[0][name])
                absolute[name].append(spent[1][name])
    print(
        f"{rows} rows of {ROW} bytes, CPU time of the vault's database against Python's sqlite3 (median of {rounds}):"
    )
    for name, values in ratios.items():
        print(f"  {name:<11} {statistics.median(values):.2f} times ({statistics.median(absolute[name]):.2f} s)")


def run_rows(kind: str, place: Path, content: Sequence[Sequence[Any]]) -> dict[str, float]:
    place.mkdir()
    database = Plain(place / "d.db") if kind == "plain" else SealedVault(place, Secret.random()).database("d")
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)")

    def insert() -> None:
        for start in range(0, len(content), AT_ONCE):
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO t (x) VALUES (?)", content[start : start + AT_ONCE])
            database.execute("COMMIT")

    def commit_one() -> None:
        for row in content[:2000]:
            database.execute("INSERT INTO t (x) VALUES (?)", row)

    spent = {"insert": cpu(insert), "read all": cpu(lambda: database.execute("SELECT * FROM t"))}
    spent["commit one"] = cpu(commit_one)
    database.close()
    shutil.rmtree(place)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--chunks", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        measure_rows(Path(place), arguments.rounds, arguments.rows)
        measure_opening(Path(place), arguments.rounds, arguments.sessions, arguments.chunks)


if __name__ == "__main__":
    main()
