"""Looks at the vault: from outside what anybody who has the files can see, from inside how much there is, and whether it is as it
was written."""

import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from offline_agent.errors import VaultDamaged, VaultError
from offline_agent.protocols import Vault
from offline_agent.records import KeySource, StoredRepository, VaultCounts, VaultSizes, VaultStatus, Verified
from offline_agent.vault.archive import Archive
from offline_agent.vault.blobs import DIRECTORY as BLOBS_NAME
from offline_agent.vault.files import HEADER_FILE, LOCK_FILE
from offline_agent.vault.header import Header
from offline_agent.vault.journal import DIRECTORY as JOURNALS
from offline_agent.vault.repositories import Repository
from offline_agent.vault.rotate import database_names
from offline_agent.vault.schema import LOGS_NAME, MAIN_NAME

REPOSITORIES = "repos"
_FAULTS_SHOWN = 3  # of one database: more tell nobody more
_WITHOUT_MAIN = f"The audit chain and the blobs cannot be verified without the database {MAIN_NAME}."
_SWAPS, _LOCKS, _DEVICES = Path("/proc/swaps"), Path("/proc/locks"), Path("/sys/class/block")


def remains(root: Path) -> bool:
    """Whether there is a vault in `root`, or anything of one, with its header or without."""
    try:
        names = os.listdir(root)
    except OSError:
        return (root / HEADER_FILE).exists()
    return any(name == HEADER_FILE or name.isdecimal() for name in names)


def outside(root: Path, header: Header, key_file: Path) -> VaultStatus:
    """What can be told of the vault in `root` without opening it. `key_file` is where its key would be, kept in a file."""
    generation = root / str(header.generation)
    processes = holders(root / LOCK_FILE)
    return VaultStatus(
        directory=_shown(root),
        source=header.source,
        key_file=_shown(key_file) if header.source is KeySource.FILE else "",
        swaps=swaps_in_clear(),
        in_use=bool(processes),
        processes=processes,
        sizes=VaultSizes(
            total=size_of(generation) + size_of(root / HEADER_FILE),
            indexes=size_of(generation / REPOSITORIES),
            records=_database_size(generation, MAIN_NAME),
            log=_database_size(generation, LOGS_NAME),
            blobs=size_of(generation / BLOBS_NAME) + size_of(generation / JOURNALS),
        ),
    )


def counts(generation: Path, archive: Archive) -> VaultCounts:
    """What can be told of an open vault. Raises a VaultError."""
    sessions, messages = archive.sessions.counts()
    return VaultCounts(
        repositories=tuple(_stored(generation, repository) for repository in archive.repositories.all()),
        sessions=sessions,
        messages=messages,
        audit_records=archive.audit.head().number,
        log_entries=archive.logs.count(),
        blobs=archive.blobs.count(),
    )


def verify(
    generation: Path, vault: Vault, archive: Archive, progress: Callable[[int, int], None] | None = None
) -> Iterator[Verified]:
    """Reads all of an open vault, and goes on after a fault. That it is open vouches for its header.

    `progress` is called with how many parts are done, and of how many.
    """
    yield Verified(part="header")
    lost = _lost(generation)  # looked at first: opening a database makes one where there is none
    names = sorted({*database_names(generation), *lost})
    roots = {} if MAIN_NAME in lost else _roots(archive)
    for done, name in enumerate(names, 1):
        found = [lost[name]] if name in lost else _read_through(vault, name)
        if found and name == MAIN_NAME:
            lost[name] = "damaged"
        yield Verified(part=f"database {name}", faults=tuple(_explained(found, name, generation, roots)))
        if progress is not None:
            progress(done, len(names) + 2)
    others = [_WITHOUT_MAIN] if MAIN_NAME in lost else _other_faults(archive)
    yield Verified(part="audit chain and blobs", faults=tuple(others))
    if progress is not None:
        progress(len(names) + 1, len(names) + 2)
    yield Verified(part="undo", faults=tuple(_journal_faults(archive)))
    if progress is not None:
        progress(len(names) + 2, len(names) + 2)


def gone(repositories: Iterable[Repository]) -> list[Repository]:
    """Those whose directory does not exist any more. One that cannot be looked at may exist."""
    return [repository for repository in repositories if _is_gone(repository.root)]


def size_of(path: Path) -> int:
    """Bytes of the file `path`, or of all files below it; 0 where there is nothing. What goes away meanwhile is not counted."""
    if path.is_dir():
        return sum(size_of(Path(place, file)) for place, _, files in os.walk(path) for file in files)
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def swaps_in_clear(swaps: Path = _SWAPS, devices: Path = _DEVICES) -> tuple[str, ...]:
    """The swap files and partitions that are on and not known to be encrypted, as /proc/swaps names them (proc(5)); none where
    that cannot be read. zram is memory itself, and dm-crypt tells by the device mapper's id of the partition."""
    try:
        lines = swaps.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    except OSError:
        return ()
    names = [line.split()[0] for line in lines if line.strip()]
    return tuple(name for name in names if not _is_safe(name, devices))


def holders(lock: Path, locks: Path = _LOCKS) -> tuple[int, ...]:
    """Ids of other processes that hold a flock(2) on the file `lock`, as /proc/locks lists them (proc(5)).

    None where there is no such list; some file systems show another device number there than stat(2), so the inode decides.
    """
    try:
        inode = str(lock.stat().st_ino)
        lines = locks.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ()
    found = {_holder(line.split(), inode) for line in lines}
    return tuple(sorted(found - {0, os.getpid()}))


def _holder(fields: list[str], inode: str) -> int:
    """The process in a line of /proc/locks such as `1: FLOCK  ADVISORY  WRITE 3252 fe:00:2442579 0 EOF`, where it holds a lock on
    that inode; else 0, as for one that cannot be seen from this container. One that waits has `->` after its number."""
    if len(fields) < 6 or fields[1] != "FLOCK" or fields[5].rpartition(":")[2] != inode:
        return 0
    return int(fields[4]) if fields[4].isascii() and fields[4].isdecimal() else 0


def _is_safe(swap: str, devices: Path) -> bool:
    name = os.path.basename(os.path.realpath(swap))
    try:
        mapped = (devices / name / "dm" / "uuid").read_text(encoding="ascii", errors="replace")
    except OSError:
        mapped = ""
    return name.startswith("zram") or mapped.startswith("CRYPT-")


def _stored(generation: Path, repository: Repository) -> StoredRepository:
    return StoredRepository(
        root=_shown(repository.root),
        bytes=size_of(generation / REPOSITORIES / repository.key),
        opened=repository.opened,
        gone=_is_gone(repository.root),
    )


def _is_gone(root: str) -> bool:
    try:
        os.stat(root)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return not os.path.isdir(root)


def _file(generation: Path, name: str) -> Path:
    return generation / f"{name}.db"


def _database_size(generation: Path, name: str) -> int:
    path = _file(generation, name)
    return sum(size_of(path.with_name(path.name + end)) for end in ("", "-wal", "-shm"))


def _lost(generation: Path) -> dict[str, str]:
    """Databases of which nothing is left, and what is seen of that."""
    names = list(database_names(generation))
    lost = {name: "empty" for name in names if size_of(_file(generation, name)) == 0}
    if MAIN_NAME not in names and any(name.startswith(REPOSITORIES) for name in names):
        lost[MAIN_NAME] = "missing"
    return lost


def _roots(archive: Archive) -> dict[str, str]:
    try:
        return {repository.key: repository.root for repository in archive.repositories.all()}
    except VaultError:
        return {}  # its database is among those that are read through


def _read_through(vault: Vault, name: str) -> list[str]:
    """What is wrong with the database, if anything: each page is decrypted and its tag compared, each index with its table. Free
    pages hold nothing, and most of them are not read."""
    try:
        with closing(vault.database(name)) as database:
            rows = [str(row[0]) for row in database.execute(f"PRAGMA integrity_check({_FAULTS_SHOWN})")]
    except VaultDamaged:
        return ["damaged: a part of it is not what was written"]
    except VaultError as error:
        return [f"not verified: {error}"]
    return [] if rows == ["ok"] else [f"damaged: {_one_line(rows)}"]


def _one_line(rows: list[str]) -> str:
    """What SQLite found, without its heading, which calls every database "main"."""
    lines = [line.rstrip(".") for row in rows for line in row.splitlines() if not line.startswith("***")]
    return "; ".join(lines[:_FAULTS_SHOWN])


def _explained(found: list[str], name: str, generation: Path, roots: dict[str, str]) -> Iterator[str]:
    for fault in found:
        yield f"The database {name} is {fault.rstrip('.')}. {_advice(name, generation, roots)}"


def _advice(name: str, generation: Path, roots: dict[str, str]) -> str:
    if name == MAIN_NAME:
        return "Restore the vault from a backup: sessions, the audit chain and credentials are in this one."
    if name == LOGS_NAME:
        return f"Nothing depends on the log: remove {_shown(_file(generation, name))} and what begins with its name."
    root = roots.get(name.removeprefix(f"{REPOSITORIES}/").partition("/")[0])
    where = "in its repository" if root is None else f"--repo {shlex.quote(_shown(root))}"
    return f"`offline-agent index {where} clear` removes it, and the index is built anew from the files."


def _other_faults(archive: Archive) -> Iterator[str]:
    try:
        yield from archive.faults()
    except VaultError as error:
        yield f"The audit chain and the blobs cannot be verified: {error}"


def _journal_faults(archive: Archive) -> Iterator[str]:
    try:
        yield from archive.journal_faults()
    except VaultError as error:
        yield f"What undoes turns cannot be verified: {error}"


def _shown(path: Path | str) -> str:
    """A path as text that JSON and a terminal can take: names need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")
