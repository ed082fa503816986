"""`offline-agent search` as a person and as a program run it."""

import json
from pathlib import Path

import pytest

from offline_agent.cli import main
from offline_agent.cli.search import as_json, as_text
from offline_agent.cli.terminal import printable
from offline_agent.types import Chunk, Hit, Reason

CASES = Path(__file__).parent / "cases"

HIT = Hit(
    chunk=Chunk(
        path="shop/cart.py",
        start_line=4,
        end_line=9,
        symbol="Cart.add",
        kind="function",
        text="def add():\n\n    pass\n",
    ),
    score=1.3,
    found_by=("words", "symbol"),
    reasons=(
        Reason(rule="words", amount=0.75),
        Reason(rule="symbol", amount=1.0, detail="defines Cart.add"),
        Reason(rule="configuration", amount=-0.25, detail="data or a build script"),
        Reason(rule="repeated", amount=-0.2, detail="1 better of this file"),
    ),
)


def test_an_explanation_for_people() -> None:
    assert as_text(2, HIT, explain=True) + "\n" == (CASES / "search-explain.txt").read_text(encoding="utf-8")
    assert as_text(2, HIT) == "2. shop/cart.py:4-9 Cart.add  (words, symbol)\n     def add():\n         pass"


def test_an_explanation_for_programs() -> None:
    expected = json.loads((CASES / "search-explain.json").read_text(encoding="utf-8"))
    assert as_json(HIT, explain=True) == expected
    del expected["reasons"]
    assert as_json(HIT) == expected


def test_amounts_add_up_to_the_score(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "how is a cart's discount applied", "--explain", "--json", "--repo", str(repository)]) == 0
    hits = json.loads(capsys.readouterr().out)
    assert hits
    for hit in hits:
        assert sum(reason["amount"] for reason in hit["reasons"]) == pytest.approx(hit["score"], abs=1e-5)


def test_each_hit_says_why(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "apply_discount", "--explain", "--limit", "1", "--repo", str(repository)]) == 0
    header, *why = capsys.readouterr().out.splitlines()
    assert header.startswith("1. pricing.py:1-3 apply_discount  (words, ")
    assert any(line.split()[1:] == ["symbol", "defines", "apply_discount"] for line in why)


def test_without_explain_nothing_is_explained(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "apply_discount", "--repo", str(repository)]) == 0
    assert "defines" not in capsys.readouterr().out
    assert main(["search", "apply_discount", "--json", "--repo", str(repository)]) == 0
    assert all("reasons" not in hit for hit in json.loads(capsys.readouterr().out))


def test_a_file_cannot_write_to_the_terminal(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither by what is in it nor by its name, which reasons repeat."""
    evil = repository / "ca\x1b[31mrt\x9b2J.py"
    evil.write_text("def buy():\n    return '\x1b]0;owned\x07'\n\n\ndef buy_all():\n    return '\u202ebuy'\n")
    assert main(["search", "buy", "all", evil.name, "--explain", "--repo", str(repository)]) == 0
    shown = capsys.readouterr().out
    assert "ca[31mrt2J.py" in shown
    assert "owned" in shown
    assert printable(shown) == shown


def test_no_hits_are_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "anything", "--explain", "--repo", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "Nothing found.\n"
    assert main(["search", "anything", "--explain", "--json", "--repo", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_limit_of_nothing_is_a_mistake(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "x", "--limit", "0", "--repo", str(repository)]) == 2
    assert "--limit must be at least 1." in capsys.readouterr().err


@pytest.mark.parametrize("query", ["\udcff.py", "'", "\x1b[2J", "x" * 50_000, "a.py:" + "9" * 5000])
def test_any_query_is_answered(repository: Path, query: str) -> None:
    assert main(["search", query, "--explain", "--repo", str(repository)]) == 0
