"""Counting must agree with the tokenizer it stands for: a chunk that is one token too long is cut in silence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from offline_agent.llm.catalogue import load_catalogue
from offline_agent.retrieval.embed import directory_of
from offline_agent.retrieval.tokens import WordPieceCounter
from offline_agent.settings import EmbedderSettings, find_declarations

CARD = load_catalogue(find_declarations() / "models").embedder("all-MiniLM-L6-v2")
DIRECTORY = directory_of(CARD, EmbedderSettings())
COUNTER = WordPieceCounter(DIRECTORY, CARD.max_tokens)
REAL = Tokenizer.from_str((DIRECTORY / "tokenizer.json").read_text(encoding="utf-8"))
REAL.no_truncation()
REAL.no_padding()


def really(line: str) -> int:
    return len(REAL.encode(line, add_special_tokens=False))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "    def get_auth_from_url(url: str | None = None, *args, **kwargs) -> tuple[str, str]:",
        "x=1;y='é';z=\"日本\"  # ünïcödé",
        "A" * 300 + " 0xDEADBEEF 1_000_000 \t\x0c\x1b[31m $HOME ~/.ssh ^|`",
    ],
)
def test_lines_cost_what_the_tokenizer_makes_of_them(line: str) -> None:
    assert COUNTER.count([line, line]) == [really(line)] * 2


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=127, exclude_characters="[]")))
def test_any_ascii_line_is_counted_exactly(line: str) -> None:
    assert COUNTER.count([line]) == [really(line)]


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_no_line_is_counted_short(line: str) -> None:
    assert COUNTER.count([line])[0] >= really(line)
