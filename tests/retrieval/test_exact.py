"""The exact index against the plainest way to say the same."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.hashing import HashingEmbedder

KEYS = st.text("abcdef", min_size=1, max_size=2)
CHANGES = st.lists(st.tuples(st.booleans(), st.lists(st.tuples(KEYS, st.integers(0, 9)), max_size=30)), max_size=12)
POOL = HashingEmbedder().encode([f"text {number} of {number % 3}" for number in range(10)])


@given(CHANGES, st.integers(0, 9), st.integers(-1, 60))
def test_it_finds_what_sorting_everything_finds(
    changes: list[tuple[bool, list[tuple[str, int]]]], query: int, limit: int
) -> None:
    index, plain = ExactIndex(), dict[str, int]()
    for adds, pairs in changes:
        unique = dict(pairs)
        if adds:
            index.add(list(unique), POOL[list(unique.values())])
            plain.update(unique)
        else:
            index.remove(list(unique))
            plain = {key: row for key, row in plain.items() if key not in unique}
    assert index.keys() == set(plain)
    assert len(index) == len(plain)
    scored = [(key, float(POOL[row] @ POOL[query])) for key, row in plain.items()]
    expected = sorted(scored, key=lambda pair: (-round(pair[1], 5), pair[0]))[: max(limit, 0)]
    found = index.search(POOL[query], limit)
    assert [key for key, _ in found] == [key for key, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-5)


@pytest.mark.parametrize("leading", [0, 32])
def test_it_gives_back_what_it_holds(leading: int) -> None:
    index = ExactIndex(leading)
    assert index.held(["a"])[0] == []
    index.add(["a", "b", "c"], POOL[:3])
    index.remove(["a"])
    keys, vectors = index.held(["c", "a", "b"])
    assert keys == ["c", "b"]
    assert vectors == pytest.approx(POOL[[2, 1]], abs=1e-3)
    vectors[:] = 0
    assert index.search(POOL[2], 1)[0][1] == pytest.approx(1, abs=1e-3)


def test_the_leading_axes_find_what_all_axes_find() -> None:
    """Where they carry most: of 3,000 vectors in groups, the first 16 of 64 axes."""
    random = np.random.default_rng(7)
    spread = np.where(np.arange(64) < 16, 1.0, 0.25)
    groups = random.normal(size=(40, 64))
    vectors = (groups[random.integers(0, 40, 3000)] + 0.7 * random.normal(size=(3000, 64))) * spread
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    keys = [f"{number:04}" for number in range(3000)]
    index, oracle = ExactIndex(16), ExactIndex()
    for one in (index, oracle):
        for start in range(0, 3000, 500):
            one.add(keys[start : start + 500], vectors[start : start + 500])
        one.remove(keys[100:200])
    assert index.keys() == oracle.keys()
    shares = []
    for query in vectors[:40]:
        found, expected = dict(index.search(query, 20)), dict(oracle.search(query, 20))
        both = found.keys() & expected.keys()
        assert all(found[key] == pytest.approx(expected[key], abs=1e-3) for key in both)
        shares.append(len(both) / 20)
    assert np.mean(shares) > 0.99


@pytest.mark.parametrize("leading", [0, 3])
def test_vectors_that_do_not_fit_are_refused(leading: int) -> None:
    index = ExactIndex(leading)
    index.add(["a"], POOL[:1])
    with pytest.raises(ValueError, match="dimensions"):
        index.add(["b"], np.ones((1, 7), dtype=np.float32))
    with pytest.raises(ValueError, match="2 keys for 1 vectors"):
        index.add(["b", "c"], POOL[:1])
    assert index.keys() == {"a"}


def test_searches_while_it_grows_and_shrinks_see_whole_vectors() -> None:
    """Each vector belongs to one key for ever, so a search for it can find only that key with cosine 1."""
    vectors = np.eye(64, dtype=np.float32)
    keys = [f"{number:02}" for number in range(64)]
    index, stop, wrong = ExactIndex(), threading.Event(), list[object]()

    def look() -> None:
        while not stop.is_set():
            for row in range(0, 64, 7):
                found = index.search(vectors[row], 3)
                wrong.extend(pair for pair in found if (pair[1] > 0.5) != (pair[0] == keys[row]))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(200):
        start = turn * 8 % 64
        index.add(keys[start : start + 8], vectors[start : start + 8])
        index.remove(keys[(start + 13) % 64 :][:5])
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
