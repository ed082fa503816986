"""One order from all evidence: amounts add up, weights are checked, and the order never varies."""

import math
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.errors import IndexUnavailable
from offline_agent.retrieval.evidence import RANKINGS, Candidate, Evidence
from offline_agent.retrieval.graph import Edge
from offline_agent.retrieval.query import Query, Shape
from offline_agent.retrieval.rank import Weights, load_weights, rank
from offline_agent.retrieval.rules import RULES

from .conftest import DECLARATIONS

SHIPPED = load_weights(DECLARATIONS)
TOML = (DECLARATIONS / "ranking.toml").read_text(encoding="utf-8")
PATHS = ["jar.py", "src/cookies.py", "tests/test_jar.py", "docs/jar.md", "_vendor/jar.py", "setup.py"]
EDGES = [Edge("jar.py", "src/cookies.py", 1.0, "uses Jar"), Edge("tests/test_jar.py", "jar.py", 2.0, "uses close")]

CANDIDATES = st.builds(
    Candidate,
    id=st.integers(1, 1000),
    path=st.sampled_from(PATHS),
    symbol=st.sampled_from(["", "Jar", "Jar.close", "merge_cookies"]),
    kind=st.sampled_from(["function", "class", "module", "text"]),
    start_line=st.integers(1, 200),
    signals=st.dictionaries(st.sampled_from(RANKINGS), st.floats(0, 1), max_size=4),
)
QUESTIONS = st.sampled_from(
    ["Jar.close", "how is the cookie jar closed", "which test closes the jar", "Jar leaks\n" * 8]
)
WEIGHTS = st.floats(0, 2)
ANY_WEIGHTS = st.builds(
    Weights,
    rankings=st.dictionaries(st.sampled_from(RANKINGS), WEIGHTS),
    rules=st.dictionaries(st.sampled_from(list(RULES)), st.floats(0, 1)),
    repeated=st.floats(0.1, 1),
)


def evidence(some: list[Candidate], text: str = "how is the cookie jar closed") -> Evidence:
    return Evidence(Query(text=text), {one.id: one for one in some}, lambda _: EDGES)


@settings(max_examples=200)
@given(st.lists(CANDIDATES, max_size=12), QUESTIONS, ANY_WEIGHTS | st.sampled_from(list(SHIPPED.values())))
def test_amounts_add_up_to_the_score(some: list[Candidate], text: str, weights: Weights) -> None:
    given = evidence(some, text)
    ranked = rank(given, weights)
    assert sorted(one.candidate.id for one in ranked) == sorted(given.candidates)
    assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)
    for one in ranked:
        assert math.isclose(sum(reason.amount for reason in one.reasons), one.score, abs_tol=1e-6)
        known = {*weights.rankings, *weights.rules, "repeated"}
        assert {reason.rule for reason in one.reasons} <= known


@given(st.lists(CANDIDATES, max_size=12, unique_by=lambda one: one.id), QUESTIONS, st.randoms(use_true_random=False))
def test_the_order_depends_on_nothing_else(some: list[Candidate], text: str, chance: random.Random) -> None:
    weights = SHIPPED[Query(text=text).shape]
    first = rank(evidence(some, text), weights)
    assert rank(evidence(some, text), weights) == first
    some = sorted(some, key=lambda one: one.id)  # as they come out of the store
    expected = rank(evidence(some, text), weights)
    for one in some:
        one.signals = dict(chance.sample(list(one.signals.items()), len(one.signals)))
    again = rank(evidence(some, text), weights)
    assert [one.score for one in again] == pytest.approx([one.score for one in expected])


def test_equal_scores_are_ordered_by_number() -> None:
    some = [Candidate(number, f"{number}.py", "", "text", 1, {"words": 1.0}) for number in (3, 1, 2)]
    assert [one.candidate.id for one in rank(evidence(some), Weights(rankings={"words": 1.0}))] == [1, 2, 3]


def test_signals_are_weighed() -> None:
    one = Candidate(1, "a.py", "", "text", 1, {"words": 0.5, "path": 1.0, "dense": 1.0}, {"path": "named"})
    [ranked] = rank(evidence([one]), Weights(rankings={"words": 2.0, "path": 0.5, "dense": 0.0}))
    assert ranked.score == 1.5
    assert [(some.rule, some.amount, some.detail) for some in ranked.reasons] == [
        ("words", 1.0, ""),
        ("path", 0.5, "named"),
    ]


def test_further_chunks_of_a_file_come_later() -> None:
    some = [Candidate(number, "a.py", "", "text", 1, {"words": 1.0 - number / 10}) for number in (1, 2, 3)]
    other = Candidate(4, "b.py", "", "text", 1, {"words": 0.5})
    ranked = rank(evidence([*some, other]), Weights(rankings={"words": 1.0}, repeated=0.5))
    assert [one.candidate.id for one in ranked] == [1, 4, 2, 3]
    assert [one.score for one in ranked] == pytest.approx([0.9, 0.5, 0.4, 0.175])
    assert ranked[3].reasons[-1].rule == "repeated"
    assert ranked[3].reasons[-1].detail == "2 better of this file"
    assert [one.candidate.id for one in rank(evidence([*some, other]), Weights(rankings={"words": 1.0}))] == [
        1,
        2,
        3,
        4,
    ]


def test_nothing_found_is_no_order() -> None:
    assert rank(evidence([]), SHIPPED[Shape.QUESTION]) == []


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("name", [*RANKINGS, *RULES, "repeated", "reranker"])
def test_an_ablation_takes_one_thing_away(shape: Shape, name: str) -> None:
    whole = SHIPPED[shape].model_dump()
    less = SHIPPED[shape].without(name).model_dump()
    for group in ("rankings", "rules"):
        assert less[group] == {key: value for key, value in whole[group].items() if key != name}
    assert less["repeated"] == (1.0 if name == "repeated" else whole["repeated"])
    assert less["reranker"] == (0.0 if name == "reranker" else whole["reranker"])


def test_what_is_shipped_names_every_ranking_and_rule() -> None:
    """What no shape of question names is dead code."""
    assert {name for weights in SHIPPED.values() for name in weights.rankings} == set(RANKINGS)
    assert {name for weights in SHIPPED.values() for name in weights.rules} == set(RULES)
    assert not set(RANKINGS) & set(RULES)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[name", "Expected ']'"),
        ("", "there is no [name]"),
        (TOML.replace("[report]", "[issue]"), "'issue' is no shape of question (name, question, report)"),
        (TOML.replace("[question]", "[question.what]"), "question.what: Extra inputs are not permitted"),
        (TOML.replace("words = ", "word = ", 1), "'word' is no ranking (words, file, "),
        (TOML.replace("coherence = ", "coherent = ", 1), "'coherent' is no rule (definition, "),
        (TOML.replace("repeated = ", "repeat = ", 1), "name.repeat: Extra inputs are not permitted"),
        (
            re.sub(r"words = [\d.]+", 'words = "much"', TOML, count=1),
            "name.rankings.words: Input should be a valid number",
        ),
        (
            re.sub(r"words = [\d.]+", "words = nan", TOML, count=1),
            "name.rankings.words: Input should be a finite number",
        ),
        ("report = 1\n" + TOML.split("[report]")[0], "report: Input should be"),
    ],
)
def test_weights_that_are_not_understood(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "ranking.toml").write_text(content, encoding="utf-8")
    with pytest.raises(IndexUnavailable, match=re.escape(says)) as caught:
        load_weights(tmp_path)
    assert str(tmp_path / "ranking.toml") in str(caught.value)
    assert str(caught.value).endswith("Install again.")


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match="No such file"):
        load_weights(tmp_path)
    (tmp_path / "ranking.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(IndexUnavailable, match="can't decode"):
        load_weights(tmp_path)
