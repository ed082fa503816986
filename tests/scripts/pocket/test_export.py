"""Weights -> GGUF -> weights, and the same choices under llama.cpp."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from scripts.pocket import export, fidelity
from scripts.pocket.model import Llama

TEXTS = [
    "<|user|>\n[1] a/b.py:3-9 Session.close\ndef close(self):\n\nQuestion: Where is close?<|end|>\n",
    "x = 1 " * 20,
]


@pytest.fixture(scope="module")
def file(tiny: Llama, words: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("export") / "tiny.gguf"
    export.export(tiny, words, target)
    return target


def test_what_is_read_is_what_was_written(file: Path, tiny: Llama, words: Tokenizer) -> None:
    again, tokenizer = export.read(file)
    assert again.shape == tiny.shape
    assert tokenizer.get_vocab() == words.get_vocab()
    for name, weight in export.named_tensors(tiny).items():
        stored = weight.half().float() if weight.ndim == 2 else weight
        assert torch.equal(export.named_tensors(again)[name], stored), name


def test_llama_cpp_chooses_the_same_tokens(file: Path) -> None:
    """The turns of positions included, which are not those of an ordinary Llama."""
    ours, tokenizer = export.read(file)
    same, total = fidelity.agreement(file, ours, tokenizer, TEXTS)
    assert total == sum(len(tokenizer.encode(text).ids) for text in TEXTS)
    assert same == total


def test_a_half_written_file_is_never_the_model(file: Path) -> None:
    assert [path.name for path in file.parent.iterdir()] == ["tiny.gguf"]
