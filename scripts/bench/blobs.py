"""Sealing and opening one large blob: megabytes per second, and how that compares with the cipher alone.

Against: AES-256-GCM of the same library over the same bytes in pieces of 1 MiB, with a counter for a nonce and nothing else, in the
same process; the two take turns. In memory it reads and writes one large buffer. From file to file it reads the same file and
writes another, with one fsync at the end; opening reads that file and writes nothing, as the vault never writes what it opens.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from offline_agent.vault.blobs import SCHEMA, BlobStore
from offline_agent.vault.plain import PlainVault
from offline_agent.vault.stream import opened, seal

PIECE = 1024 * 1024
TAG = 16


class Contest(NamedTuple):
    """The same work done twice: by the cipher alone, and by the vault."""

    name: str
    bare: Callable[[], None]
    ours: Callable[[], None]


class BareCipher:
    """What any program pays that encrypts with this library."""

    def __init__(self, pieces: int) -> None:
        self._cipher = AESGCM(os.urandom(32))
        self._plain = memoryview(bytearray(PIECE))
        self._sealed = memoryview(bytearray(pieces * (PIECE + TAG)))

    def seal_memory(self, content: bytes) -> None:
        plain = memoryview(content)
        for number, sealed in enumerate(self._slots()):
            at = number * PIECE
            self._cipher.encrypt_into(nonce(number), plain[at : at + PIECE], None, sealed)

    def open_memory(self) -> None:
        for number, sealed in enumerate(self._slots()):
            self._cipher.decrypt_into(nonce(number), sealed, None, self._plain)

    def seal_file(self, source: Path, sink: Path) -> None:
        sealed = self._sealed[: PIECE + TAG]
        number = 0
        with source.open("rb") as reader, sink.open("wb") as writer:
            while reader.readinto(self._plain):
                self._cipher.encrypt_into(nonce(number), self._plain, None, sealed)
                writer.write(sealed)
                number += 1
            writer.flush()
            os.fsync(writer.fileno())

    def open_file(self, source: Path) -> None:
        sealed = self._sealed[: PIECE + TAG]
        number = 0
        with source.open("rb") as reader:
            while reader.readinto(sealed):
                self._cipher.decrypt_into(nonce(number), sealed, None, self._plain)
                number += 1

    def _slots(self) -> Iterator[memoryview]:
        for at in range(0, len(self._sealed), PIECE + TAG):
            yield self._sealed[at : at + PIECE + TAG]


def nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def in_memory(bare: BareCipher, content: bytes) -> Iterator[Contest]:
    """The stream format alone."""
    key, sink = os.urandom(32), io.BytesIO()

    def seal_again() -> None:
        sink.seek(0)  # into the same memory, as the cipher alone does
        seal(content, sink, key, b"")

    def open_again() -> None:
        sink.seek(0)
        for _ in opened(sink, key, b""):
            pass

    yield Contest("memory: seal", lambda: bare.seal_memory(content), seal_again)
    yield Contest("memory: open", bare.open_memory, open_again)


def on_disk(bare: BareCipher, content: bytes, place: Path) -> Iterator[Contest]:
    """The blob store, with addresses, a database and everything."""
    database = PlainVault(place).database("main", durable=True)
    database.migrate((SCHEMA,))
    store = BlobStore(place / "blobs", os.urandom(32), database, 2 * len(content))
    plain, sealed = place / "plain", place / "sealed"
    plain.write_bytes(content)
    addresses: list[str] = []

    def put() -> None:
        for address in addresses:
            store.remove(address)  # else a file would be replaced, which the cipher alone does not do
        with plain.open("rb") as source:
            addresses[:] = [store.put(source, "bench")]

    def put_bytes() -> None:
        store.remove(addresses[0])
        store.put(content, "bench")

    def open_blob() -> None:
        with store.open(addresses[0]) as pieces:
            for _ in pieces:
                pass

    def seal_bare() -> None:
        sealed.unlink(missing_ok=True)
        bare.seal_file(plain, sealed)

    yield Contest("file to file: put", seal_bare, put)
    yield Contest("memory to file: put", seal_bare, put_bytes)
    yield Contest("from file: open", lambda: bare.open_file(sealed), open_blob)


def seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--directory", type=Path, help="where the files go; /dev/shm leaves the disk out of it")
    arguments = parser.parse_args()
    content = os.urandom(PIECE) * arguments.megabytes
    bare = BareCipher(arguments.megabytes)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as place:
        for contest in (*in_memory(bare, content), *on_disk(bare, content, Path(place))):
            contest.bare()  # the first round warms both up
            contest.ours()
            times = [(seconds(contest.bare), seconds(contest.ours)) for _ in range(arguments.rounds)]
            alone, ours = (arguments.megabytes / statistics.median(side) for side in zip(*times, strict=True))
            share = 100 * statistics.median(theirs / own for theirs, own in times)
            print(f"{contest.name:<20} {ours:6.0f} MiB/s; the cipher alone {alone:6.0f}; {share:3.0f} % of it")


if __name__ == "__main__":
    main()
