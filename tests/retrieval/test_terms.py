"""From text to search terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.retrieval.terms import (
    capitalised,
    identifiers,
    plain_words,
    query_terms,
    split_identifier,
    stem,
    terms,
)


def test_compounds_are_split_and_kept_whole() -> None:
    assert split_identifier("HTTPAdapter_v2getURL") == ["http", "adapter", "v", "2", "get", "url"]
    assert terms("getAuth x sha256 größeWert") == [
        *("getauth", "get", "auth"),
        *("x", "sha256", "sha", "256"),
        *("größewert", "größe", "wert"),
    ]


@pytest.mark.parametrize(
    "same",
    [
        "cookie cookies",
        "query queries queried",
        "copy copies copied copying",
        "retry retries retried retrying",
        "close closes closed closing",
        "merge merges merged merging",
        "adapter adapters",
        "class classes",
        "access accesses accessed",
        "setting settings set_ting",
    ],
)
def test_endings_do_not_matter(same: str) -> None:
    assert len({stem(word) for word in same.split() if "_" not in word}) == 1


@pytest.mark.parametrize("word", ["bus", "tie", "use", "red", "class_names", "x", ""])
def test_what_is_too_short_or_a_compound_is_left(word: str) -> None:
    assert stem(word) == word


def test_question_words_are_dropped() -> None:
    assert query_terms("What does the Session do with cookies and cookies?") == [("cookies", 2), ("session", 1)]
    assert query_terms("what does this class return") == [
        *(("what", 1), ("does", 1), ("this", 1), ("class", 1), ("return", 1)),
    ]


def test_what_looks_like_code() -> None:
    query = "does Session.close() or `plain` use super_len, iterLines or HTTPAdapter in the file e.g. here, `...`. Why?"
    assert identifiers(query) == ["Session.close", "plain", "super_len", "iterLines", "HTTPAdapter"]


def test_what_may_be_a_name_all_the_same() -> None:
    assert plain_words("Where does a Session close its pool_size, e.g. in Session?") == ["Session", "close"]
    assert [word for word in ("Session", "HTTPError", "session", "ID", "") if capitalised(word)] == [
        "Session",
        "HTTPError",
    ]


@given(st.text())
def test_any_text_has_terms(text: str) -> None:
    assert all(term and term == term.lower() for term in terms(text.lower()))
    assert not set(identifiers(text)) & {""}
    assert not set(plain_words(text)) & set(identifiers(text))
    for term in terms(text):
        assert stem(term)
