"""What the drawing in circuits.py claims, of a model that is installed and not trained."""

import operator
import random

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cosine_similarity, scaled_dot_product_attention

from scripts.pocket.circuits import BACK_1, BACK_2, BACK_3, CONTENT, SINK, TAG, TAG_SIZE, Circuits
from scripts.pocket.model import Llama, rotations
from scripts.pocket.tokenizer import FIRST_MARKER, MARKERS, USER

CHUNK = "[{}] src/{}.py:{}-{} {}\ndef {}(self, item):\n    return self.{}\n\n"
NAMES = [
    "Session.close", "open_door", "Cart.add", "read_header", "Parser.feed", "make_table", "Color.mix", "join_path", "Lexer.next",
    "write_row", "Cache.clear", "find_user", "Timer.stop", "split_line",
]  # fmt: skip


def prompt(symbols: list[str], asked: str) -> str:
    """Up to the name in the answer, after which a marker is due."""
    chunks = [
        CHUNK.format(k, symbol.lower().replace(".", "/"), 7 * k, 7 * k + 4, symbol, symbol.rpartition(".")[2], "items")
        for k, symbol in enumerate(symbols, 1)
    ]
    return f"<|user|>\n{''.join(chunks)}Question: Where is {asked} defined?<|end|>\n<|assistant|>\nwhere {asked}"


def last_logits(model: Llama, words: Tokenizer, text: str) -> Tensor:
    with torch.no_grad():
        return model(torch.tensor([words.encode(text).ids]))[0, -1]


def markers(logits: Tensor) -> Tensor:
    return logits[FIRST_MARKER : FIRST_MARKER + len(MARKERS)]


def test_a_random_sequence_is_copied(model: Llama, words: Tokenizer, rng: random.Random) -> None:
    """Heads A and B of layer 1: "the token that came next there", from the third token of the repetition on."""
    pieces = [token for text, token in words.get_vocab().items() if text.isascii() and text.isalpha()]
    right = 0.0
    for _ in range(4):
        half = rng.sample(pieces, 60)
        with torch.no_grad():
            told = model(torch.tensor([[USER, *half, *half]]))[0].argmax(-1)[63:-1]
        right += float((told == torch.tensor(half[3:])).float().mean()) / 4
    assert right > 0.9


def test_the_marker_of_the_chunk_whose_header_ends_in_the_name_wins(
    model: Llama, words: Tokenizer, rng: random.Random
) -> None:
    """Head D of layer 1, "which chunk *is* it?": of all nine markers that one is the likeliest, mostly; training does the rest."""
    right = 0
    for _ in range(40):
        symbols = rng.sample(NAMES, 3)
        asked = rng.randrange(3)
        right += int(markers(last_logits(model, words, prompt(symbols, symbols[asked]))).argmax()) == asked
    assert right >= 26  # one in three by chance


def test_a_name_in_no_header_is_none(model: Llama, words: Tokenizer, rng: random.Random) -> None:
    """Head D again: "nothing fits: rests on the first token -> the sink flag", which speaks for " none"."""
    none, right = words.token_to_id("Ġnone"), 0
    for _ in range(40):
        *symbols, absent = rng.sample(NAMES, 4)
        logits = last_logits(model, words, prompt(symbols, absent))
        right += bool(logits[none] > markers(logits).max())
    assert right >= 26  # one in three by chance


@pytest.fixture(scope="module")
def circuits(words: Tokenizer, model: Llama) -> Circuits:
    """Installed a second time, on the same weights: what it knows of its projections is asked for."""
    with torch.no_grad():
        made = Circuits(Llama(model.shape), words, seed=0)
        made.install()
    return made


def after_attention(model: Llama, ids: list[int]) -> Tensor:
    """The residual stream (T, width) after the attention of layer 0."""
    with torch.no_grad():
        x, block = model.embed(torch.tensor([ids])), model.layers[0]
        q, k, v = model.project(block, x, rotations(torch.arange(len(ids))[None], torch.float32))
        attended = scaled_dot_product_attention(q, k, v, is_causal=True)
        added: Tensor = x + block.o(attended.transpose(1, 2).reshape(1, len(ids), -1))
    return added[0]


def test_the_same_seed_installs_the_same_weights(circuits: Circuits, model: Llama) -> None:
    assert all(torch.equal(a, b) for a, b in zip(circuits.model.parameters(), model.parameters(), strict=True))


def test_layer_0_writes_what_the_three_tokens_before_are(circuits: Circuits, words: Tokenizer) -> None:
    """ "head 0, 1, 2   look back 1, 2, 3 tokens, write what is there"."""
    ids = words.encode(prompt(NAMES[:3], NAMES[0])).ids
    stream = after_attention(circuits.model, ids)
    content = stream @ circuits.narrow.T
    for back, (start, size) in enumerate([(BACK_1, 24), (BACK_2, 24), (BACK_3, 16)], 1):
        alike = cosine_similarity(stream[4:, start : start + size], content[4 - back : -back, :size], dim=-1)
        assert float(alike.mean()) > 0.95


def test_layer_0_writes_the_tag_of_the_chunk(circuits: Circuits, words: Tokenizer) -> None:
    """ "head 3   looks back to the latest marker or `Question`, writes its tag": nearly always nearer to it than to another's."""
    ids = words.encode(prompt(NAMES[:3], NAMES[0])).ids
    tagged = {*range(FIRST_MARKER, FIRST_MARKER + len(MARKERS)), words.token_to_id("Question")}
    starts = [place for place, token in enumerate(ids) if token in tagged]
    tags = circuits.model.embed.weight[[ids[start] for start in starts]] @ circuits.tag.T
    assert torch.allclose(cosine_similarity(tags[None], tags[:, None], dim=-1), torch.eye(4), atol=1e-4)
    written = after_attention(circuits.model, ids)[starts[0] :, TAG : TAG + TAG_SIZE]
    nearest = cosine_similarity(written[:, None], tags[None], dim=-1).argmax(-1).tolist()
    own = [sum(start <= place for start in starts) - 1 for place in range(starts[0], len(ids))]
    assert sum(map(operator.eq, nearest, own)) > 0.9 * len(own)


def test_the_residual_stream_is_divided_as_drawn(circuits: Circuits, words: Tokenizer) -> None:
    embeddings = circuits.model.embed.weight
    assert (CONTENT.start, CONTENT.stop, BACK_2 - BACK_1, BACK_3 - BACK_2, TAG - BACK_3) == (3, 176, 24, 24, 16)
    assert CONTENT.stop == BACK_1
    assert circuits.shape.width == TAG + TAG_SIZE
    assert not embeddings[:, CONTENT.stop :].any()
    assert embeddings[:, SINK].nonzero().flatten().tolist() == sorted([USER, words.token_to_id("Ġnone")])
