"""What speaks for which chunk, before anything is weighed.

    words     BM25 of the chunk
    file      BM25 of all chunks of its file together
    static    cosine with the static embedder
    dense     cosine with the transformer, for chunks that have its vector
    symbol    definitions that the question names
    path      files that the question names
    frame     functions in the question's traceback

Each signal is from 0 to 1, where 1 is the best that this question found in this repository: scores of different rankings cannot be
compared, their shares of the best can.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from offline_agent.retrieval.frames import Frame
from offline_agent.retrieval.graph import Edge, edges
from offline_agent.retrieval.kinds import is_aside
from offline_agent.retrieval.loaded import Dense, Loaded
from offline_agent.retrieval.query import Query, Shape
from offline_agent.retrieval.store import Store
from offline_agent.retrieval.terms import capitalised
from offline_agent.types import Definition

RANKINGS = ("words", "file", "static", "dense", "symbol", "path", "frame")

_FETCHED = 400  # chunks of each ranking, of which the best that are no tests or documentation are kept
_DEPTH = 150  # what is deeper adds less than it costs
_ASIDE = 0.5
_NOISE = 0.5  # of the best cosine: what is less near says nothing
_NAMES = 60  # names of a long report that are looked up
_WORDS = 24
_PATHS = 20
_PARTS = 4  # chunks of one long definition; more would leave no room for anything else
_FRAMES = 15
_FILES = 15  # whose neighbours are looked up


@dataclass
class Candidate:
    """A chunk and what speaks for it. `why` has words for those signals that are not told by a number."""

    id: int
    path: str
    symbol: str
    kind: str
    start_line: int
    signals: dict[str, float] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """`edges` join the files that look best so far with those that they use and that use them."""

    query: Query
    candidates: Mapping[int, Candidate]
    edges: Sequence[Edge] = ()


Signal = Mapping[int, float]


def gather(store: Store, loaded: Loaded, query: Query, dense: Dense | None = None) -> Evidence:
    """Everything that any ranking found for the question."""
    matches = loaded.words.search(query.terms, _FETCHED)
    found: dict[str, Signal] = {"words": dict(matches.chunks)}
    for name, one in (("static", loaded.static), ("dense", dense)):
        if one is not None:
            found[name] = nearest(store, query.gist, one)
    found = {name: sifted(store, query, signal) for name, signal in found.items()}
    why: dict[int, dict[str, str]] = defaultdict(dict)
    found["symbol"] = symbols(store, query, why)
    found["path"] = paths(store, query, why)
    found["frame"] = frames(store, query, why)
    candidates = _candidates(store, found, why)
    best = max(matches.files.values(), default=1.0)
    for candidate in candidates.values():
        if candidate.path in matches.files:
            candidate.signals["file"] = matches.files[candidate.path] / best
    return Evidence(query, candidates, edges(store, _promising(candidates.values())))


def nearest(store: Store, text: str, dense: Dense) -> Signal:
    """Cosines of the nearest, above what even the farther ones of them have."""
    [vector] = dense.embedder.encode([text])
    found = dense.index.search(vector, _FETCHED)
    ids = store.ids_by_key([key for key, _ in found])
    least = min((cosine for _, cosine in found), default=0.0)
    least = min(
        least, _NOISE * max((cosine for _, cosine in found), default=0.0)
    )  # in a small repository the last is near
    return {number: cosine - least for key, cosine in found for number in ids.get(key, ())}


def sifted(store: Store, query: Query, signal: Signal) -> Signal:
    """The best of a ranking, as shares of the first. Tests and documentation repeat the words of the code that they are about:
    unless they are asked for they must not take all the places."""
    places = store.places(list(signal))
    valued = {
        number: value * (_ASIDE if is_aside(places[number][0], query) else 1.0)
        for number, value in signal.items()
        if number in places
    }
    kept = sorted(valued, key=lambda number: (-valued[number], number))[:_DEPTH]
    best = max((valued[number] for number in kept), default=0.0)
    return {number: signal[number] / best for number in kept} if best > 0 else {}


def symbols(store: Store, query: Query, why: dict[int, dict[str, str]]) -> Signal:
    """Definitions the question names. A name that many things bear says less about each."""
    strengths = dict.fromkeys(query.names[:_NAMES], 1.0)
    if query.shape is Shape.NAME:
        strengths.update(dict.fromkeys(query.words, 1.0))
    else:
        strengths.update({word: 0.5 for word in query.words[:_WORDS] if capitalised(word)})
        if len(query.words) == 1 and not query.names:
            strengths[query.words[0]] = 1.0  # "Where is close defined?" asks about nothing else
    scores: dict[int, float] = {}
    by_name: dict[str, list[Definition]] = defaultdict(list)
    last_parts = {name: name.rpartition(".")[2].lower() for name in strengths}
    for one in store.definitions_named(sorted(set(last_parts.values()))):
        by_name[one.name.lower()].append(one)
    for name, strength in strengths.items():
        for one, share in _bearers(name, by_name[last_parts[name]]):
            if strength < 1 and one.name != name.rpartition(".")[2]:
                continue  # an English word at the start of a sentence
            [numbers] = store.chunks_within([(one.path, one.start_line, one.end_line)])
            for position, number in enumerate(numbers[:_PARTS]):
                value = strength * share * (1.0 if position == 0 else 0.5)
                if value > scores.get(number, 0.0):
                    why[number]["symbol"] = f"defines {one.symbol}"
                scores[number] = max(scores.get(number, 0.0), value)
    return scores


def paths(store: Store, query: Query, why: dict[int, dict[str, str]]) -> Signal:
    """First chunks of the files that the question names."""
    scores: dict[int, float] = {}
    for mention in query.paths[:_PATHS]:
        for path, share in _files(store, mention).items():
            for number in store.chunks_of(path, _PARTS):
                if share > scores.get(number, 0.0):
                    scores[number] = share
                    why[number]["path"] = f"the question names {mention.rpartition('/')[2]}"
    return scores


def frames(store: Store, query: Query, why: dict[int, dict[str, str]]) -> Signal:
    """The functions in a traceback, the innermost of this repository first."""
    scores: dict[int, float] = {}
    inside = 0
    for frame in sorted(query.frames, key=lambda frame: frame.depth)[: 4 * _FRAMES]:
        numbers = _frame_chunks(store, frame)
        for number in numbers:
            if number not in scores:
                scores[number] = 1.0 / (1 + inside)
                why[number]["frame"] = f"{frame.name or f'line {frame.line}'} is in the traceback"
        inside += bool(numbers)
        if inside == _FRAMES:
            break
    return scores


def _frame_chunks(store: Store, frame: Frame) -> list[int]:
    for path in _files(store, frame.path):
        named = [one for one in store.definitions_named([frame.name]) if one.path == path] if frame.name else []
        # Lines differ from version to version, names seldom do.
        spans = [(one.path, one.start_line, one.end_line) for one in named] or [(path, frame.line, frame.line)]
        return [number for numbers in store.chunks_within(spans) for number in numbers[:_PARTS]]
    return []


def _files(store: Store, mention: str) -> dict[str, float]:
    """Files of the repository that a mention may mean, with how sure that is: those that share most of its last components."""
    asked = [part for part in mention.lower().split("/") if part not in ("", ".", "..", "~")]
    if not asked:
        return {}
    same = {path: _common_end(asked, path.lower().split("/")) for path in store.files_named(asked[-1])}
    most = max(same.values(), default=0)
    if not most or (most == 1 and len(asked) > 1):
        return {}  # "…/lib/python3.8/socket.py" is not our own socket.py
    best = [path for path, count in same.items() if count == most]
    return {path: 1.0 / len(best) for path in best}


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _bearers(asked: str, found: Iterable[Definition]) -> list[tuple[Definition, float]]:
    """Definitions that fit `a.b.c` best, with a share that falls with their number."""
    components = asked.split(".")
    fits = [(_fit(components, one.symbol), one) for one in found]
    if not fits:
        return []
    best = min(fit for fit, _ in fits)[0]
    kept = sorted(((fit, one) for fit, one in fits if fit[0] == best), key=lambda pair: pair[0])
    exact = sum(1 for fit, _ in kept if fit == kept[0][0])
    shares = [1.0 if fit == kept[0][0] else 0.6 for fit, _ in kept]
    return [(one, share / exact**0.5) for (_, one), share in zip(kept, shares, strict=True)][: 3 * _PARTS]


def _fit(asked: list[str], found: str) -> tuple[int, bool, int]:
    """How well a symbol fits `a.b.c`, smallest best: components that do not match, another case, longer than asked."""
    symbol = found.split(".")
    same = _common_end([part.lower() for part in asked], [part.lower() for part in symbol])
    case_differs = asked[len(asked) - same :] != symbol[len(symbol) - same :]
    return len(asked) - same, case_differs, len(symbol) - same


def _promising(candidates: Iterable[Candidate]) -> list[str]:
    """The files that most speaks for, all signals alike."""
    best: dict[str, float] = {}
    for one in candidates:
        best[one.path] = max(best.get(one.path, 0.0), sum(one.signals.values()))
    return sorted(best, key=lambda path: (-best[path], path))[:_FILES]


def _candidates(store: Store, found: Mapping[str, Signal], why: Mapping[int, dict[str, str]]) -> dict[int, Candidate]:
    places = store.places(sorted({number for signal in found.values() for number in signal}))
    candidates = {number: Candidate(number, *place, why=why.get(number, {})) for number, place in places.items()}
    for name, signal in found.items():
        for number, value in signal.items():
            if number in candidates:
                candidates[number].signals[name] = value
    return candidates
