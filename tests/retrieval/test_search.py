"""Questions and the order of their answers."""

from collections.abc import Iterator

import pytest

from offline_agent.retrieval.exact import ExactIndex
from offline_agent.retrieval.hashing import HashingEmbedder
from offline_agent.retrieval.indexer import embed_pending
from offline_agent.retrieval.loaded import Dense, load
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.rank import load_weights
from offline_agent.retrieval.search import search as search_with
from offline_agent.retrieval.store import Store
from offline_agent.types import SearchResult

from .conftest import DECLARATIONS, Repo

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


def search(store: Store, query: str, limit: int, dense: Dense | None = None) -> SearchResult:
    return search_with(store, load(store), query, limit, WEIGHTS, dense)


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
    "query", ["", "   ", "\0", '"', "* OR NEAR(", "symbol:x AND", "?!", "'; DROP TABLE chunks", "a" * 100_000]
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
