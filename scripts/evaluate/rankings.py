"""One question, answered in many ways: each ranking alone, blindly fused, everything, and everything but one part."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from offline_agent.cli.terminal import readable
from offline_agent.retrieval.evidence import RANKINGS, Evidence, gather, nearest
from offline_agent.retrieval.loaded import Dense, Loaded
from offline_agent.retrieval.query import Query, Shape
from offline_agent.retrieval.rank import Weights, rank
from offline_agent.retrieval.rules import RULES
from offline_agent.retrieval.search import LONGEST_QUERY
from scripts.evaluate.cases import Found, Spot
from scripts.evaluate.subject import Subject

BASELINE = "plain BM25"
FULL = "everything"
WITHOUT = "without "
_FETCHED = 400  # chunks: the first ten files are among them
_FUSION = 60  # Cormack, Clarke and Buettcher, Reciprocal Rank Fusion (2009)
_REPEATED = "repeated"


def answers(subject: Subject, text: str, ablation: bool = True) -> Found:
    """By ranking what it finds, best first; with `ablation` also everything with each ranking and each rule left out."""
    query = Query(text=readable(text[:LONGEST_QUERY]))
    weights = subject.weights[query.shape]
    found = {BASELINE: subject.baseline.search(query.text), **_alone(subject, query)}
    evidence = gather(subject.store, subject.loaded, query, subject.dense)
    found[FULL] = _ranked(subject, evidence, weights)
    if subject.dense is not None:
        # Gathered anew: what only the transformer found must not be there.
        less = gather(subject.store, subject.loaded, query, None)
        found[f"{WITHOUT}dense"] = _ranked(subject, less, weights)
    if subject.loaded.static is not None:
        less = gather(subject.store, Loaded(subject.loaded.words), query, subject.dense)
        found[f"{WITHOUT}static"] = _ranked(subject, less, weights)
    if ablation:
        for name in parts(subject.weights):
            found.setdefault(f"{WITHOUT}{name}", _ranked(subject, evidence, weights.without(name)))
    return found


def parts(weights: Mapping[Shape, Weights]) -> list[str]:
    """Every ranking and rule that counts for some shape of question, in their order; the embedders are not among them."""
    used = {name for one in weights.values() for name, weight in {**one.rankings, **one.rules}.items() if weight}
    found = [name for name in (*RANKINGS, *RULES) if name in used and name not in ("static", "dense")]
    return [*found, _REPEATED] if any(one.repeated != 1.0 for one in weights.values()) else found


def _alone(subject: Subject, query: Query) -> dict[str, list[Spot]]:
    """Each ranking as it is, without a rule, and words fused with the better embedder by nothing but their places."""
    orders = {"words": [number for number, _ in subject.loaded.words.search(query.terms, _FETCHED).chunks]}
    for name, one in (("static", subject.loaded.static), ("dense", subject.dense)):
        if one is not None:
            orders[name] = _nearest(subject, query, one)
    found = {name: subject.spots(order) for name, order in orders.items()}
    embedder = list(orders)[-1]
    if embedder != "words":
        found[f"words + {embedder}, blindly"] = subject.spots(fused([orders["words"], orders[embedder]]))
    return found


def _nearest(subject: Subject, query: Query, dense: Dense) -> list[int]:
    cosines = nearest(subject.store, query.gist, dense)
    return sorted(cosines, key=lambda number: (-cosines[number], number))


def fused(orders: Sequence[Sequence[int]]) -> list[int]:
    """Reciprocal rank fusion: each ranking gives 1 / (60 + place)."""
    scores: dict[int, float] = defaultdict(float)
    for order in orders:
        for number, one in enumerate(order, 1):
            scores[one] += 1 / (_FUSION + number)
    return sorted(scores, key=lambda one: (-scores[one], one))


def _ranked(subject: Subject, evidence: Evidence, weights: Weights) -> list[Spot]:
    spots = ((one.candidate.path, one.candidate.symbol) for one in rank(evidence, weights))
    return list(dict.fromkeys(spot if subject.definitions else (spot[0], "") for spot in spots))
