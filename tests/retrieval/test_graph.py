"""Who uses whom: from what files define, use and import."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.retrieval.graph import Edge, all_edges, edges, neighbour_scores, pagerank
from offline_agent.retrieval.modules import module, own, resolve
from offline_agent.retrieval.parsed import Parsed
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.store import Store
from offline_agent.types import Definition, FileState


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = place.store()
    yield store
    store.close()


def add(store: Store, path: str, defines: str = "", uses: str = "", imports: Sequence[str] = ()) -> None:
    """A file with the names that the words are."""
    definitions = [
        Definition(path=path, symbol=name, kind="function", start_line=n, end_line=n, signature=f"def {name}()")
        for n, name in enumerate(defines.split(), 1)
    ]
    content = Parsed([], definitions, dict.fromkeys(uses.split(), 1), imports)
    store.replace_file(FileState(path=path, size=1, mtime_ns=1, sha256=path), content)


def seen(store: Store, *paths: str) -> list[tuple[str, str, str]]:
    return [(edge.source, edge.target, edge.why) for edge in edges(store, paths)]


def test_a_name_joins_who_uses_it_to_who_defines_it(store: Store) -> None:
    add(store, "a.py", uses="session close")
    add(store, "b.py", defines="session close")
    joined = [("a.py", "b.py", "uses close, session")]
    assert seen(store, "a.py") == seen(store, "b.py") == joined
    assert [edge[:2] for edge in all_edges(store)] == [("a.py", "b.py")]


def test_what_changed_is_in_the_next_answer(store: Store) -> None:
    add(store, "a.py", uses="session")
    add(store, "b.py", defines="session")
    add(store, "a.py", uses="other")
    assert seen(store, "b.py") == []
    add(store, "a.py", uses="session")
    assert len(seen(store, "b.py")) == 1
    store.delete_file("b.py")
    assert seen(store, "a.py") == []


def test_names_that_nobody_knows_any_more_are_gone(store: Store) -> None:
    add(store, "a.py", defines="secret_one", uses="secret_two")
    store.delete_file("a.py")
    assert store.links.names(range(10)) == {}


def test_what_says_nothing_joins_nothing(store: Store) -> None:
    for number in range(5):
        add(store, f"common{number}.py", defines="common")
    add(store, "short.py", defines="ab")
    add(store, "own.py", defines="mine", uses="mine")
    add(store, "other.py", defines="mine")
    add(store, "names.go", defines="shared")
    add(store, "user.py", uses="common ab shared")
    assert seen(store, "user.py", "own.py") == []


def test_a_name_of_several_files_is_of_the_one_that_is_imported(store: Store) -> None:
    add(store, "pkg/one.py", defines="send")
    add(store, "pkg/two.py", defines="send")
    add(store, "user.py", uses="send", imports=["pkg/two", "pkg/two/send"])
    add(store, "guess.py", uses="send")
    assert [edge[1] for edge in seen(store, "user.py")] == ["pkg/two.py"]
    assert [edge[1] for edge in seen(store, "guess.py")] == ["pkg/one.py", "pkg/two.py"]


def test_an_import_alone_joins_too(store: Store) -> None:
    add(store, "src/shop/__init__.py")
    add(store, "src/shop/cart.py", imports=["shop", "typing"])
    add(store, "src/shop/typing.py")
    expected = [("src/shop/cart.py", "src/shop/__init__.py", "imports shop")]
    assert seen(store, "src/shop/cart.py") == seen(store, "src/shop/__init__.py") == expected
    assert [edge[:2] for edge in all_edges(store)] == [edge[:2] for edge in expected]


def test_the_rarer_name_weighs_more(store: Store) -> None:
    add(store, "rare.py", defines="rare")
    add(store, "usual.py", defines="usual")
    for number in range(9):
        add(store, f"user{number}.py", uses="usual rare" if number == 0 else "usual")
    weights = {edge.target: edge.weight for edge in edges(store, ["user0.py"])}
    assert weights["rare.py"] > 2 * weights["usual.py"]


def test_what_everybody_uses_is_not_a_way_to_everybody(store: Store) -> None:
    add(store, "base.py", defines="everywhere")
    for number in range(40):
        add(store, f"user{number}.py", uses="everywhere")
    assert seen(store, "base.py") == []
    assert len(seen(store, "user1.py")) == 1
    assert len(all_edges(store)) == 40


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("src/flask/app.py", "src/flask/app"),
        ("src/flask/json/__init__.py", "src/flask/json"),
        ("web/cart/index.test.ts", "web/cart"),
        ("src/index.py", "src/index"),
        ("internal/store/read.go", "internal/store"),
        ("src/lib.rs", "src"),
        ("setup.py", "setup"),
    ],
)
def test_what_a_file_is_imported_as(path: str, name: str) -> None:
    assert module(path) == name


def test_a_host_is_no_directory() -> None:
    assert own("github.com/owner/name/internal/store") == "internal/store"
    assert own("a/b") == "a/b"


def test_the_nearest_of_several_modules_is_meant() -> None:
    files = ["one/lib/util.py", "two/lib/util.py", "two/lib/util.ts", "two/lib/util.pyi"]
    assert resolve("lib/util", "two/app/main.py", files, set()) == ["two/lib/util.py", "two/lib/util.pyi"]
    assert resolve("lib/util", "main.py", ["lib/util.h", "lib/util.md"], set()) == []
    assert resolve("util", "x/main.py", ["pkg/util.py"], {"pkg"}) == []
    assert resolve("util", "x/main.c", ["x/util.h", "x/util.c"], set()) == ["x/util.c", "x/util.h"]


def test_a_step_goes_both_ways_and_says_why() -> None:
    found = [Edge("a", "b", 1.0, "uses send"), Edge("c", "a", 1.0, "uses close")]
    scores = neighbour_scores(found, {"a": 1.0})
    assert scores["b"].score == 2 * scores["c"].score
    assert (scores["b"].why, scores["c"].why) == ("a uses send", "uses close of a")
    assert "a" not in scores


def test_a_hub_gives_little_to_each() -> None:
    few = neighbour_scores([Edge("x", "hub", 1.0)], {"hub": 1.0})
    many = neighbour_scores([Edge(f"x{n}", "hub", 1.0) for n in range(20)], {"hub": 1.0})
    assert few["x"].score > 5 * many["x0"].score


def test_rank_flows_to_what_is_used() -> None:
    found = [Edge("a", "c", 1.0), Edge("b", "c", 1.0), Edge("c", "d", 1.0)]
    ranks = pagerank(found, {})
    assert sorted(ranks, key=lambda path: -ranks[path])[:2] == ["d", "c"]
    focused = pagerank(found, {"a": 1.0})
    assert focused["b"] == pytest.approx(0)
    assert pagerank([], {}) == {}


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef"), st.floats(0.01, 10)), max_size=20),
    st.dictionaries(st.sampled_from("abcdefg"), st.floats(0, 5)),
)
def test_ranks_are_shares(found: list[tuple[str, str, float]], personal: dict[str, float]) -> None:
    ranks = pagerank([Edge(*one) for one in found], personal)
    assert all(rank >= 0 for rank in ranks.values())
    assert not ranks or sum(ranks.values()) == pytest.approx(1)
