"""What the question names outright, looked up in the repository: definitions, files, and the functions of a traceback."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from offline_agent.retrieval.frames import Frame
from offline_agent.retrieval.query import Query, Shape
from offline_agent.retrieval.store import Named, Store
from offline_agent.retrieval.terms import capitalised

_NAMES = 60  # names of a long report that are looked up
_WORDS = 24
_FEW_WORDS = 4
_PATHS = 20
_PARTS = 4  # chunks of one long definition; more would leave no room for anything else
_FRAMES = 15


class _Name(NamedTuple):
    strength: float
    exactly: bool
    """Whether case must be as it was written."""


class Mention(NamedTuple):
    """How sure it is that the question means a chunk, from 0 to 1, and why."""

    share: float
    why: str


def symbols(store: Store, query: Query) -> dict[int, Mention]:
    """Definitions the question names. A name that many things bear says less about each."""
    asked = _names(query)
    same_name = _same_name(store, asked)
    bearers = [
        (one, strength * share)
        for name, (strength, exactly) in asked.items()
        for one, share in _bearers(name, same_name[_last(name).lower()])
        if not exactly or one.name == _last(name)
    ]
    best: dict[int, Mention] = {}
    spans = [(one.path, one.start_line, one.end_line) for one, _ in bearers]
    for (one, share), numbers in zip(bearers, store.chunks_within(spans), strict=True):
        for position, number in enumerate(numbers[:_PARTS]):
            value = share * (1.0 if position == 0 else 0.5)
            _keep_better(best, number, Mention(value, f"defines {one.symbol}"))
    return best


def paths(store: Store, query: Query) -> dict[int, Mention]:
    """First chunks of the files that the question names."""
    best: dict[int, Mention] = {}
    for mention in query.paths[:_PATHS]:
        why = f"the question names {mention.rpartition('/')[2]}"
        for path, share in _files(store, mention).items():
            for number in store.chunks_of(path, _PARTS):
                _keep_better(best, number, Mention(share, why))
    return best


def frames(store: Store, query: Query) -> dict[int, Mention]:
    """The functions in a traceback, the innermost of this repository first."""
    found: dict[int, Mention] = {}
    inside = 0
    for frame in sorted(query.frames, key=lambda frame: frame.depth)[: 4 * _FRAMES]:
        numbers = _frame_chunks(store, frame)
        for number in numbers:
            found.setdefault(number, Mention(1.0 / (1 + inside), f"{_called(frame)} is in the traceback"))
        inside += bool(numbers)
        if inside == _FRAMES:
            break
    return found


def _keep_better(best: dict[int, Mention], number: int, mention: Mention) -> None:
    if number not in best or mention.share > best[number].share:
        best[number] = mention


def _names(query: Query) -> dict[str, _Name]:
    """Each name of the question with how surely it is what the question is about: among many words it is one word of many."""
    if query.shape is Shape.NAME or (len(query.words) == 1 and not query.names):
        return dict.fromkeys([*query.names, *query.words], _Name(1.0, exactly=False))  # "Where is close defined?"
    # Squared: a description of ten words that names a class is about what is done with it.
    about = min(1.0, (_FEW_WORDS / max(1, len(query.terms))) ** 2) if query.shape is Shape.QUESTION else 1.0
    # A capital letter may also begin a sentence.
    words = {word: _Name(0.5 * about, exactly=True) for word in query.words[:_WORDS] if capitalised(word)}
    return words | dict.fromkeys(query.names[:_NAMES], _Name(about, exactly=False))


def _same_name(store: Store, names: Iterable[str]) -> Mapping[str, list[Named]]:
    """Definitions by their own names, in lower case."""
    found: dict[str, list[Named]] = defaultdict(list)
    for one in store.definitions_named(sorted({_last(name).lower() for name in names})):
        found[one.name.lower()].append(one)
    return found


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _called(frame: Frame) -> str:
    return frame.name or f"line {frame.line}"


def _frame_chunks(store: Store, frame: Frame) -> list[int]:
    for path in _files(store, frame.path):
        name = frame.name.lower()
        named = [one for one in store.definitions_of([path]) if one.name.lower() == name] if name else []
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
    same, most = 0, min(len(one), len(other))
    while same < most and one[-1 - same] == other[-1 - same]:
        same += 1
    return same


def _bearers(asked: str, found: Iterable[Named]) -> list[tuple[Named, float]]:
    """Definitions that fit `a.b.c` best, with a share that falls with their number."""
    components = asked.split(".")
    lower = asked.lower().split(".")
    fits = [(_fit(components, lower, one.symbol), one) for one in found]
    if not fits:
        return []
    best = min(fit for fit, _ in fits)[0]
    kept = sorted(((fit, one) for fit, one in fits if fit[0] == best), key=lambda pair: pair[0])
    exact = sum(1 for fit, _ in kept if fit == kept[0][0])
    shares = [1.0 if fit == kept[0][0] else 0.6 for fit, _ in kept]
    return [(one, share / exact**0.5) for (_, one), share in zip(kept, shares, strict=True)][: 3 * _PARTS]


def _fit(asked: list[str], lower: list[str], found: str) -> tuple[int, bool, int]:
    """How well a symbol of that name fits `a.b.c`, smallest best: components that do not match, another case, longer than asked.
    `lower` is `asked` in lower case: there may be a thousand definitions of one name."""
    if len(asked) == 1:
        return 0, found.rpartition(".")[2] != asked[0], found.count(".")
    symbol = found.split(".")
    same = _common_end(lower, found.lower().split("."))
    case_differs = asked[len(asked) - same :] != symbol[len(symbol) - same :]
    return len(asked) - same, case_differs, len(symbol) - same
