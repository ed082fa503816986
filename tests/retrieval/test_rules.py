"""Each rule by itself: what it does in the smallest case, and that it does nothing without a weight."""

from collections.abc import Sequence

import pytest

from offline_agent.retrieval.evidence import Candidate, Evidence
from offline_agent.retrieval.graph import Edge
from offline_agent.retrieval.query import Query
from offline_agent.retrieval.rank import Weights, rank
from offline_agent.retrieval.rules import RULES

QUESTION = "how does a cookie jar close"


def candidate(
    number: int, path: str = "a.py", score: float = 1.0, symbol: str = "", kind: str = "", line: int = 100
) -> Candidate:
    kind = kind or ("function" if symbol else "text")
    return Candidate(number, path, symbol, kind, line, {"words": score})


def evidence(*some: Candidate, text: str = QUESTION, edges: Sequence[Edge] = ()) -> Evidence:
    return Evidence(Query(text=text), {one.id: one for one in some}, lambda _: edges)


def gains(rule: str, given: Evidence, weight: float = 1.0) -> dict[int, float]:
    """What a rule gives or takes, beside the signals; without those that it leaves alone."""
    scores = {number: sum(one.signals.values()) for number, one in given.candidates.items()}
    found = RULES[rule](given, scores, weight)
    return {number: pytest.approx(gain.amount) for number, gain in found.items() if gain.amount}


def test_a_definition_whose_name_is_said() -> None:
    given = evidence(
        candidate(1, symbol="Jar.close"),
        candidate(2, symbol="CookieJar", kind="class"),
        candidate(3, symbol="close_pool"),
        candidate(4, symbol="close", kind="module"),
        candidate(5),
    )
    assert gains("definition", given) == {1: 0.5, 2: 1.0}
    assert gains("definition", given, 0.2) == {1: 0.1, 2: 0.2}


def test_endings_do_not_matter() -> None:
    assert gains("definition", evidence(candidate(1, symbol="closes_cookies"))) == {1: 1.0}


def test_of_a_report_the_title_is_what_is_said() -> None:
    report = "The jar leaks\n\n" + "close the pool, then close it again\n" * 10
    given = evidence(candidate(1, symbol="close"), candidate(2, symbol="Jar", kind="class"), text=report)
    assert gains("definition", given) == {2: 0.5}


def test_a_description_begins_with_what_is_done() -> None:
    given = evidence(
        candidate(1, symbol="Jar.closes_all"),
        candidate(2, symbol="Close", kind="class"),
        candidate(3, symbol="jar"),
        candidate(4, symbol="close_jar.inner"),
        text="Close the jar",
    )
    assert gains("verb", given, 0.2) == {1: 0.2}
    assert gains("verb", evidence(candidate(1, symbol="close"), text="...")) == {}


def test_functions_do_what_is_described() -> None:
    given = evidence(candidate(1, symbol="run"), candidate(2, symbol="Run", kind="class"), candidate(3))
    assert gains("function", given, 0.4) == {1: 0.4}


@pytest.mark.parametrize(
    ("path", "gain"),
    [
        ("src/cookies.py", 1.0),
        ("src/cookie_jar.py", 1.0),
        ("src/cookies/__init__.py", 1.0),
        ("src/jar/index.ts", 1.0),
        ("src/cookies_close_file.py", None),
        ("src/sessions.py", None),
        ("cookies/sessions.py", None),
        ("__init__.py", None),
    ],
)
def test_a_file_whose_name_is_said(path: str, gain: float | None) -> None:
    assert gains("file_name", evidence(candidate(1, path))) == ({} if gain is None else {1: gain})


def test_the_top_of_a_file_explains_nothing() -> None:
    given = evidence(
        candidate(1, kind="module", line=1, score=2.0),
        candidate(2, kind="module", line=60),
        candidate(3, kind="text", line=1),
        candidate(4, symbol="f", line=1),
    )
    assert gains("imports", given, 0.25) == {1: -0.5}


def test_chunks_of_one_file_speak_for_each_other() -> None:
    given = evidence(
        candidate(1, "a.py", 1.0), candidate(2, "a.py", 0.8), candidate(3, "a.py", 0.4), candidate(4, "b.py", 1.0)
    )
    mass = 0.8 * 0.5 + 0.4 * 0.25
    assert gains("coherence", given) == {1: mass, 2: mass * 0.8, 3: mass * 0.4}


def test_no_more_than_six_chunks_speak() -> None:
    def gain(siblings: int) -> object:
        return gains("coherence", evidence(*(candidate(number) for number in range(1, siblings + 1))))[1]

    assert gain(5) != gain(6) == gain(7) == gain(60)


def test_what_good_files_use_and_who_uses_them() -> None:
    given = evidence(
        candidate(1, "good.py", 1.0),
        candidate(2, "used.py", 0.5),
        candidate(3, "used.py", 0.25),
        candidate(4, "user.py", 0.5),
        candidate(5, "stranger.py", 0.5),
        edges=[Edge("good.py", "used.py", 1.0, "uses Jar"), Edge("user.py", "good.py", 1.0, "uses close")],
    )
    found = gains("graph", given)
    assert set(found) == {1, 2, 3, 4}
    amounts = {
        number: gain.amount
        for number, gain in RULES["graph"](
            given, {n: c.signals["words"] for n, c in given.candidates.items()}, 1.0
        ).items()
    }
    assert amounts[2] == 2 * amounts[3] > amounts[4] > 0
    [why] = {
        gain.why for number, gain in RULES["graph"](given, dict.fromkeys(range(1, 6), 1.0), 1.0).items() if number == 2
    }
    assert why == "good.py uses Jar"


DEMOTED = [
    ("tests", "tests/test_jar.py", "which test closes a cookie jar"),
    ("docs", "docs/jar.md", "the documentation of a cookie jar"),
    ("vendored", "_vendor/jar.py", "the vendored cookie jar"),
    ("configuration", "jar.toml", ""),
]


@pytest.mark.parametrize(("rule", "path", "asking"), DEMOTED)
def test_what_was_not_asked_for_loses_a_share(rule: str, path: str, asking: str) -> None:
    some = [candidate(1, path, 0.5), candidate(2, "src/jar.py", 0.5), candidate(3, path, 0.0)]
    assert gains(rule, evidence(*some), 0.4) == {1: -0.2}
    if asking:
        assert gains(rule, evidence(*some, text=asking), 0.4) == {}


@pytest.mark.parametrize(("rule", "path", "asking"), DEMOTED)
def test_what_the_question_names_keeps_its_place(rule: str, path: str, asking: str) -> None:
    one = candidate(1, path)
    one.signals["path"] = 1.0
    assert gains(rule, evidence(one)) == {}
    one.signals["path"] = 0.5  # two files have that name
    assert gains(rule, evidence(one)) == {1: -1.5}


@pytest.mark.parametrize("rule", RULES)
def test_without_a_weight_nothing_happens(rule: str) -> None:
    given = evidence(
        candidate(1, "cookies.py", symbol="close"),
        candidate(2, "cookies.py", kind="module", line=1),
        candidate(3, "tests/_vendor/docs/jar.toml"),
        candidate(4, "cookies.py", symbol="how_many"),
        edges=[Edge("cookies.py", "tests/_vendor/docs/jar.toml", 1.0, "uses it")],
    )
    bare = Weights(rankings={"words": 1.0})
    weighed = Weights(rankings={"words": 1.0}, rules={rule: 0.0})
    assert rank(given, weighed) == rank(given, bare)
    assert any(
        reason.rule == rule
        for one in rank(given, Weights(rankings={"words": 1.0}, rules={rule: 0.5}))
        for reason in one.reasons
    )


@pytest.mark.parametrize("rule", RULES)
def test_nothing_to_rule_over(rule: str) -> None:
    assert gains(rule, evidence()) == {}
    gains(rule, evidence(candidate(1, "", 0.0)))
