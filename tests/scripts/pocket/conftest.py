"""The definitions of one small package, and a tokenizer made from them: enough to run every stage but the training."""

import random
import sysconfig
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from scripts.pocket import circuits, extract, phrases, tokenizer
from scripts.pocket.extract import Span
from scripts.pocket.model import Llama, Shape


@pytest.fixture(scope="session")
def spans() -> list[Span]:
    root = Path(sysconfig.get_path("stdlib"))
    return list(extract.spans_of("json", [(root, path) for path in sorted((root / "json").rglob("*.py"))]))


@pytest.fixture(scope="session")
def words(spans: list[Span]) -> Tokenizer:
    """Its tokens are those of these spans; but `none`, `Question` and the like are one each, as circuits need."""
    texts = ["\n".join(span.lines) for span in spans]
    return tokenizer.build(texts * 3 + phrases.all_words() + tokenizer.WHOLE_WORDS * 2000)


@pytest.fixture(scope="session")
def model(words: Tokenizer) -> Llama:
    """As training begins with it."""
    model = Llama(Shape(vocabulary=words.get_vocab_size()))
    circuits.install(model, words)
    return model.eval()


@pytest.fixture(scope="session")
def tiny(words: Tokenizer) -> Llama:
    """Of the same kind, and random."""
    torch.manual_seed(5)
    return Llama(Shape(vocabulary=words.get_vocab_size(), width=64, layers=2, heads=2, head=32, hidden=96)).eval()


@pytest.fixture
def rng() -> random.Random:
    return random.Random(7)
