"""A plain Llama, small enough to read: 4 layers of 4 heads, 256 wide, embeddings tied, 4.7 million parameters.

One thing is not plain: of the 64 dimensions of a head only 16 turn with position, at eight chosen speeds, and 48 do not turn
at all. Copying needs heads that look for equal *content* wherever it stands; the turning ones are for "the token before".
GGUF can say this (`rope_freqs.weight` divides the standard speeds), so llama.cpp runs it as an ordinary Llama.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

TURNS = (2.2, 1.2, 0.65, 0.35, 0.15, 0.05, 0.015, 0.004)  # radians a token, one for each turning pair of dimensions
EPSILON = 1e-5
FORBIDDEN = -30_000.0  # as a score: never attended, and finite in bf16


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama: `head` is the width of one head, `hidden` that of the gated layer. The defaults are pocket's."""

    vocabulary: int
    width: int = 256
    layers: int = 4
    heads: int = 4
    head: int = 64
    hidden: int = 704


class Norm(nn.Module):
    """Root mean square over the last dimension, and a factor for each number."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), EPSILON)


class Block(nn.Module):
    """The weights of a layer: attention (q, k, v, o), then a gated layer (gate, up, down), a norm before either."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        inner = shape.heads * shape.head
        self.attn_norm, self.mlp_norm = Norm(shape.width), Norm(shape.width)
        self.q = nn.Linear(shape.width, inner, bias=False)
        self.k = nn.Linear(shape.width, inner, bias=False)
        self.v = nn.Linear(shape.width, inner, bias=False)
        self.o = nn.Linear(inner, shape.width, bias=False)
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)


class Llama(nn.Module):
    """Weights by the names that checkpoints have, and two ways to run them: plain text, and the training pass."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width)

    @property
    def layers(self) -> list[Block]:
        """The blocks, for the type checker: a ModuleList may hold anything."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of ordinary causal text (B, T), in float32: the reference that llama.cpp is compared with."""
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        table = rotations(positions, torch.float32)
        x = self.embed(ids)
        for block in self.layers:
            q, k, v = self.project(block, x, table)
            x = self.rest_of_block(block, x, functional.scaled_dot_product_attention(q, k, v, is_causal=True))
        return functional.linear(self.norm(x), self.embed.weight)

    def answers(self, batch: "Batch", dtype: torch.dtype = torch.bfloat16) -> Tensor:
        """Logits at the places that predict an answer token: the training pass."""
        table = rotations(batch.positions, dtype)
        x = self.embed(batch.ids).to(dtype)
        masks = Masks.of(batch, dtype)
        for block in self.layers:
            q, k, v = self.project(block, x, table)
            x = self.rest_of_block(block, x, structured_attention(q, k, v, batch, masks))
        x = x.reshape(-1, self.shape.width)[batch.predicting]
        return functional.linear(self.norm(x), self.embed.weight.to(dtype)).float()

    def project(self, block: Block, x: Tensor, table: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of x (B, T, width), each (B, heads, T, head); the first two turned."""
        h = block.attn_norm(x)
        q, k, v = (
            self.split_heads(functional.linear(h, part.weight.to(h.dtype))) for part in (block.q, block.k, block.v)
        )
        return rotate(q, table), rotate(k, table), v

    def split_heads(self, x: Tensor) -> Tensor:
        """(B, T, heads * head) -> (B, heads, T, head)."""
        return x.view(x.shape[0], x.shape[1], self.shape.heads, self.shape.head).transpose(1, 2)

    def rest_of_block(self, block: Block, x: Tensor, attended: Tensor) -> Tensor:
        """x (B, T, width) with what was attended (B, heads, T, head) and the gated layer added."""
        x = x + functional.linear(attended.transpose(1, 2).reshape(x.shape), block.o.weight.to(x.dtype))
        h = block.mlp_norm(x)
        gate, up = (functional.linear(h, part.weight.to(h.dtype)) for part in (block.gate, block.up))
        gated = functional.silu(gate) * up
        return x + functional.linear(gated, block.down.weight.to(h.dtype))


def rotations(positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines (B, 1, T, turning pairs) of positions (B, T)."""
    angles = positions[..., None].float() * torch.tensor(TURNS, device=positions.device)
    return angles.cos()[:, None].to(dtype), angles.sin()[:, None].to(dtype)


def rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Turn neighbouring pairs (0, 1), (2, 3), ...: the order ggml uses for Llama, so weights are exported as they are."""
    cos, sin = table
    turning = 2 * cos.shape[-1]
    even, odd = x[..., 0:turning:2], x[..., 1:turning:2]
    turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)
    return torch.cat([turned, x[..., turning:]], -1)


# --- the training pass: one context, many questions ---


@dataclass(frozen=True)
class Batch:
    """B contexts of C tokens, each followed by K rows of R tokens that cannot see one another.

        ids        [ context ....... | row 1 .. | row 2 .. | ... ]     (B, C + K*R)
        positions  [ 0 1 2 ...   c-1 | c c+1 .. | c c+1 .. | ... ]     every row continues its own context

    It computes what K separate prompts would, at the cost of one context: 3 to 5 times the answers for the time.
    `predicting` are the flat places whose next token is an answer token, `targets` those tokens.
    """

    ids: Tensor
    positions: Tensor
    hidden: Tensor  # (B, K, C) True where a row must not see the context: padding, or a question without chunks
    row_tokens: int
    predicting: Tensor
    targets: Tensor
    answer_starts: Tensor  # where in `targets` each answer begins

    @property
    def context_tokens(self) -> int:
        """C."""
        return self.hidden.shape[-1]

    @property
    def rows(self) -> int:
        """K."""
        return self.hidden.shape[1]


@dataclass(frozen=True)
class Masks:
    """What may not be attended, as FORBIDDEN to add to the scores, 0 elsewhere."""

    context: Tensor  # (C, C) causal
    own: Tensor  # (R, R) causal
    rows: Tensor  # (B, 1, K*R, C)

    @classmethod
    def of(cls, batch: Batch, dtype: torch.dtype) -> "Masks":
        """The masks of a batch; those of rows hide padding, and the whole context from questions without chunks."""

        def causal(size: int) -> Tensor:
            return torch.full((size, size), FORBIDDEN, device=batch.ids.device).triu(1).to(dtype)

        rows = torch.zeros(batch.hidden.shape, device=batch.ids.device).masked_fill(batch.hidden, FORBIDDEN)
        rows = rows[:, :, None].expand(-1, -1, batch.row_tokens, -1).flatten(1, 2)[:, None].to(dtype)
        return cls(causal(batch.context_tokens), causal(batch.row_tokens), rows)


def structured_attention(q: Tensor, k: Tensor, v: Tensor, batch: Batch, masks: Masks) -> Tensor:
    """q, k, v (B, heads, C + K*R, head) -> the same shape. Rows attend to the context and to themselves, never to other rows."""
    c, rows, size = batch.context_tokens, batch.rows, batch.row_tokens
    q = q * q.shape[-1] ** -0.5
    kc, vc = k[:, :, :c], v[:, :, :c]
    context = (q[:, :, :c] @ kc.transpose(-1, -2) + masks.context).softmax(-1) @ vc

    def by_row(x: Tensor) -> Tensor:
        return torch.unflatten(x[:, :, c:], 2, (rows, size))

    to_context = q[:, :, c:] @ kc.transpose(-1, -2) + masks.rows
    to_own = (by_row(q) @ by_row(k).transpose(-1, -2) + masks.own).flatten(2, 3)
    weights = torch.cat([to_context, to_own], -1).softmax(-1)
    from_own = (torch.unflatten(weights[..., c:], 2, (rows, size)) @ by_row(v)).flatten(2, 3)
    return torch.cat([context, weights[..., :c] @ vc + from_own], 2)
