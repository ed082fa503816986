"""A name is the same tokens wherever it stands, every text comes back, and llama.cpp splits as training did."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_cpp import Llama as LlamaCpp
from tokenizers import Tokenizer

from scripts.pocket import export, fidelity
from scripts.pocket.tokenizer import CONTROL, FIRST_MARKER, MARKERS, NEWLINE, SPACE, WHOLE_WORDS

SHIPPED = Path(__file__).parents[3] / "models" / "pocket.gguf"
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,24}", fullmatch=True)
TEXTS = st.text(st.characters(min_codepoint=9, exclude_categories=["Cs"]), max_size=60)
PLAIN = st.text(st.sampled_from("ab Zz_09.,:;()[]{}'\"`#/\\\t\n\r-=*+<>|&%$@!?~^é日本🙂ßñ"), max_size=60)


@given(NAMES)
def test_a_name_splits_the_same_wherever_it_stands(words: Tokenizer, name: str) -> None:
    pieces = words.encode(name).tokens
    for before in (".", "(", "[", "`"):
        assert words.encode(before + name).tokens[1:] == pieces
    spaced = [piece.removeprefix(SPACE) for piece in words.encode(f" {name}").tokens]
    assert [piece for piece in spaced if piece] == pieces


@given(TEXTS)
def test_every_text_comes_back(words: Tokenizer, text: str) -> None:
    assert words.decode(words.encode(text).ids, skip_special_tokens=False) == text


def test_what_a_record_is_made_of_is_one_token_each(words: Tokenizer) -> None:
    assert {len(words.encode(text).ids) for text in [*WHOLE_WORDS, *CONTROL, *MARKERS]} == {1}
    assert words.encode("where close[2] ").tokens[-1] == "[2] "
    assert words.encode("[1] [9] ").ids == [FIRST_MARKER, FIRST_MARKER + 8]


def test_digits_are_single_and_an_indent_is_one_token(words: Tokenizer) -> None:
    assert words.encode("1234").tokens == list("1234")
    assert words.encode("\n    x").tokens == [NEWLINE + 3 * SPACE, f"{SPACE}x"]


@pytest.fixture(scope="module")
def shipped() -> tuple[LlamaCpp, Tokenizer]:
    return LlamaCpp(str(SHIPPED), vocab_only=True, verbose=False), export.read(SHIPPED)[1]


@given(PLAIN)
def test_llama_cpp_splits_the_shipped_model_as_training_did(shipped: tuple[LlamaCpp, Tokenizer], text: str) -> None:
    assert fidelity.tokenizer_differences(*shipped, [text]) == 0


def test_llama_cpp_splits_odd_texts_as_training_did(shipped: tuple[LlamaCpp, Tokenizer]) -> None:
    assert fidelity.tokenizer_differences(*shipped, [*fidelity.ODD_TEXTS, *CONTROL, *MARKERS]) == 0
