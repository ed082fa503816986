"""The two rankings that need no model: BM25 over terms, and symbols that a question names."""

from collections import Counter

from offline_agent.retrieval.rank import Ranking, is_test, mentions_tests
from offline_agent.retrieval.store import Store
from offline_agent.retrieval.terms import capitalised, identifiers, plain_words, query_terms
from offline_agent.types import Definition

_WEIGHTS = (8.0, 4.0, 1.0)  # a term in the symbol or the path says more than one in the body
_WORDS_TRIED = 24  # plain words of a long question that are looked up as symbols
_PARTS = 4  # chunks of one long definition; more would leave no room for anything else


def bm25(store: Store, query: str, limit: int) -> Ranking:
    words = query_terms(query)
    if not words:
        return Ranking("lexical", ())
    expression = " OR ".join(f'"{word}"' for word in words)
    return Ranking("lexical", tuple(store.match(expression, _WEIGHTS, limit)))


def symbols(store: Store, query: str) -> list[Ranking]:
    """Definitions the question names.

    What looks like code is a name, and so is a symbol that nothing else is asked about ("Where is close defined?"): these come
    first. A word written like a class ("How does Session follow redirects?") is one vote. Other plain words are left to BM25.
    """
    named = identifiers(query)
    words = plain_words(query)[:_WORDS_TRIED]
    if not named and len(words) == 1:
        named, words = words, []
    voted = [word for word in words if capitalised(word) and _exact(store, word)]
    tests_last = not mentions_tests(query)
    return [
        Ranking("symbol", _definitions(store, named, tests_last), steepness=1),
        Ranking("symbol", _definitions(store, voted, tests_last)),
    ]


def _exact(store: Store, word: str) -> bool:
    return any(found.name == word for found in store.definitions_named([word]))


def _definitions(store: Store, names: list[str], tests_last: bool) -> tuple[int, ...]:
    """Chunks that define the names, best match first, the first name's before the second's at equal quality."""
    best: dict[int, tuple[tuple[object, ...], Definition]] = {}
    for position, name in enumerate(names):
        components = name.split(".")
        found = store.definitions_named([components[-1]])
        places = store.chunks_within([(one.path, one.start_line, one.end_line) for one in found])
        for one, numbers in zip(found, places, strict=True):
            fit = _fit(components, one.symbol)
            order = (*fit, tests_last and is_test(one.path), position, one.path, one.start_line)
            for number in numbers[:_PARTS]:
                if number not in best or order < best[number][0]:
                    best[number] = (order, one)
    parts: Counter[tuple[str, str]] = Counter()
    kept = []
    for number, (_, one) in sorted(best.items(), key=lambda item: item[1][0]):
        parts[one.path, one.symbol] += 1
        if parts[one.path, one.symbol] <= _PARTS:
            kept.append(number)
    return tuple(kept)


def _fit(asked: list[str], found: str) -> tuple[int, bool, int]:
    """How well a symbol fits `a.b.c`, smallest best: components that do not match, another case, longer than asked."""
    symbol = found.split(".")
    same = 0
    while same < min(len(asked), len(symbol)) and asked[-1 - same].lower() == symbol[-1 - same].lower():
        same += 1
    case_differs = asked[len(asked) - same :] != symbol[len(symbol) - same :]
    return len(asked) - same, case_differs, len(symbol) - same
