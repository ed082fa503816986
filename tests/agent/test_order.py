from hypothesis import given
from hypothesis import strategies as st

from offline_agent.agent.order import by_description
from offline_agent.types import Chunk, Hit


def hit(symbol: str, summary: str = "", start: int = 1) -> Hit:
    text = f'def f():\n    """{summary}"""\n'
    return Hit(chunk=Chunk(path="a.py", start_line=start, end_line=start + 1, symbol=symbol, text=text), score=1.0)


OTHER, FITS = hit("load", "Read the file."), hit("Cart.total", "Sum up the prices of all items.")


def test_what_is_described_in_its_own_words_moves_up() -> None:
    assert by_description("which function sums up the prices of items", [OTHER, FITS]) == [FITS, OTHER]
    assert by_description("where is the total of the cart", [OTHER, FITS]) == [FITS, OTHER]


def test_a_word_in_common_is_not_enough_against_the_search() -> None:
    assert by_description("who reads prices out of a downloaded spreadsheet", [OTHER, FITS]) == [OTHER, FITS]
    assert by_description("where is it?", [OTHER, FITS]) == [OTHER, FITS]


@given(st.text(max_size=80), st.lists(st.text(max_size=20), max_size=6))
def test_nothing_is_lost(question: str, summaries: list[str]) -> None:
    hits = [hit("f", summary, start) for start, summary in enumerate(summaries, 1)]
    ordered = by_description(question, hits)
    assert sorted(each.chunk.start_line for each in ordered) == [each.chunk.start_line for each in hits]
