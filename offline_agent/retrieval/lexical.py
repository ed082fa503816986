"""The two rankings that need no model: BM25 over terms, and symbols that a question names."""

from offline_agent.retrieval.rank import Ranking, is_test, mentions_tests
from offline_agent.retrieval.store import Store, Stored
from offline_agent.retrieval.terms import capitalised, identifiers, plain_words, query_terms

_WEIGHTS = (8.0, 4.0, 1.0)  # a term in the symbol or the path says more than one in the body
_WORDS_TRIED = 24  # plain words of a long question that are looked up as symbols


def bm25(store: Store, query: str, limit: int) -> Ranking:
    words = query_terms(query)
    if not words:
        return Ranking("lexical", ())
    expression = " OR ".join(f'"{word}"' for word in words)
    return Ranking("lexical", tuple(store.match(expression, _WEIGHTS, limit)))


def symbols(store: Store, query: str) -> list[Ranking]:
    """Definitions the question names. What looks like code is trusted to be a name; a plain word that happens to be a
    symbol is too when nothing else is asked about, or when it is written like a class; else it only counts as one vote."""
    named = identifiers(query)
    words = plain_words(query)[:_WORDS_TRIED]
    if not named and len(words) == 1:
        named, words = words, []
    trusted = [word for word in words if capitalised(word) and _exact(store, word)]
    voted = [word for word in words if word not in trusted]
    tests_last = not mentions_tests(query)
    return [
        Ranking("symbol", _definitions(store, [*named, *trusted], tests_last), steepness=1),
        Ranking("symbol", _definitions(store, [word for word in voted if _exact(store, word)], tests_last), weight=0.3),
    ]


def _exact(store: Store, word: str) -> bool:
    return any(stored.chunk.symbol.rpartition(".")[2] == word for stored in store.chunks_named(word))


def _definitions(store: Store, names: list[str], tests_last: bool) -> tuple[int, ...]:
    """Chunks that define the names, best match first, the first name's before the second's at equal quality."""
    found: dict[int, tuple[object, ...]] = {}
    for position, name in enumerate(names):
        components = name.split(".")
        for stored in store.chunks_named(components[-1]):
            order = (*_fit(components, stored), tests_last and is_test(stored.chunk.path), position)
            place = (stored.chunk.path, stored.chunk.start_line)
            found[stored.id] = min(found.get(stored.id, (99,)), (*order, *place))
    return tuple(sorted(found, key=lambda number: found[number]))


def _fit(asked: list[str], stored: Stored) -> tuple[int, bool, int]:
    """How well a symbol fits `a.b.c`, smallest best: components that do not match, another case, longer than asked."""
    symbol = stored.chunk.symbol.split(".")
    same = 0
    while same < min(len(asked), len(symbol)) and asked[-1 - same].lower() == symbol[-1 - same].lower():
        same += 1
    case_differs = asked[len(asked) - same :] != symbol[len(symbol) - same :]
    return len(asked) - same, case_differs, len(symbol) - same
