"""The outline of a repository."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.retrieval.map import render, repository_map
from offline_agent.retrieval.parsed import Parsed
from offline_agent.retrieval.place import Place
from offline_agent.retrieval.store import Store
from offline_agent.retrieval.tokens import WordCounter
from offline_agent.types import Chunk, Definition, FileState, Hit, MapEntry, RepositoryMap

COUNT = WordCounter().count


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = place.store()
    yield store
    store.close()


def add(store: Store, path: str, defines: Sequence[str] = (), uses: str = "", imports: Sequence[str] = ()) -> None:
    """A file with a definition a line: a capital makes it a class."""
    definitions = []
    for line, symbol in enumerate(defines, 1):
        name = symbol.rpartition(".")[2]
        kind, word = ("class", "class") if name[0].isupper() else ("function", "def")
        definitions.append(
            Definition.model_validate(
                {"path": path, "symbol": symbol, "kind": kind, "start_line": line, "end_line": line}
                | {"signature": f"{word} {name}():"}
            )
        )
    content = Parsed([], definitions, dict.fromkeys(uses.split(), 1), imports)
    store.replace_file(FileState(path=path, size=1, mtime_ns=1, sha256=path), content)


@pytest.fixture
def shop(store: Store) -> Store:
    add(store, "src/shop/cart.py", ["Cart", "Cart.add_item", "Cart.unused", "helper"], uses="apply_discount")
    add(store, "src/shop/pricing.py", ["apply_discount", "apply_discount.inner", "_private"])
    add(store, "src/shop/main.py", ["run_shop"], uses="Cart add_item apply_discount")
    add(store, "tests/test_cart.py", ["test_cart"], uses="Cart add_item run_shop")
    add(store, "README.md")
    return store


def test_what_the_rest_rests_on_is_shown_in_the_order_of_paths(shop: Store) -> None:
    outline = repository_map(shop, 39, COUNT)
    assert [entry.path for entry in outline.entries] == ["src/shop/cart.py", "src/shop/pricing.py"]
    assert [one.symbol for one in outline.entries[0].definitions] == ["Cart", "Cart.add_item"]
    assert outline.files == 5


def test_the_map_as_text(shop: Store) -> None:
    lines = render(repository_map(shop, 39, COUNT)).splitlines()
    assert [line.split() for line in lines] == [
        ["src/shop/cart.py"],
        ["class", "Cart()", "1"],
        ["def", "add_item()", "2"],
        ["src/shop/pricing.py"],
        ["def", "apply_discount()", "1"],
    ]
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 2, 4, 0, 2]


def test_it_keeps_within_its_budget(shop: Store) -> None:
    for budget in (0, 1, 9, 25, 60, 1000):
        outline = repository_map(shop, budget, COUNT)
        text = render(outline)
        assert sum(COUNT(text.splitlines())) + len(text.splitlines()) == outline.tokens <= budget


def test_what_a_function_keeps_to_itself_is_not_shown(shop: Store) -> None:
    assert "inner" not in render(repository_map(shop, 1000, COUNT))


def test_tests_come_last_but_what_they_use_is_public(store: Store) -> None:
    add(store, "a.py", ["used_by_tests"])
    add(store, "b.py", ["used_by_none"])
    add(store, "tests/test_a.py", ["test_it"], uses="used_by_tests")
    assert [entry.path for entry in repository_map(store, 12, COUNT).entries] == ["a.py"]
    ranks = {entry.path: entry.rank for entry in repository_map(store, 100, COUNT).entries}
    assert ranks["a.py"] > ranks["b.py"] > ranks["tests/test_a.py"]


def test_a_focus_brings_its_own_neighbours(store: Store) -> None:
    for part in ("one", "two"):
        add(store, f"{part}/base.py", [f"base_of_{part}"])
        add(store, f"{part}/user.py", [f"user_of_{part}"], uses=f"base_of_{part}")
    hit = Hit(chunk=Chunk(path="one/user.py", start_line=1, end_line=1, text="x"), score=1.0)
    for outline in (
        repository_map(store, 24, COUNT, focus=["two/user.py"]),
        repository_map(store, 24, COUNT, focus=["two"]),
    ):
        assert {entry.path.partition("/")[0] for entry in outline.entries} == {"two"}
    found = repository_map(store, 24, COUNT, hits=[hit])
    assert {entry.path.partition("/")[0] for entry in found.entries} == {"one"}


def test_a_repository_without_code_is_a_list_of_files(store: Store) -> None:
    add(store, "README.md")
    add(store, "guide/start.md")
    assert render(repository_map(store, 100, COUNT)) == "README.md\nguide/start.md"


def test_an_empty_repository_has_an_empty_map(store: Store) -> None:
    outline = repository_map(store, 100, COUNT)
    assert outline == RepositoryMap()
    assert render(outline) == ""


def test_the_same_repository_has_the_same_map(shop: Store) -> None:
    before = repository_map(shop, 1000, COUNT)
    add(shop, "src/shop/main.py", ["run_shop"], uses="Cart add_item apply_discount")
    assert repository_map(shop, 1000, COUNT) == before


@given(st.text(max_size=300), st.text(min_size=1, max_size=30))
def test_a_definition_is_one_line_of_bounded_length(signature: str, name: str) -> None:
    one = Definition(path="a", symbol=name, kind="function", start_line=7, end_line=8, signature=signature)
    text = render(RepositoryMap(entries=(MapEntry(path="a", rank=1.0, definitions=(one,)),)))
    assert len(text.split("\n")) == 2
    assert len(text) < 150
