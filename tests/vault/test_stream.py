import io
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import VaultDamaged, VaultTooNew
from offline_agent.vault.stream import CHUNK, Source, opened, seal

KEY = bytes(range(32))
CONTEXT = b"what it is"
SMALL = 16  # bytes to a chunk, so that little content spans several
HEADER = 74
GOLDEN = (
    "4f417365616c65640001b0f7a8341ceceb43a2697874a20eb045862aece604dfb6fee928898c1333860a2c406e0ce6ecd920"
    "2c66955252fa0b60545b19a4788fe447dc3b65ea1e5fca2e657efa938c341b762c125c944f0c7d642657c68c8b9b890f"
)  # b"format 1"

PLAIN = st.binary(max_size=5 * SMALL) | st.integers(0, 4).flatmap(
    lambda n: st.binary(min_size=n * SMALL, max_size=n * SMALL)
)


class Dribble(io.RawIOBase):
    """A source that never gives more than so many bytes at once, as pipes do: each size in turn, round and round."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._left = memoryview(content)
        self._sizes = sizes
        self._turn = 0

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        size = min(self._sizes[self._turn % len(self._sizes)], len(buffer), len(self._left))
        self._turn += 1
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


class Zeros:
    """A source of so many zero bytes that are never in memory together."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readinto(self, buffer: memoryview, /) -> int:
        size = min(self._left, len(buffer))
        buffer[:size] = bytes(size)
        self._left -= size
        return size


def sealed(plain: Source | bytes, context: bytes = CONTEXT, key: bytes = KEY, chunk: int = SMALL) -> bytes:
    sink = io.BytesIO()
    seal(plain, sink, key, context, chunk)
    return sink.getvalue()


def whole(stream: bytes, context: bytes = CONTEXT, key: bytes = KEY, chunk: int = SMALL) -> bytes:
    return b"".join(opened(io.BytesIO(stream), key, context, chunk))


@given(PLAIN, st.lists(st.integers(1, 40), min_size=1), st.lists(st.integers(1, 40), min_size=1))
def test_what_is_sealed_comes_back_however_it_is_read(plain: bytes, reads: list[int], rereads: list[int]) -> None:
    stream = sealed(Dribble(plain, reads))
    assert b"".join(opened(Dribble(stream, rereads), KEY, CONTEXT, SMALL)) == plain
    assert len(stream) == len(sealed(plain)) == HEADER + len(plain) + 16 * (len(plain) // SMALL + 1)


@given(PLAIN, st.data())
def test_a_changed_bit_never_opens(plain: bytes, data: st.DataObject) -> None:
    stream = bytearray(sealed(plain))
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((VaultDamaged, VaultTooNew)):
        whole(bytes(stream))


@given(PLAIN, st.data())
def test_a_cut_end_never_opens(plain: bytes, data: st.DataObject) -> None:
    stream = sealed(plain)
    with pytest.raises(VaultDamaged):
        whole(stream[: data.draw(st.integers(0, len(stream) - 1))])


@given(PLAIN, st.binary(min_size=1, max_size=3 * SMALL))
def test_an_appended_end_never_opens(plain: bytes, more: bytes) -> None:
    with pytest.raises(VaultDamaged):
        whole(sealed(plain) + more)


@given(st.lists(st.integers(0, 3), max_size=6).filter(lambda order: order != [0, 1, 2, 3]))
def test_chunks_stay_in_their_order(order: list[int]) -> None:
    stream = sealed(os.urandom(4 * SMALL - 5))
    chunks = [stream[at : at + SMALL + 16] for at in range(HEADER, len(stream), SMALL + 16)]
    with pytest.raises(VaultDamaged):
        whole(stream[:HEADER] + b"".join(chunks[number] for number in order))


@given(PLAIN, st.data())
def test_what_was_given_before_the_damage_is_right(plain: bytes, data: st.DataObject) -> None:
    stream = bytearray(sealed(plain))
    stream[data.draw(st.integers(HEADER, len(stream) - 1))] ^= 1
    given = b""
    with pytest.raises(VaultDamaged, match="vault verify"):
        for piece in opened(io.BytesIO(stream), KEY, CONTEXT, SMALL):
            given += piece
    assert plain.startswith(given)


def test_chunks_of_another_stream_do_not_fit() -> None:
    plain = os.urandom(3 * SMALL)
    one, other = sealed(plain), sealed(plain)
    with pytest.raises(VaultDamaged):
        whole(one[:HEADER] + other[HEADER:])


@pytest.mark.parametrize(("context", "key"), [(b"other", KEY), (b"", KEY), (CONTEXT, bytes(32))])
def test_another_context_or_key_is_refused_before_the_first_byte(context: bytes, key: bytes) -> None:
    with pytest.raises(VaultDamaged, match="another"):
        opened(io.BytesIO(sealed(b"x" * 100)), key, context, SMALL)


def test_the_context_may_follow_from_the_content() -> None:
    source = io.BytesIO(b"x" * 100)
    sink = io.BytesIO(b"before")
    sink.seek(0, io.SEEK_END)
    assert seal(source, sink, KEY, lambda: b"ended at %d" % source.tell(), SMALL) == 100
    assert sink.tell() == len(sink.getvalue())
    assert whole(sink.getvalue()[len(b"before") :], b"ended at 100") == b"x" * 100


def test_the_same_content_never_looks_the_same() -> None:
    one, other = sealed(b"x" * 100), sealed(b"x" * 100)
    assert not {one[at : at + 16] for at in range(10, len(one) - 15)} & {
        other[at : at + 16] for at in range(10, len(other) - 15)
    }


def test_a_later_format_asks_for_an_update() -> None:
    stream = sealed(b"x")
    with pytest.raises(VaultTooNew, match="Update"):
        whole(stream[:8] + b"\0\2" + stream[10:])
    with pytest.raises(VaultDamaged):
        whole(stream[:8] + b"\0\0" + stream[10:])


@pytest.mark.parametrize("stream", [b"", b"OAsealed", b"SQLite format 3\0" * 20, bytes(1000)])
def test_what_was_never_sealed_is_damaged(stream: bytes) -> None:
    with pytest.raises(VaultDamaged):
        whole(stream)


def test_a_stream_written_earlier_still_opens() -> None:
    """Format 1 byte for byte: what a release has written, every later one reads."""
    stream = bytes.fromhex(GOLDEN)
    assert whole(stream, chunk=CHUNK) == b"format 1"


def test_memory_stays_constant(tmp_path: Path) -> None:
    size = 64 * CHUNK
    with open(tmp_path / "sealed", "w+b") as file:
        tracemalloc.start()
        try:
            assert seal(Zeros(size), file, KEY, CONTEXT) == size
            file.seek(0)
            assert sum(map(len, opened(file, KEY, CONTEXT))) == size
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 8 * CHUNK
