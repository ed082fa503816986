"""The training pass computes what llama.cpp will: every row as if it were alone behind its context."""

import random
from collections.abc import Iterator

import numpy as np
import torch
from tokenizers import Tokenizer

from scripts.pocket import data
from scripts.pocket.chunks import SHORT
from scripts.pocket.data import Arrays, Codec, Writer
from scripts.pocket.extract import Span
from scripts.pocket.model import Llama
from scripts.pocket.train import Feed, Recipe, batch_of


def alone(arrays: Arrays, context: int) -> Iterator[tuple[list[int], int, int]]:
    """Each row with the context in front, if it sees that; and where its answer begins and ends."""
    ahead = arrays["context"][context, : arrays["context_length"][context]].tolist()
    for row, (asked, end), sees in zip(*(arrays[name][context] for name in ("rows", "spans", "sees")), strict=True):
        before = ahead if sees else []
        yield [*before, *row[:end].tolist()], len(before) + int(asked), len(before) + int(end)


def test_the_training_pass_gives_the_logits_of_ordinary_text(spans: list[Span], words: Tokenizer, tiny: Llama) -> None:
    arrays = data.pack(Writer(spans, spans, seed=1, held_out=False), Codec(words), 4, SHORT)
    assert set(arrays["sees"].flatten().tolist()) == {0, 1}
    batch = batch_of(arrays, np.arange(4), "cpu")
    expected, targets = [], []
    with torch.no_grad():
        for ids, begin, end in (each for context in range(4) for each in alone(arrays, context)):
            expected.append(tiny(torch.tensor([ids]))[0, begin - 1 : end - 1])
            targets += ids[begin:end]
        given = tiny.answers(batch, dtype=torch.float32)
    assert batch.targets.tolist() == targets
    assert torch.allclose(given, torch.cat(expected), atol=1e-4)


def test_a_resumed_run_takes_up_the_order_where_it_was(rng: random.Random) -> None:
    count = 150
    arrays = {
        "context_length": np.array([rng.randint(10, 200) for _ in range(count)]),
        "spans": np.array([[[5, rng.randint(6, 70)]] for _ in range(count)]),
    }
    whole, resumed = Feed(arrays, 4, seed=0).batches(0), Feed(arrays, 4, seed=0).batches(40)
    order = [next(whole).tolist() for _ in range(60)]
    assert order[40:] == [next(resumed).tolist() for _ in range(20)]
    assert len({each for batch in order[:32] for each in batch}) == 128  # an epoch: two groups of 64, nothing twice


def test_the_rate_rises_and_falls_and_the_stages_follow_each_other() -> None:
    recipe = Recipe()
    rates = [recipe.rate(done / 100) for done in range(101)]
    assert rates[0] == rates[-1] == 0.02
    assert max(rates) == 1
    assert [recipe.stage(done) for done in (0, 0.29, 0.31, 1)] == [0, 0, 1, 1]
