"""Questions and the order of their answers."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offline_agent.errors import EmbedderError
from offline_agent.protocols import Reranker
from offline_agent.retrieval.evidence import gather
from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.hashing import HashingEmbedder
from offline_agent.retrieval.indexer import embed_pending, reconcile
from offline_agent.retrieval.loaded import Dense, load
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.query import Query
from offline_agent.retrieval.rank import load_weights
from offline_agent.retrieval.rerank import OverlapReranker
from offline_agent.retrieval.search import LONGEST_QUERY
from offline_agent.retrieval.search import search as search_with
from offline_agent.retrieval.store import Store
from offline_agent.types import Hit, IndexPhase, SearchResult

from .conftest import DECLARATIONS, Repo, eventually, running

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS = load_weights(DECLARATIONS)

SESSIONS = '''"""Sessions."""


class Session:
    """Keeps cookies between requests."""

    def close(self):
        """Closes all adapters."""

    def send(self, request):
        return get_auth_from_url(request.url)


class Adapter:
    def close(self):
        pass


def get_auth_from_url(url):
    """User and password of a URL."""
'''
TESTS = """
def close():
    session = Session()
    session.close()  # Session.close Session.close


def test_get_auth_from_url():
    get_auth_from_url("get_auth_from_url")
"""


@pytest.fixture
def store(repo: Repo, place: Place) -> Iterator[Store]:
    repo.write("src/sessions.py", SESSIONS)
    repo.write("src/cookies.py", "def merge_cookies(jar, cookies):\n    return jar | cookies\n")
    repo.write("tests/test_sessions.py", TESTS)
    repo.write("README.md", "# Session\n\nCall `get_auth_from_url`, then Session.close, then merge cookies.\n")
    store = place.store()
    place.indexer(store).refresh()
    yield store
    store.close()


def search(
    store: Store, query: str, limit: int, dense: Dense | None = None, reranker: Reranker | None = None
) -> SearchResult:
    return search_with(store, load(store), query, limit, WEIGHTS, dense, reranker)


def first(store: Store, query: str) -> tuple[str, str]:
    hit = search(store, query, 5).hits[0]
    return hit.chunk.path, hit.chunk.symbol


@pytest.mark.parametrize(
    ("query", "path", "symbol"),
    [
        ("Where is Session.close defined?", "src/sessions.py", "Session.close"),
        ("where is session.close()", "src/sessions.py", "Session.close"),
        ("what does get_auth_from_url do", "src/sessions.py", "get_auth_from_url"),
        ("What does `send` do?", "src/sessions.py", "Session.send"),
        ("Where is Session defined?", "src/sessions.py", "Session"),
        ("Where is the Adapter class?", "src/sessions.py", "Adapter"),
        ("src.sessions.Session.send", "src/sessions.py", "Session.send"),
        ("Which file handles cookies?", "src/cookies.py", "merge_cookies"),
        ("Which test covers get_auth_from_url?", "src/sessions.py", "get_auth_from_url"),
        ("merging a cookie", "src/cookies.py", "merge_cookies"),
    ],
)
def test_the_best_hit(store: Store, query: str, path: str, symbol: str) -> None:
    assert first(store, query) == (path, symbol)


def test_a_question_of_question_words_only_still_searches(store: Store) -> None:
    assert search(store, "what does this class return?", 5).hits


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        "\0",
        '"',
        "* OR NEAR(",
        "symbol:x AND",
        "?!",
        "'; DROP TABLE chunks",
        "a" * 100_000,
        "\ud800.py \udfff",
    ],
)
def test_no_query_breaks_the_search(store: Store, query: str) -> None:
    search(store, query, 5)
    assert store.counts("").chunks > 0


def test_hits_say_who_found_them(store: Store) -> None:
    result = search(store, "Session.close", 5)
    assert result.lexical
    assert not result.dense
    assert set(result.hits[0].found_by) == {"symbol", "words", "file"}
    assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)


def test_a_limit_is_kept(store: Store) -> None:
    assert len(search(store, "session", 2).hits) == 2
    assert search(store, "session", 0).hits == ()


def test_vectors_join_where_there_are_some(store: Store) -> None:
    embedder, index = HashingEmbedder(), ExactIndex()
    assert embed_pending(store, embedder, index, 8, lambda: False)
    result = search(store, "cookies between requests", 5, Dense(embedder, index))
    assert result.dense
    assert "dense" in result.hits[0].found_by


def test_a_stale_vector_finds_nothing(store: Store) -> None:
    embedder, index = HashingEmbedder(), ExactIndex()
    index.add(["0" * 32], embedder.encode(["cookies"]))
    assert all("dense" not in hit.found_by for hit in search(store, "cookies", 5, Dense(embedder, index)).hits)


REPORT = """Cookies are merged twice

### What happens
After an upgrade every cookie is there twice. I tried it with a new profile, on two machines, with and without a proxy, and the
behaviour is always the same, also in the documentation's own example and in the tests that I wrote for it.

```
Traceback (most recent call last):
  File "/home/u/venv/lib/python3.11/site-packages/shop/src/cookies.py", line 1, in merge_cookies
    return jar | cookies
  File "/home/u/venv/lib/python3.11/site-packages/shop/src/sessions.py", line 400, in send
    return get_auth_from_url(request.url)
  File "/usr/lib/python3.11/socket.py", line 12, in close
TypeError: unsupported operand
```
"""


def order(result: SearchResult) -> list[str]:
    return [hit.chunk.path for hit in result.hits]


def reasons(hit: Hit) -> dict[str, float]:
    return {reason.rule: reason.amount for reason in hit.reasons}


def test_a_path_that_is_named_comes_first(store: Store) -> None:
    assert order(search(store, "in src/cookies.py, where is the session sent", 5))[0] == "src/cookies.py"
    assert order(search(store, "cookies.py", 5))[0] == "src/cookies.py"
    [why] = [one.detail for one in search(store, "src/cookies.py", 5).hits[0].reasons if one.rule == "path"]
    assert why == "the question names cookies.py"


def test_the_innermost_function_of_a_traceback_that_is_ours(store: Store) -> None:
    hits = {hit.chunk.symbol: reasons(hit) for hit in search(store, REPORT, 20).hits}
    assert hits["Session.send"]["frame"] > hits["merge_cookies"]["frame"] > 0
    assert all("frame" not in some for symbol, some in hits.items() if symbol not in ("Session.send", "merge_cookies"))


def test_a_long_report_is_answered(store: Store) -> None:
    assert order(search(store, REPORT, 5))[0] in ("src/cookies.py", "src/sessions.py")
    assert search(store, REPORT + "cookies " * LONGEST_QUERY, 5).hits
    cut = search(store, "x " * (LONGEST_QUERY // 2) + "merge_cookies", 20)
    assert all("symbol" not in hit.found_by for hit in cut.hits)


def test_tests_and_documentation_come_later_unless_they_are_asked_for(store: Store) -> None:
    plain = order(search(store, "how is the url used for auth", 20))
    assert plain.index("src/sessions.py") < min(plain.index("tests/test_sessions.py"), plain.index("README.md"))
    for question, rule, path in (
        ("get_auth_from_url in the tests", "tests", "tests/test_sessions.py"),
        ("get_auth_from_url in the documentation", "docs", "README.md"),
    ):
        found = {hit.chunk.path: reasons(hit) for hit in search(store, question, 20).hits}
        assert rule not in found[path]
        asked_nothing = {hit.chunk.path: reasons(hit) for hit in search(store, "get_auth_from_url of it", 20).hits}
        assert asked_nothing[path][rule] < 0


def test_a_second_chunk_of_a_file_is_damped(store: Store) -> None:
    some = [hit for hit in search(store, "session close", 20).hits if hit.chunk.path == "src/sessions.py"]
    assert "repeated" not in reasons(some[0])
    assert all(reasons(hit)["repeated"] < 0 for hit in some[1:])


def test_definitions_of_a_rare_name_before_those_of_a_common_one(repo: Repo, place: Place) -> None:
    for number in range(9):
        repo.write(f"many{number}.py", "class Pool:\n    def close(self):\n        pass\n")
    repo.write("one.py", "def shut(): pass\n")
    with closing(place.store()) as store:
        place.indexer(store).refresh()
        [shut] = [
            reasons(hit)["symbol"] for hit in search(store, "shut() and close()", 20).hits if hit.chunk.symbol == "shut"
        ]
        others = [
            reasons(hit)["symbol"] for hit in search(store, "shut() and close()", 20).hits if hit.chunk.path != "one.py"
        ]
        assert others == pytest.approx([shut / 3] * 9)


def test_a_reranker_reads_the_best_again(store: Store) -> None:
    plain = search(store, "user and password", 20)
    again = search(store, "user and password", 20, reranker=OverlapReranker())
    assert (plain.reranked, again.reranked) == (False, True)
    assert {hit.chunk for hit in plain.hits} == {hit.chunk for hit in again.hits}
    assert all(hit.reasons[-1].rule == "reranker" for hit in again.hits)
    check_sums(again)


def test_a_limit_is_kept_though_the_reranker_reads_more(store: Store) -> None:
    assert len(search(store, "session", 2, reranker=OverlapReranker()).hits) == 2


def check_sums(result: SearchResult) -> None:
    for hit in result.hits:
        assert sum(reason.amount for reason in hit.reasons) == pytest.approx(hit.score, abs=1e-6)
    assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)


QUESTIONS = st.lists(
    st.text(max_size=12)
    | st.sampled_from(
        ["Session.close", "`send`", "cookies", "src/sessions.py:12: in send", "test", "the", "Adapter", "\n", "'"]
    ),
    max_size=70,
).map(" ".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(QUESTIONS, st.integers(-1, 30), st.booleans())
def test_any_question_is_answered_and_amounts_add_up(store: Store, text: str, limit: int, rerank: bool) -> None:
    embedder, index = HashingEmbedder(), ExactIndex()
    reconcile(store, embedder.fingerprint, index)
    embed_pending(store, embedder, index, 64, lambda: False)
    dense, reranker = Dense(embedder, index), OverlapReranker() if rerank else None
    result = search(store, text, limit, dense, reranker)
    assert len(result.hits) <= max(0, limit)
    assert len({hit.chunk.location for hit in result.hits}) == len(result.hits)
    check_sums(result)
    assert search(store, text, limit, dense, reranker) == result
    every = gather(store, load(store), Query(text=text), dense).candidates.values()
    assert all(0.0 <= value <= 1.0 for one in every for value in one.signals.values())


def test_a_worker_lets_its_reranker_take_part(repo: Repo, place: Place) -> None:
    repo.write("a.py", "def one(): pass\n\n\ndef two(): pass\n")
    with running(replace(place, load_reranker=OverlapReranker)) as remote:
        eventually(lambda: remote.status().phase is IndexPhase.CURRENT)
        result = remote.search("one or two", 5)
        assert result.reranked
        assert all(hit.reasons[-1].rule == "reranker" for hit in result.hits)
        assert remote.status().problem == ""


class Tired:
    """A reranker that reads no more than a question."""

    def scores(self, query: str, texts: Sequence[str]) -> "NDArray[np.float32]":
        raise EmbedderError("Reranking failed: no memory. Unset [index] reranker to do without.")


def test_a_failing_reranker_is_told_and_the_order_stays(repo: Repo, place: Place) -> None:
    repo.write("a.py", "def one(): pass\n\n\ndef two(): pass\n")
    with running(replace(place, load_reranker=Tired)) as remote:
        eventually(lambda: remote.status().phase is IndexPhase.CURRENT)
        result = remote.search("one or two", 5)
        assert (result.reranked, result.dense) == (False, True)
        assert {hit.chunk.symbol for hit in result.hits} == {"one", "two"}
        assert "Reranking failed: no memory." in remote.status().problem


def test_a_reranker_that_cannot_be_loaded_is_told(repo: Repo, place: Place) -> None:
    def absent() -> Reranker:
        raise EmbedderError("The reranker directory /none is not there. Correct [index] reranker.")

    repo.write("a.py", "def one(): pass\n")
    with running(replace(place, load_reranker=absent)) as remote:
        eventually(lambda: remote.status().phase is IndexPhase.CURRENT)
        assert not remote.search("one", 5).reranked
        assert "is not there" in remote.status().problem
