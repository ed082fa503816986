"""Which excerpts a name means, and that a name is found however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.agent.naming import (
    PARTLY,
    closeness,
    is_name,
    last_part,
    meant_in,
    named_by,
    names_in,
    occurrences,
    words_of,
)
from offline_agent.types import Chunk


def chunk(symbol: str, path: str = "src/shop/cart.py") -> Chunk:
    return Chunk(path=path, start_line=1, end_line=2, symbol=symbol, text="...")


NAMES = st.from_regex(r"[A-Za-z_$ß][\w$]{0,8}(?:(?:\.|::|->|#)[A-Za-z_][\w$]{0,8}){0,2}", fullmatch=True)
AROUND = [
    "{}", "`{}`", "{}()", "`{}()`", "'{}'", '"{}"', "({})", "[{}]", "<{}>", "**{}**", "{}?", "{}!", "{},", "{}:", "{};", "{}.",
    "{}...", "@{}", "&{}", "*{}", "{}(x, y)", "{}[0]", "{}'s", "{}=", "{}{{}}", "\u201c{}\u201d", "{}\u2026",
]  # fmt: skip


@given(NAMES, st.sampled_from(AROUND), st.sampled_from(["", "Where is ", "what\n", "does\t"]))
def test_a_name_is_found_however_it_is_decorated(name: str, around: str, before: str) -> None:
    question = f"{before}{around.format(name)} defined"
    assert name in names_in(question)
    assert is_name(name)


@given(st.text(max_size=40))
def test_what_is_found_is_one_name_and_stands_there(text: str) -> None:
    for name in names_in(text):
        assert name in text
        assert name in names_in(name)
        assert is_name(name)
        assert last_part(name)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("What does operator+ do?", ["What", "does", "operator+", "do"]),
        ("Vec::operator[] or operator()?", ["Vec::operator[]", "or", "operator()"]),
        ("an operator-based one", ["an", "operator", "based", "one", "operator-based"]),
        ("run-tests", ["run", "tests", "run-tests"]),
        ("x->y $ __init__", ["x->y", "$", "__init__"]),
        ("", []),
    ],
)
def test_names_of_a_text(text: str, names: list[str]) -> None:
    assert names_in(text) == names


@pytest.mark.parametrize(
    ("name", "symbol", "fits"),
    [
        ("Session.close", "Session.close", 1),
        ("close", "Session.close", 2),
        ("Session::close", "http.Session.close", 2),
        ("Session#close", "Session.close", 1),
        ("session->close", "Session.close", 3),
        ("CLOSE", "Session.close", 3),
        ("cart.Session", "Session", 4),
        ("shop.cart.Session.close", "Session.close", 4),
        ("dispatch_request", "Flask.full_dispatch_request", PARTLY),
        ("lose", "Session.close", 0),
        ("full", "Flask.full_dispatch_request", 0),
        ("other.Session", "Session", 0),
        ("close", "", 0),
        ("", "close", 0),
        ("__init__", "Session.__init__", 2),
        ("a", "a", 1),
        ("$", "$", 1),
        ("$apply", "Scope.$apply", 2),
        ("apply", "Scope.$apply", 2),
        ("$scope.close", "scope.close", 1),
        ("empty", "Stack.empty?", 2),
        ("name", "User.name=", 2),
        ("operator+", "V.operator+", 2),
        ("V::operator[]", "V.operator[]", 1),
        ("operator-", "operator+", 0),
        ("x::y", "x.y", 1),
        ("run-tests", "run-tests", 1),
        ("größe_neu", "grüße_neu_laden", 0),
        ("größe_neu", "die_größe_neu", PARTLY),
        ("equals", "Stack.==", 0),
    ],
)
def test_how_close_a_name_is(name: str, symbol: str, fits: int) -> None:
    assert closeness(name, chunk(symbol)) == fits


def test_only_the_best_way_counts_and_two_of_one_name_are_both_meant() -> None:
    chunks = [chunk("Client.close"), chunk("close"), chunk("Session.close"), chunk(""), chunk("CLOSE")]
    assert named_by("close", chunks) == (1,)
    assert named_by("x.close", chunks) == ()
    assert named_by("close", chunks[2:] + chunks[:1]) == (0, 3)
    assert named_by("frobnicate", chunks) == ()


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_name_can_be_looked_for(name: str, symbol: str, path: str) -> None:
    assert closeness(name, chunk(symbol, path)) in range(PARTLY + 1)


def test_what_a_question_can_be_about() -> None:
    chunks = [chunk("HTTPAdapter"), chunk("HTTPAdapter.send"), chunk("Session.send"), chunk("close")]
    assert meant_in("What does HTTPAdapter send?", chunks) == {"send": (1,)}
    assert meant_in("Where is `close` defined?", chunks) == {"close": (3,)}
    assert meant_in("Where is frob_nicate?", chunks) == {"frob_nicate": ()}
    assert meant_in("", chunks) == {}


@given(NAMES, st.sampled_from(AROUND))
def test_a_name_that_is_defined_is_meant_however_it_is_decorated(name: str, around: str) -> None:
    chunks = [chunk("other"), chunk(name.replace("::", ".").replace("->", ".").replace("#", "."))]
    assert meant_in(f"Where is {around.format(name)} defined?", chunks).get(name) == (1,)


def test_a_pasted_file_is_no_list_of_names() -> None:
    assert len(meant_in(" ".join(f"name_{number}" for number in range(5000)) + "x" * 100_000, [chunk("close")])) <= 200


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("parse_HTTPHeader2", ["parse", "http", "header", "2"]),
        ("__init__", ["init"]),
        ("größeÄndern", ["größeändern"]),
        ("GrößeNeu", ["größe", "neu"]),
    ],
)
def test_words_of_a_name(name: str, words: list[str]) -> None:
    assert words_of(name) == words


def test_occurrences_are_words() -> None:
    text = "close(closed, x.close, $close, close_all) Close close"
    assert [place.start() for place in occurrences("Session::close", text)] == [0, 16, 48]
    assert [place.start() for place in occurrences("$", "$ $x a$ ($)")] == [0, 9]


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("what does send do", {"send": (1, 2)}),
        ("where is the send method of HTTPAdapter", {"send": (1,)}),
        ("where is term_len called", {"term_len": (3,)}),
        ("what does the MultiSelect type do", {"MultiSelect": ()}),
        ("POST after a 302?", {"POST": (), "after": ()}),
        ("which decorator does `route` give", {"route": (5,)}),
    ],
)
def test_what_the_words_of_a_question_mean(question: str, meant: dict[str, tuple[int, ...]]) -> None:
    symbols = ["HTTPAdapter", "HTTPAdapter.send", "Session.send", "term_len", "route.decorator", "route"]
    found = meant_in(question, [chunk(symbol) for symbol in symbols])
    assert {name: found.get(name) for name in meant} == meant
    assert {"term_len", "HTTPAdapter", "MultiSelect"}.isdisjoint(found.keys() - meant.keys())


def test_of_a_name_with_its_module_the_whole_symbol_is_meant() -> None:
    chunks = [chunk("Session.get", "src/requests/sessions.py"), chunk("get", "src/requests/api.py")]
    assert named_by("requests.get", chunks) == (1,)
    assert named_by("requests.Session.get", chunks) == (0,)
    assert named_by("requests.get", chunks[:1]) == (0,)
