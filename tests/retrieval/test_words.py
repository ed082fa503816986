"""BM25 in memory: what plain Python makes of the same words, whatever order the files came in."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.retrieval.place import Place
from offline_agent.retrieval.terms import stem, terms
from offline_agent.retrieval.words import FileWords, WordIndex, file_words
from offline_agent.types import Chunk

from .conftest import Repo

Files = Mapping[str, Sequence[Chunk]]

WORDS = ["parse", "parser", "token", "tokens", "http_get", "getURL", "x", "cookies", "1", "größe"]


def chunk(path: str, text: str, symbol: str = "", signature: str = "") -> Chunk:
    return Chunk(path=path, start_line=1, end_line=1, symbol=symbol, signature=signature, text=text)


def stored(files: Files, first: int = 1) -> dict[str, FileWords]:
    """As a store numbers them: one file after the other."""
    words = {}
    for path, chunks in files.items():
        words[path] = file_words(first, chunks)
        first += len(chunks)
    return words


def index_of(files: Files) -> WordIndex:
    words = stored(files)
    return WordIndex(lambda: words)


def counted(one: Chunk) -> Counter[str]:
    """Stems of a chunk; those of its symbol and path many times over."""
    counts: Counter[str] = Counter()
    for text, times in ((one.text, 1), (one.symbol, 8), (one.path, 4), (one.signature, 1)):
        for term in terms(text):
            counts[stem(term)] += times
    return counts


def oracle(chunks: Sequence[Chunk], asked: Mapping[str, float]) -> list[float]:
    """The score of each chunk by the textbook."""
    documents = [counted(one) for one in chunks]
    lengths = [sum(document.values()) for document in documents]
    mean = sum(lengths) / len(lengths)
    weights: dict[str, float] = {}
    for term, weight in asked.items():
        weights[stem(term)] = max(weights.get(stem(term), 0.0), weight)
    scores = [0.0] * len(chunks)
    for term, weight in weights.items():
        having = sum(term in document for document in documents)
        rarity = math.log(1 + (len(chunks) - having + 0.5) / (having + 0.5))
        for number, (document, length) in enumerate(zip(documents, lengths, strict=True)):
            count = min(document[term], 255)
            scores[number] += weight * rarity * 2.2 * count / (count + 1.2 * (0.25 + 0.75 * length / mean))
    return scores


TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
PATHS = st.sampled_from(["a.py", "src/token.py", "src/deep/parse.go", "x", "getURL/größe.md"])
CHUNKS = st.lists(st.tuples(TEXTS, st.sampled_from(["", "Parser.parse", "http_get"])), max_size=4)
QUESTIONS = st.dictionaries(st.sampled_from([*WORDS, "py", "nowhere"]), st.sampled_from([0.5, 1.0, 2.0]), max_size=6)


def made(path: str, contents: Sequence[tuple[str, str]]) -> list[Chunk]:
    return [chunk(path, text, symbol) for text, symbol in contents]


@settings(max_examples=150)
@given(st.dictionaries(PATHS, CHUNKS, max_size=5), QUESTIONS)
def test_scores_are_those_of_the_textbook(files: dict[str, list[tuple[str, str]]], asked: dict[str, float]) -> None:
    contents = {path: made(path, some) for path, some in files.items()}
    chunks = [one for some in contents.values() for one in some]
    expected = oracle(chunks, asked) if chunks else []
    found = index_of(contents).search(asked, 100)
    positive = {number: score for number, score in enumerate(expected, 1) if score > 0}
    assert dict(found.chunks) == pytest.approx(positive, rel=1e-4)
    assert found.chunks == sorted(found.chunks, key=lambda pair: (-pair[1], pair[0]))
    pooled = {
        path: math.sqrt(sum(score**2 for score, one in zip(expected, chunks, strict=True) if one.path == path))
        for path in contents
    }
    assert found.files == pytest.approx({path: score for path, score in pooled.items() if score > 0}, rel=1e-4)
    assert list(found.files.values()) == sorted(found.files.values(), reverse=True)


CHANGES = st.lists(st.dictionaries(PATHS, st.none() | CHUNKS, min_size=1, max_size=3), max_size=8)


@settings(max_examples=150)
@given(st.dictionaries(PATHS, CHUNKS, max_size=5), CHANGES, QUESTIONS)
def test_the_way_to_a_state_leaves_no_trace(
    files: dict[str, list[tuple[str, str]]],
    changes: list[dict[str, list[tuple[str, str]] | None]],
    asked: dict[str, float],
) -> None:
    now = stored({path: made(path, some) for path, some in files.items()})
    index, first = WordIndex(lambda: now), 1000
    for change in changes:
        fresh: dict[str, FileWords | None] = {}
        for path, some in change.items():
            fresh[path] = None if some is None else file_words(first, made(path, some))
            first += 10
        now = {path: words for path, words in {**now, **fresh}.items() if words is not None}
        index.update(fresh)
    found, expected = index.search(asked, 1000), WordIndex(lambda: now).search(asked, 1000)
    assert dict(found.chunks) == pytest.approx(dict(expected.chunks), rel=1e-5)
    assert found.files == pytest.approx(expected.files, rel=1e-5)


def test_what_is_gone_is_not_found() -> None:
    index = index_of({"a.py": [chunk("a.py", "cookies")], "b.py": [chunk("b.py", "cookies")]})
    index.update({"a.py": None})
    assert [number for number, _ in index.search({"cookies": 1.0}, 10).chunks] == [2]
    index.update({"b.py": file_words(3, [chunk("b.py", "nothing")])})
    assert index.search({"cookies": 1.0}, 10).chunks == []
    assert [number for number, _ in index.search({"nothing": 1.0}, 10).chunks] == [3]
    index.update({"b.py": None, "never there": None})
    assert index.search({"nothing": 1.0, "cookies": 1.0}, 10) == ([], {})


def test_many_changes_are_sorted_anew() -> None:
    """One more than `_RECENT` chunks; before and after nothing differs but where the postings are."""
    now = stored({"old.py": [chunk("old.py", "cookies jar")]})
    loads: list[int] = []

    def load() -> dict[str, FileWords]:
        loads.append(len(now))
        return dict(now)

    index = WordIndex(load)
    for position in range(3):
        words = file_words(10_000 * (position + 1), [chunk(f"{position}.py", "cookies")] * 1000)
        now[f"{position}.py"] = words
        index.update({f"{position}.py": words})
    assert loads == [1, 4]
    found, expected = index.search({"cookies": 1.0}, 5000), WordIndex(lambda: now).search({"cookies": 1.0}, 5000)
    assert found == expected
    assert len(found.chunks) == 3001


def test_the_best_of_many_and_ties_by_number() -> None:
    index = index_of({f"{number}.py": [chunk("x.py", "cookies")] for number in range(20)})
    assert [number for number, _ in index.search({"cookies": 1.0}, 7).chunks] == [1, 2, 3, 4, 5, 6, 7]
    assert list(index.search({"cookies": 1.0}, 3).files) == ["0.py", "1.py", "10.py"]
    assert index.search({"cookies": 1.0}, 0) == ([], {})


def test_nothing_to_search() -> None:
    assert WordIndex(dict).search({"cookies": 1.0}, 10) == ([], {})
    assert index_of({"a.py": []}).search({"cookies": 1.0}, 10) == ([], {})
    assert index_of({"a.py": [chunk("a.py", "cookies")]}).search({}, 10) == ([], {})


def test_one_stem_is_one_term() -> None:
    index = index_of({"a.py": [chunk("a.py", "cookie")]})
    [(_, alone)] = index.search({"cookie": 2.0}, 1).chunks
    [(_, twice)] = index.search({"cookie": 2.0, "cookies": 1.0}, 1).chunks
    assert twice == alone


def test_a_file_as_bytes() -> None:
    words = file_words(7, [chunk("", ""), chunk("", "a b_c a", symbol="a")])
    assert words.first == 7
    assert np.frombuffer(words.lengths, "<u2").tolist() == [0, 13]
    postings = [int(one) for one in np.frombuffer(words.postings, "<u8")]
    assert all(one >> 8 & 0xFFFFFF == 1 for one in postings)  # the second chunk
    assert sorted(one & 0xFF for one in postings) == [1, 1, 1, 10]  # b, c, b_c; a twice, and 8 for the symbol


def test_counts_and_lengths_have_a_limit() -> None:
    words = file_words(1, [chunk("", "again " * 70_000)])
    assert np.frombuffer(words.lengths, "<u2").tolist() == [65535]
    assert [int(one) & 0xFF for one in np.frombuffer(words.postings, "<u8")] == [255]
    [(number, score)] = WordIndex(lambda: {"a.py": words}).search({"again": 1.0}, 1).chunks
    assert (number, math.isfinite(score)) == (1, True)


def test_more_terms_than_a_short_number_holds() -> None:
    many = " ".join(f"t{number:05x}q" for number in range(70_000))
    index = index_of({"a.py": [chunk("a.py", many), chunk("a.py", "t0000aq")]})
    assert [number for number, _ in index.search({"t0000aq": 1.0}, 9).chunks] == [2, 1]
    assert [number for number, _ in index.search({"t1116fq": 1.0}, 9).chunks] == [1]


def test_a_store_keeps_what_is_searched(repo: Repo, place: Place) -> None:
    repo.write("a.py", "def merge_cookies(jar):\n    return jar\n")
    repo.write("b.py", "x = 1\n")
    store = place.store()
    loaded = place.load(store)
    indexer = place.indexer(store, loaded)
    indexer.refresh()
    repo.write("b.py", "def cookies():\n    pass\n")
    repo.write("c.py", "# cookies and more cookies\n")
    indexer.refresh()
    (repo.root / "a.py").unlink()
    indexer.refresh()
    asked = {"cookies": 1.0, "merge": 2.0}
    found = loaded.words.search(asked, 10)
    assert set(found.files) == {"b.py", "c.py"}
    fresh = place.load(store).words.search(asked, 10)
    assert dict(found.chunks) == pytest.approx(dict(fresh.chunks))
    assert {one.path for one in store.chunks([number for number, _ in found.chunks]).values()} == {"b.py", "c.py"}
    store.close()


@given(st.text(), st.text())
def test_any_text_is_counted_and_found(text: str, question: str) -> None:
    index = index_of({"a": [chunk("a", text, symbol=text, signature=text)]})
    index.search(dict.fromkeys(terms(question), 1.0), 5)
    assert all(index.search({term: 1.0}, 5).chunks for term in terms(text))


@given(st.lists(st.integers(0, 3), max_size=6), st.sets(st.integers(0, 5)))
def test_knows_the_file_of_every_chunk(sizes: list[int], gone: set[int]) -> None:
    made: dict[str, FileWords] = {}
    expected: dict[int, str] = {}
    first = 100
    for number, size in enumerate(sizes):
        path = f"f{number}.py"
        made[path] = file_words(first, [Chunk(path=path, start_line=1, end_line=1, text="text")] * size)
        expected |= dict.fromkeys(range(first, first + size), path) if number not in gone else {}
        first += size
    index = WordIndex(lambda: made)
    index.update({f"f{number}.py": None for number in gone})

    assert index.paths_of(range(99, first + 2)) == expected
