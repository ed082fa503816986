"""What speaks for which chunk: each signal is a share of the best, and what a question names is looked up."""

from collections.abc import Iterator

import pytest

from offline_agent.retrieval.evidence import Candidate, gather, sifted
from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.hashing import HashingEmbedder
from offline_agent.retrieval.indexer import embed_pending
from offline_agent.retrieval.loaded import Dense, load
from offline_agent.retrieval.mentions import frames, paths, symbols
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.query import Query
from offline_agent.retrieval.store import Store

from .conftest import Repo

FILES = {
    "shop/cart.py": """import shop.util


class Cart:
    def total(self):
        return round_up(1)

    def clear(self):
        pass
""",
    "shop/util.py": "def round_up(value):\n    return value\n\n\ndef total(values):\n    return sum(values)\n",
    "other/util.py": "def Total():\n    pass\n",
    "socket.py": "def close():\n    pass\n",
    "tests/test_cart.py": "def test_total():\n    total(), total(), total(), Cart().total(), Cart().total()\n",
}


@pytest.fixture
def store(repo: Repo, place: Place) -> Iterator[Store]:
    for path, text in FILES.items():
        repo.write(path, text)
    store = place.store()
    place.indexer(store).refresh()
    yield store
    store.close()


def named(store: Store, question: str) -> dict[str, float]:
    """Symbols with their shares."""
    found = symbols(store, Query(text=question))
    places = store.places(list(found))
    return {f"{places[number][0]} {places[number][1]}": round(one.share, 3) for number, one in found.items()}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Cart.total", {"shop/cart.py Cart.total": 1.0}),
        ("cart.total", {"shop/cart.py Cart.total": 1.0}),
        ("shop.cart.Cart.total", {"shop/cart.py Cart.total": 1.0}),
        ("round_up", {"shop/util.py round_up": 1.0}),
        ("ROUND_UP", {"shop/util.py round_up": 1.0}),
        # The one that is written so, then the method, then the one in another case.
        ("total", {"shop/util.py total": 1.0, "shop/cart.py Cart.total": 0.6, "other/util.py Total": 0.6}),
        (
            "Where is total defined?",
            {"shop/util.py total": 1.0, "shop/cart.py Cart.total": 0.6, "other/util.py Total": 0.6},
        ),
        ("nowhere_at_all", {}),
        ("when the total is wrong", {}),
    ],
)
def test_names_are_looked_up(store: Store, question: str, expected: dict[str, float]) -> None:
    assert named(store, question) == expected


def test_a_word_with_a_capital_may_be_a_name(store: Store) -> None:
    """A class in several chunks is meant by its beginning first."""
    found = named(store, "Why does Cart lose items")
    assert set(found) == {"shop/cart.py Cart", "shop/cart.py Cart.total", "shop/cart.py Cart.clear"}
    assert found["shop/cart.py Cart"] == 2 * found["shop/cart.py Cart.total"] == 2 * found["shop/cart.py Cart.clear"]
    assert set(named(store, "Clear of mind, how are items lost")) == set()  # `clear` is written otherwise


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("in cart.py", {"shop/cart.py": 1.0}),
        ("in ./shop/cart.py", {"shop/cart.py": 1.0}),
        ("in SHOP/Cart.py", {"shop/cart.py": 1.0}),
        ("in /home/u/checkout/shop/util.py", {"shop/util.py": 1.0}),
        ("in util.py", {"shop/util.py": 0.5, "other/util.py": 0.5}),
        ("in /usr/lib/python3.11/socket.py", {}),
        ("in socket.py", {"socket.py": 1.0}),
        ("in missing.py", {}),
    ],
)
def test_paths_are_looked_up(store: Store, question: str, expected: dict[str, float]) -> None:
    found = paths(store, Query(text=question))
    places = store.places(list(found))
    assert {places[number][0]: one.share for number, one in found.items()} == expected


TRACEBACK = """Traceback (most recent call last):
  File "/app/shop/cart.py", line 900, in total
  File "/app/shop/util.py", line 2, in <module>
  File "/usr/lib/python3.11/socket.py", line 1, in close
"""


def test_frames_by_name_or_by_line_the_innermost_of_ours_first(store: Store) -> None:
    found = frames(store, Query(text=TRACEBACK))
    places = store.places(list(found))
    assert {places[number][1]: (one.share, one.why) for number, one in found.items()} == {
        "round_up": (1.0, "line 2 is in the traceback"),
        "Cart.total": (0.5, "total is in the traceback"),
    }


def test_signals_are_shares_of_the_best(store: Store) -> None:
    embedder, index = HashingEmbedder(), ExactIndex()
    embed_pending(store, embedder, index, 8, lambda: False)
    loaded = load(store, lambda: Dense(HashingEmbedder(), ExactIndex()))
    for question in ("Cart.total", "how is the total of a cart rounded", TRACEBACK, "which test covers the total"):
        candidates = gather(store, loaded, Query(text=question), Dense(embedder, index)).candidates
        signals = [one.signals for one in candidates.values()]
        assert all(0.0 <= value <= 1.0 for some in signals for value in some.values())
        assert max(some.get("words", 0.0) for some in signals) == 1.0
        assert max(some.get("dense", 0.0) for some in signals) == 1.0
        assert all(set(one.why) <= set(one.signals) for one in candidates.values())


def test_a_test_is_not_what_code_is_a_share_of() -> None:
    """It says the words of the question most often, and would leave little for the code."""
    known = {1: "tests/test_cart.py", 2: "shop/cart.py", 3: "socket.py"}
    signal = {1: 9.0, 2: 6.0, 3: 3.0}
    assert sifted(known, Query(text="total of a cart"), signal) == {1: 1.0, 2: 1.0, 3: 0.5}
    assert sifted(known, Query(text="test of the total"), signal) == pytest.approx({1: 1.0, 2: 6 / 9, 3: 3 / 9})


@pytest.mark.parametrize("signal", [{}, {1: 0.0}, {999_999: 1.0}])
def test_nothing_to_sift(signal: dict[int, float]) -> None:
    assert sifted({1: "a.py"}, Query(text="total"), signal) == {}


def test_what_is_gone_since_is_no_candidate(store: Store) -> None:
    loaded = load(store)
    store.delete_file("shop/util.py")
    candidates = gather(store, loaded, Query(text="round_up a total in util.py")).candidates.values()
    assert candidates
    assert all(one.path != "shop/util.py" for one in candidates)


def test_edges_are_there_for_who_asks(store: Store) -> None:
    found = gather(store, load(store), Query(text="total of a cart"))
    assert isinstance(next(iter(found.candidates.values())), Candidate)
    edges = [(edge.source, edge.target) for edge in found.edges_of(["shop/cart.py"])]
    assert ("shop/cart.py", "shop/util.py") in edges
