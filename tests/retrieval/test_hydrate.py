"""Exact at once, Chroma as soon as it has everything, and nothing lost in between."""

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from offline_agent.errors import StorageError
from offline_agent.protocols import VectorIndex
from offline_agent.retrieval.chroma import ChromaIndex
from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.hydrate import Passing, RisingIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNT = 600
KEYS = [f"{number:032x}" for number in range(COUNT)]


def clustered() -> "NDArray[np.float32]":
    """Unit vectors around forty centres, as texts about forty subjects have."""
    random = np.random.default_rng(1)
    centres = random.normal(size=(40, 96))
    vectors = centres[random.integers(0, 40, COUNT)] + 0.6 * random.normal(size=(COUNT, 96))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS = clustered()


class Graph(ExactIndex):
    """An index that notes how often it is asked, and fails on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.searches = 0
        self.broken = False
        self.error = StorageError

    def add(self, keys: Sequence[str], vectors: "NDArray[np.float32]") -> None:
        self._break()
        super().add(keys, vectors)

    def search(self, vector: "NDArray[np.float32]", limit: int) -> list[tuple[str, float]]:
        self._break()
        self.searches += 1
        return super().search(vector, limit)

    def _break(self) -> None:
        if self.broken:
            raise self.error("The graph failed: no memory.")


def never() -> bool:
    return False


def filled(graph: VectorIndex) -> RisingIndex:
    index = RisingIndex(lambda: graph)
    index.add(KEYS, VECTORS)
    return index


def test_it_answers_before_the_graph_is_opened() -> None:
    def unwanted() -> VectorIndex:
        raise AssertionError

    index = RisingIndex(unwanted)
    assert index.search(VECTORS[0], 3) == []
    index.add(KEYS, VECTORS)
    assert index.search(VECTORS[7], 1)[0][0] == KEYS[7]
    assert not index.risen


def test_the_graph_answers_while_it_has_everything() -> None:
    graph = Graph()
    index = filled(graph)
    index.hydrate(never)
    assert index.risen
    assert graph.keys() == set(KEYS)
    asked = graph.searches
    assert index.search(VECTORS[7], 1)[0][0] == KEYS[7]
    assert graph.searches == asked + 1

    index.remove(KEYS[:50])
    assert not index.risen
    assert index.search(VECTORS[7], 1)[0][0] != KEYS[7]
    assert graph.searches == asked + 2
    index.add(KEYS[:1], VECTORS[:1])
    index.hydrate(never)
    assert index.risen
    assert graph.keys() == index.keys() == {KEYS[0], *KEYS[50:]}


def test_a_stop_ends_it_and_it_goes_on_later() -> None:
    graph = Graph()
    index = filled(graph)
    index.hydrate(lambda: len(graph) > 100)
    assert 100 < len(graph) < COUNT
    assert not index.risen
    index.hydrate(never)
    assert index.risen


def test_a_replaced_vector_is_replaced_in_the_graph() -> None:
    graph = Graph()
    index = filled(graph)
    index.hydrate(never)
    index.add(KEYS[:1], VECTORS[1:2])
    index.hydrate(never)
    assert np.array_equal(graph.held(KEYS[:1])[1], VECTORS[1:2])


@pytest.mark.parametrize("kept", [0, COUNT])
def test_what_the_graph_lacks_for_a_moment_is_found_too(kept: int) -> None:
    index, oracle = RisingIndex(Graph, kept=kept), ExactIndex()
    index.add(KEYS, VECTORS)
    oracle.add(KEYS, VECTORS)
    index.hydrate(never)
    between = VECTORS[50:51] + VECTORS[51:52]
    between /= np.linalg.norm(between)
    for one in (index, oracle):
        one.remove(KEYS[:20])
        one.add(KEYS[20:40], VECTORS[:20])
        one.add(["new"], between)
    assert not index.risen
    for vector in VECTORS[:60]:
        assert [key for key, _ in index.search(vector, 10)] == [key for key, _ in oracle.search(vector, 10)]


def test_what_is_in_a_graph_that_fails_is_missing_until_it_is_added_again() -> None:
    graph, losses = Graph(), list[str]()
    index = RisingIndex(lambda: graph, kept=0, on_loss=lambda: losses.append(index.problem))
    index.add(KEYS, VECTORS)
    index.hydrate(never)
    assert index.keys() == set(KEYS)
    assert losses == []

    graph.broken = True
    assert index.search(VECTORS[7], 1) == []
    assert losses == [index.problem]
    assert "no memory" in index.problem
    assert index.keys() == set()

    index.add(KEYS, VECTORS)
    assert index.search(VECTORS[7], 1)[0][0] == KEYS[7]


def test_much_that_comes_to_a_graph_that_has_the_rest_alone_is_found() -> None:
    graph = Graph()
    index = RisingIndex(lambda: graph, kept=0)
    index.add(KEYS[:200], VECTORS[:200])
    index.hydrate(never)
    index.add(KEYS[200:], VECTORS[200:])
    assert [index.search(VECTORS[row], 1)[0][0] for row in (7, 500)] == [KEYS[7], KEYS[500]]
    index.hydrate(never)
    assert index.risen
    assert [index.search(VECTORS[row], 1)[0][0] for row in (7, 500)] == [KEYS[7], KEYS[500]]


def test_too_much_that_the_graph_lacks_is_not_put_together() -> None:
    graph = Graph()
    index = filled(graph)
    index.hydrate(never)
    asked = graph.searches
    index.remove(KEYS[:400])
    assert index.search(VECTORS[7], 1)[0][0] not in KEYS[:400]
    assert graph.searches == asked


@pytest.mark.parametrize("filled_before", [False, True])
def test_a_graph_that_fails_is_done_without(filled_before: bool) -> None:
    graph = Graph()
    index = filled(graph)
    if filled_before:
        index.hydrate(never)
        assert index.risen
    graph.broken = True
    index.hydrate(never)
    assert index.search(VECTORS[7], 1)[0][0] == KEYS[7]
    assert "no memory" in index.problem
    assert "goes on without it" in index.problem
    graph.broken = False
    index.add(["new"], VECTORS[:1])
    index.hydrate(never)
    assert not index.risen
    assert index.keys() == {*KEYS, "new"}


def test_a_graph_that_cannot_be_opened_is_done_without() -> None:
    def absent() -> VectorIndex:
        raise StorageError("ChromaDB cannot be loaded (no such module). Run scripts/setup.")

    index = RisingIndex(absent)
    index.add(KEYS, VECTORS)
    index.hydrate(never)
    assert "scripts/setup" in index.problem
    assert index.search(VECTORS[7], 1)[0][0] == KEYS[7]


def test_a_failure_that_may_pass_is_tried_again_but_not_at_once() -> None:
    first, second = Graph(), Graph()
    graphs = iter([first, second])
    index = RisingIndex(lambda: next(graphs), retry_seconds=0.2)
    index.add(KEYS, VECTORS)
    index.hydrate(never)
    first.error, first.broken = Passing, True
    index.remove(KEYS[:10])
    index.add(KEYS[:1], VECTORS[:1])
    index.hydrate(never)
    assert "tried again every minute" in index.problem
    index.hydrate(never)  # too early
    assert len(second) == 0
    assert index.search(VECTORS[17], 1)[0][0] == KEYS[17]
    while wait := index.retry_in:
        time.sleep(wait)
    index.hydrate(never)
    assert index.risen
    assert (index.problem, index.retry_in) == ("", None)
    assert second.keys() == {KEYS[0], *KEYS[10:]}


def test_a_failure_that_stays_is_not_tried_again() -> None:
    graph = Graph()
    index = RisingIndex(lambda: graph, retry_seconds=0.0)
    index.add(KEYS, VECTORS)
    graph.broken = True
    index.hydrate(never)
    graph.broken = False
    index.hydrate(never)
    assert index.retry_in is None
    assert not index.risen


def test_it_waits_while_a_search_is_under_way() -> None:
    graph = Graph()
    index = filled(graph)
    with index.preferred():
        thread = threading.Thread(target=index.hydrate, args=(never,))
        thread.start()
        thread.join(0.2)
        assert len(graph) < COUNT
    thread.join(10)
    assert index.risen


def test_hydrated_chroma_agrees_with_the_oracle() -> None:
    index, oracle = filled(ChromaIndex("test")), ExactIndex()
    oracle.add(KEYS, VECTORS)
    index.hydrate(never)
    assert index.risen
    shared = 0
    for row in range(0, COUNT, 20):
        found = {key for key, _ in index.search(VECTORS[row], 10)}
        shared += len(found & {key for key, _ in oracle.search(VECTORS[row], 10)})
    assert shared >= 0.95 * 10 * (COUNT // 20)
    assert index.search(VECTORS[3], 1)[0][1] == pytest.approx(1.0, abs=1e-4)
    index.close()


def test_a_search_finds_whatever_was_added_before_it() -> None:
    """Adding and hydrating go on in one thread while others search: what an `add` had returned for is always found."""
    index = RisingIndex(lambda: ChromaIndex("test"))
    added = 0
    stop, missed = threading.Event(), list[int]()

    def look() -> None:
        row = 0
        while not stop.is_set():
            if added:
                row = (row + 17) % added
                if KEYS[row] not in {key for key, _ in index.search(VECTORS[row], 5)}:
                    missed.append(row)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for start in range(0, COUNT, 50):
        index.add(KEYS[start : start + 50], VECTORS[start : start + 50])
        added = start + 50
        index.hydrate(never if start % 100 else lambda: True)
    stop.set()
    for thread in threads:
        thread.join()
    index.hydrate(never)
    assert index.risen
    assert missed == []
    index.close()
