r"""Copying and citing, written into the first weights by hand.

A network that starts from noise spends most of an hour on discovering that a name can be copied. Here it starts out
knowing, and training refines it. The 256 numbers of the residual stream are divided up:

    0          1        2        3 ........ 175  176 .. 199  200 .. 223  224 .. 239  240 .. 255
    constant   sink     marker   what the token  token t-1   token t-2   token t-3   tag of the
               flag     flag     is (content)    (copy)      (copy)      (copy)      chunk I am in

Layer 0 fills the right half. A constant in every token gives attention the biases that Llama has not, and with them a head
can be aimed at an exact distance: a sum of cosines at eight speeds has its peak there.

    head 0, 1, 2   look back 1, 2, 3 tokens, write what is there, in 24, 24 and 16 numbers
    head 3         looks back to the latest "[k] ", or "Question", writes its tag: 16 numbers, orthogonal between chunks

The tag is nearly pure, not quite. What a marker scores depends a little on its token, so that the first tokens of a chunk can
have a mixture of its tag and the one before; and as the slow cosines turn on, a chunk must not be longer than 130 tokens.

Layer 1 compares. With "... A B C" so far, each head looks for another place with the same last tokens:

    prompt   [2] src/shop.py:4-9 Cart.add\ndef add(self, item): ...\n\nQuestion: where is Cart.add defined? ... Cart.add
                                         ^                                                         ^                   ^
                                 tag 2, newline                                            next: " defined"           now

    head 0, A   same last 3 tokens anywhere           -> the token that came next there   (copying)
    head 1, B   same last 2 tokens, same tag          -> the token that came next there   (copying from the question)
    head 2, C   same 2 tokens elsewhere, another tag  -> that tag                         (which chunks speak of it?)
    head 3, D   same last 2 tokens, then a newline:
                the end of a chunk's header           -> that tag, as the marker "[k] "   (which chunk *is* it?)
                nothing fits: rests on the first token -> the sink flag, as " none"       (none is)

After this alone a random sequence is copied at 19 places of 20; behind a name the right marker beats the eight others in four
cases of five. Copying is louder: what is written next would be " defined".

Everything else starts at zero output, so that nothing disturbs this, and learns the rest: where in the question the name
is, what was asked, and which chunk a description fits.
"""

import math

import torch
from tokenizers import Tokenizer
from torch import Tensor

from .model import TURNS, Block, Llama
from .tokenizer import FIRST_MARKER, MARKERS, NEWLINE, USER

CONSTANT, SINK, MARKER = 0, 1, 2
CONTENT = slice(3, 176)
BACK_1, BACK_2, BACK_3, TAG = 176, 200, 224, 240
TAG_SIZE = 16
SCALE = 0.2  # size of one embedding number
STRONG = 4 * SCALE  # size of a flag
TURNING = 2 * len(TURNS)  # a head's turning dimensions come first, those for content after


def install(model: Llama, tokenizer: Tokenizer, seed: int = 0) -> None:
    """Overwrite every weight of `model` with the starting point described above."""
    with torch.no_grad():
        Circuits(model, tokenizer, seed).install()


def related_embeddings(tokenizer: Tokenizer, width: int, generator: torch.Generator) -> Tensor:
    """Random embeddings in which ` name` lies near `name`, and `Name` not far from it."""
    vocabulary = tokenizer.get_vocab()
    weights = torch.randn(len(vocabulary), width, generator=generator) * SCALE
    spaced = torch.randn(width, generator=generator) * SCALE / 2
    for token, i in sorted(vocabulary.items(), key=lambda item: (len(item[0]), item[1])):
        if len(token) > 1 and token.isalpha() and token[0].isupper() and token.lower() in vocabulary:
            weights[i] = 0.75 * weights[vocabulary[token.lower()]] + 0.66 * weights[i]
    for token, i in vocabulary.items():
        if len(token) > 1 and token[0] == "Ġ" and token[1] != "Ġ" and token[1:] in vocabulary:
            weights[i] = 0.9 * weights[vocabulary[token[1:]]] + 0.25 * weights[i] + spaced
    return weights


class Circuits:
    """Writes the starting point into a model, a circuit a method. All randomness comes from `seed`."""

    def __init__(self, model: Llama, tokenizer: Tokenizer, seed: int) -> None:
        self.model, self.shape = model, model.shape
        self.generator = torch.Generator().manual_seed(seed)
        self.tokenizer = tokenizer
        self.narrow = self.projection(24)  # content -> 24 numbers that still tell tokens apart
        self.tag = self.projection(TAG_SIZE)

    def install(self) -> None:
        """Everything random or silent first, then the circuits on top of it."""
        self.ordinary_weights()
        self.embeddings()
        first, second = self.model.layers[:2]
        for head, (distance, target, size) in enumerate([(1, BACK_1, 24), (2, BACK_2, 24), (3, BACK_3, 16)]):
            self.look_back(first, head, distance, target, size)
        self.chunk_tag(first, 3)
        self.copying(second)
        self.citing(second)

    def random(self, *size: int) -> Tensor:
        """Normal numbers from the seed."""
        return torch.randn(*size, generator=self.generator)

    def projection(self, size: int) -> Tensor:
        """`size` orthonormal directions within the content dimensions."""
        basis, _ = torch.linalg.qr(self.random(CONTENT.stop - CONTENT.start, size))
        rows = torch.zeros(size, self.shape.width)
        rows[:, CONTENT] = basis.T
        return rows

    def ordinary_weights(self) -> None:
        """Random readers, silent writers: a block adds nothing until training lets it."""
        self.model.norm.weight.fill_(0.2)  # tied logits start at a sane size
        for block in self.model.layers:
            for part in (block.q, block.k, block.v, block.gate, block.up):
                part.weight.copy_(self.random(*part.weight.shape) * 0.7 / math.sqrt(self.shape.width))
            block.o.weight.zero_()
            block.down.weight.zero_()

    def embeddings(self) -> None:
        """Tokens: content at random, related words alike; flags; and in the content of markers and `Question` their tag."""
        weights = self.model.embed.weight
        weights.copy_(related_embeddings(self.tokenizer, self.shape.width, self.generator))
        weights[:, CONTENT.stop :] = 0
        weights[:, CONSTANT], weights[:, SINK], weights[:, MARKER] = STRONG, 0, 0
        weights[USER, SINK] = STRONG
        weights[self.tokenizer.token_to_id("Ġnone"), SINK] = STRONG / 2  # tied: the sink flag speaks for " none"
        tags, _ = torch.linalg.qr(self.random(TAG_SIZE, TAG_SIZE))
        question = self.tokenizer.token_to_id("Question")  # the question is tagged like a chunk
        for i, token in enumerate([*range(FIRST_MARKER, FIRST_MARKER + len(MARKERS)), question]):
            content = weights[token, CONTENT]
            content -= (self.tag[:, CONTENT] @ content) @ self.tag[:, CONTENT]  # first, or keys would differ in size
            content *= SCALE * math.sqrt(len(content)) / content.norm()
            weights[token, MARKER] = STRONG
            weights[token] += tags[i] * STRONG @ self.tag
        normed = weights / weights.pow(2).mean(1, keepdim=True).sqrt()
        self.constant = float(normed[:, CONSTANT].mean())  # what the constant is after the norm

    def rows(self, head: int) -> slice:
        """The rows of q, k and v, and the columns of o, that belong to a head."""
        return slice(head * self.shape.head, (head + 1) * self.shape.head)

    def clear(self, block: Block, head: int, values: bool = True) -> None:
        """A head that attends everywhere alike and writes nothing; with `values` False it still reads at random."""
        rows = self.rows(head)
        block.q.weight[rows] = 0
        block.k.weight[rows] = 0
        if values:
            block.v.weight[rows] = 0
        block.o.weight[:, rows] = 0

    def aim(self, block: Block, head: int, distance: int, strengths: list[float]) -> None:
        """A score of sum(strength * cos(turn * (how far back - distance))), whatever the tokens are."""
        for i, (turn, strength) in enumerate(zip(TURNS, strengths, strict=True)):
            size = math.sqrt(strength * math.sqrt(self.shape.head)) / self.constant
            row = head * self.shape.head + 2 * i
            block.q.weight[row, CONSTANT] = size
            block.k.weight[row, CONSTANT] = size * math.cos(turn * distance)
            block.k.weight[row + 1, CONSTANT] = size * math.sin(turn * distance)

    def look_back(self, block: Block, head: int, distance: int, target: int, size: int) -> None:
        """A head that writes the narrowed content of the token `distance` back into `size` numbers from `target` on."""
        self.clear(block, head, values=False)
        self.aim(block, head, distance, [4.0] * len(TURNS))
        start = head * self.shape.head
        block.v.weight[start : start + 24] = self.narrow
        for i in range(size):
            block.o.weight[target + i, start + i] = SCALE

    def chunk_tag(self, block: Block, head: int) -> None:
        """Markers score 80 whatever their distance; the slowest cosines make the latest one win."""
        self.clear(block, head, values=False)
        self.aim(block, head, 0, [0, 0, 0, 0, 0, 0, 16.0, 24.0])
        start = head * self.shape.head
        size = math.sqrt(80 * math.sqrt(self.shape.head)) / self.constant
        block.q.weight[start + TURNING, CONSTANT] = size
        block.k.weight[start + TURNING, MARKER] = size
        block.v.weight[start : start + TAG_SIZE] = self.tag
        for i in range(TAG_SIZE):
            block.o.weight[TAG + i, start + i] = SCALE

    def match(self, block: Block, head: int, pairs: list[tuple[int, int, int, float]]) -> int:
        """Compare (mine, theirs) in `size` dimensions; equal adds `score`. Returns the first unused row. 0 means content."""
        self.clear(block, head)
        row = head * self.shape.head + TURNING
        for mine, theirs, size, score in pairs:
            strength = math.sqrt(abs(score) * math.sqrt(self.shape.head) / size)
            for i in range(size):
                block.q.weight[row + i] = self.reader(mine, i) * strength
                block.k.weight[row + i] = self.reader(theirs, i) * math.copysign(strength, score)
            row += size
        assert row <= (head + 1) * self.shape.head
        return row

    def reader(self, source: int, i: int) -> Tensor:
        """The direction that reads number `i` of a source: a residual dimension, or the narrowed content for 0."""
        return self.narrow[i] if source == 0 else torch.eye(self.shape.width)[source + i]

    def copying(self, block: Block) -> None:
        """Heads A and B of layer 1. A whole match scores 22 (9 + 7 + 6, 10 + 4 + 8): one outweighs 400 that lack the last 6."""
        self.match(block, 0, [(0, BACK_1, 16, 9.0), (BACK_1, BACK_2, 16, 7.0), (BACK_2, BACK_3, 16, 6.0)])
        self.match(block, 1, [(0, BACK_1, 24, 10.0), (BACK_1, BACK_2, 8, 4.0), (TAG, TAG, 16, 8.0)])
        carried = self.projection(2 * self.shape.head)  # the two heads carry half of the content each
        for head in (0, 1):
            half = carried[self.rows(head)]
            block.v.weight[self.rows(head)] = half
            block.o.weight[:, self.rows(head)] = half.T * SCALE * 3

    def citing(self, block: Block) -> None:
        """Heads C and D of layer 1.

        To D the first token scores 15.5: well below the end of a header that matches (10 + 6 + 8), above half a match.
        """
        self.match(block, 2, [(0, 0, 16, 10.0), (BACK_1, BACK_1, 16, 8.0), (TAG, TAG, 16, -14.0)])
        self.hand_over_tag(block, 2, strength=2.0)
        row = self.match(block, 3, [(0, BACK_1, 24, 10.0), (BACK_1, BACK_2, 16, 6.0)])
        self.prefer(block, row, self.direction(NEWLINE), score=8.0)
        self.prefer(block, row + 1, torch.eye(self.shape.width)[SINK], score=15.5, size=self.constant)
        self.hand_over_tag(block, 3, strength=3.0)
        spare = 3 * self.shape.head + TAG_SIZE
        block.v.weight[spare, SINK] = 1.0
        block.o.weight[SINK, spare] = SCALE

    def direction(self, token: str) -> Tensor:
        """The unit vector of a token's content."""
        vector = torch.zeros(self.shape.width)
        vector[CONTENT] = self.model.embed.weight[self.tokenizer.token_to_id(token), CONTENT]
        return vector.div(vector.norm())

    def prefer(self, block: Block, row: int, direction: Tensor, score: float, size: float = 12.5) -> None:
        """Add `score` to keys that have `size` in `direction` (a token's own content measures about 12.5 here)."""
        block.q.weight[row, CONSTANT] = math.sqrt(self.shape.head) * score / (size * 0.8 * self.constant)
        block.k.weight[row] = direction

    def hand_over_tag(self, block: Block, head: int, strength: float) -> None:
        """Read the tag where the head looks, write it where it raises the logit of that chunk's marker."""
        start = head * self.shape.head
        for i in range(TAG_SIZE):
            block.v.weight[start + i, TAG + i] = 1.0
        block.o.weight[:, start : start + TAG_SIZE] = self.tag.T * SCALE * strength
