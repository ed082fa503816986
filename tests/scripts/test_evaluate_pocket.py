"""What scripts/evaluate-pocket counts as right."""

from pathlib import Path

import pytest

from offline_agent.agent.answer import TEXTS
from scripts.evaluate.pocket_cases import Asked, describes, named, questions_about
from scripts.evaluate.pocket_judge import Given, judge
from scripts.pocket import extract
from scripts.pocket.chunks import Chunk

PLACE = ("a.py", 1, 2, "Cart.add")
ADD = (("a.py", "Cart.add"),)
CART = Chunk("a.py", 1, 2, "Cart.add", ("def add(self):",), "Put an item into the basket.", "method")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("def add(self):\n    pass\n", encoding="utf-8")
    (tmp_path / "b.py").write_text("cart.add()\nlonely\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("asked", "given", "right", "cited"),
    [
        (Asked("r", "where", "", "", "add", (), ADD), Given("`Cart.add` is defined at a.py:1-2.", (PLACE,), True), True, True),
        (Asked("r", "what", "", "", "add", (), ADD), Given("`Cart.add` is defined at a.py:1-2.", (PLACE,), True), False, True),
        (Asked("r", "where", "", "", "add", (), ADD), Given("I am not sure.", (PLACE,), False), False, False),
        (Asked("r", "none", "", "", "frob"), Given("I do not know `frob`: ...", (PLACE,), False), True, True),
        (Asked("r", "none", "", "", "frob"), Given("`Cart.add` is defined at a.py:1-2.", (PLACE,), True), False, False),
        (Asked("r", "uses", "", "", "add"), Given("`add` is used here, as far as ...", (("b.py", 1, 1, ""),), True), True, True),
        (Asked("r", "uses", "", "", "add"), Given("`add` is used here, as far as ...", (("b.py", 2, 2, ""),), True), False, False),
        (Asked("r", "uses", "", "", "add"), Given("Nothing that the search found uses `add`.", (PLACE,), True), False, False),
        (Asked("r", "grep", "", "", "", ("print(", "src")), Given("Done.", (), True, "grep", ("print\\(", "src")), True, True),
        (Asked("r", "grep", "", "", "", ("x", "src")), Given("Done.", (), True, "grep", ("x",)), False, True),
        (Asked("r", "grep", "", "", "", ("x",)), Given("Done.", (), True, "read", ("x",)), False, False),
        (Asked("r", "code", "", ""), Given(TEXTS["code"], (), True), True, True),
        (Asked("r", "code", "", ""), Given(TEXTS["other"], (), True), False, False),
    ],
)  # fmt: skip
def test_judgements(asked: Asked, given: Given, right: bool, cited: bool, root: Path) -> None:
    outcome = judge(asked, given, root)
    assert (outcome.right, outcome.cited, outcome.false) == (right, cited, 0)


def test_a_citation_of_what_is_not_there_is_counted(root: Path) -> None:
    asked = Asked("r", "where", "", "", "add", (), (("c.py", "add"),))
    places = (("c.py", 1, 1, "add"), ("a.py", 2, 3, ""), ("a.py", 1, 2, ""))
    assert judge(asked, Given("", places, True), root).false == 2


def test_a_description_says_three_things_of_what_it_describes() -> None:
    assert describes("which function puts an item into the basket", CART) is False
    assert describes("which function can put an item into the basket", CART)
    assert named("add", [CART]) == [CART]
    assert named("frob", [CART]) == []


def test_the_same_seed_asks_the_same() -> None:
    spans = list(extract.spans_of("json", extract.package_files()["json"]))
    first, again = (list(questions_about("json", spans, 30, seed=4)) for _ in range(2))
    assert first == again
    assert len(first) == 30
    assert {asked.kind for asked in first} > {"where", "none"}
