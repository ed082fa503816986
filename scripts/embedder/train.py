"""From pairs to vectors: a question must be nearer to its own code than to everything else in the batch.

Most batches come from one repository, as every search does: what tells repositories apart would be learnt first and is of no use.
The loss is InfoNCE with in-batch negatives, in both directions (van den Oord et al. 2018; Radford et al. 2021).
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from offline_agent.retrieval.static import WordPieces

from .pairs import Pair, nameless

_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    steps: int = 1_500
    batch: int = 768
    rate: float = 1e-3  # three times as much fits these pairs better, and others worse
    warm_up: float = 0.03  # share of the steps
    pull: float = 0.016  # towards the first vectors, a share of the way at full rate, every
    pull_steps: int = 8
    one_group: float = 0.75  # of the batches
    commits: float = 0.5  # of the batches are about commits, the others about docstrings
    nameless: float = 0.3  # of the code is without its own name: a description has to be enough
    query_kept: float = 0.9  # of the pieces, by chance
    code_kept: float = 0.8
    query_pieces: int = 160
    code_pieces: int = 320
    temperature: float = 0.06
    back: float = 0.5  # weight of finding the question for the code
    seed: int = 0

    def factor(self, done: float) -> float:
        """On the learning rate when a share `done` of the steps is done."""
        return min(1.0, done / self.warm_up + 0.01) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@dataclass(frozen=True)
class Bags:
    """Texts as rows of the table, one after the other; text n is flat[starts[n]:starts[n + 1]]."""

    flat: _Ints
    starts: _Ints

    @classmethod
    def of(cls, pieces: WordPieces, texts: Sequence[str], longest: int) -> "Bags":
        rows = [
            some[:longest] for start in range(0, len(texts), 1000) for some in pieces.rows(texts[start : start + 1000])
        ]
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(some) for some in rows], out=starts[1:])
        return cls(np.fromiter((row for some in rows for row in some), dtype=np.int64, count=int(starts[-1])), starts)

    def take(self, texts: _Ints, kept: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Rows and offsets for an EmbeddingBag, with some of the rows left out by chance."""
        lengths = self.starts[texts + 1] - self.starts[texts]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + np.repeat(self.starts[texts], lengths)
        stays = rng.random(len(places)) < kept
        owners = np.repeat(np.arange(len(texts)), lengths)[stays]
        starts = np.searchsorted(owners, np.arange(len(texts)))
        return torch.from_numpy(self.flat[places[stays]]), torch.from_numpy(starts)


class Data:
    """Pairs as numbers: for each one where its questions and codes are, and for batches who belongs where."""

    def __init__(self, pairs: Sequence[Pair], vocabulary: dict[str, int], recipe: Recipe) -> None:
        pieces = WordPieces(vocabulary)
        self.queries = Bags.of(pieces, [text for pair in pairs for text in pair.queries], recipe.query_pieces)
        self.codes = Bags.of(pieces, [text for pair in pairs for text in pair.codes], recipe.code_pieces)
        bare = [nameless(code, name) for pair in pairs for code, name in zip(pair.codes, pair.names, strict=True)]
        self.bare = Bags.of(pieces, bare, recipe.code_pieces)
        self.first_query = np.concatenate([[0], np.cumsum([len(pair.queries) for pair in pairs])])
        self.first_code = np.concatenate([[0], np.cumsum([len(pair.codes) for pair in pairs])])
        numbers: dict[str, int] = {}
        self.code_ids = np.array([numbers.setdefault(code, len(numbers)) for pair in pairs for code in pair.codes])
        paths: dict[str, int] = {}
        self.path_ids = np.array(
            [paths.setdefault(f"{pair.group}/{path}", len(paths)) for pair in pairs for path in pair.paths]
        )
        self.is_commit = np.array([pair.kind == "commit" for pair in pairs])
        self.members: dict[tuple[str, str], _Ints] = {}
        for kind in ("commit", "docstring"):
            for group in dict.fromkeys(pair.group for pair in pairs):
                own = [n for n, pair in enumerate(pairs) if pair.group == group and pair.kind == kind]
                if own:
                    self.members[kind, group] = np.array(own)

    def counts(self, size: int) -> _Ints:
        """How often each row occurs, questions and code alike."""
        return np.bincount(self.queries.flat, minlength=size) + np.bincount(self.codes.flat, minlength=size)


class Batches:
    """Draws pairs by chance, seeded."""

    def __init__(self, data: Data, recipe: Recipe) -> None:
        self.data, self.recipe = data, recipe
        self.rng = np.random.default_rng(recipe.seed)
        self.groups = {kind: [key for key in data.members if key[0] == kind] for kind in ("commit", "docstring")}
        self.chances = {}
        for kind, keys in self.groups.items():
            sizes = np.array([len(data.members[key]) for key in keys], dtype=np.float64) ** 0.7
            self.chances[kind] = sizes / sizes.sum() if len(sizes) else sizes

    def draw(self) -> _Ints:
        """Numbers of pairs: of one repository, filled up with a second where it is small, or of all."""
        recipe, rng = self.recipe, self.rng
        kind = "commit" if self.groups["commit"] and rng.random() < recipe.commits else "docstring"
        keys = self.groups[kind]
        if rng.random() >= recipe.one_group:
            every = np.concatenate([self.data.members[key] for key in keys])
            return rng.choice(every, min(recipe.batch, len(every)), replace=False)
        chosen: list[_Ints] = []
        for place in rng.choice(len(keys), len(keys), replace=False, p=self.chances[kind]):
            own = self.data.members[keys[place]]
            room = recipe.batch - sum(map(len, chosen))
            chosen.append(rng.choice(own, min(room, len(own)), replace=False))
            if room <= len(own):
                break
        return np.concatenate(chosen)

    def texts(self, pairs: _Ints) -> tuple[_Ints, _Ints]:
        """One question and one code of each pair; the first code, where most was changed, as often as all others together."""
        data, rng = self.data, self.rng
        queries = data.first_query[pairs] + rng.integers(data.first_query[pairs + 1] - data.first_query[pairs])
        spread = rng.integers(data.first_code[pairs + 1] - data.first_code[pairs])
        return queries, data.first_code[pairs] + np.where(rng.random(len(pairs)) < 0.5, 0, spread)


def train(data: Data, table: NDArray[np.float32], recipe: Recipe, report: int = 100) -> NDArray[np.float32]:
    """The table after so many steps."""
    torch.manual_seed(recipe.seed)
    weights = torch.nn.Parameter(torch.from_numpy(table.copy()))
    first = weights.detach().clone()
    scale = torch.nn.Parameter(torch.tensor(math.log(1 / recipe.temperature)))
    optimiser = torch.optim.Adam(
        [{"params": [weights]}, {"params": [scale]}], lr=recipe.rate, betas=(0.9, 0.98), fused=True
    )
    batches = Batches(data, recipe)
    started, average = time.monotonic(), 0.0
    for step in range(recipe.steps):
        done = step / recipe.steps
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * recipe.factor(done)
        loss = _loss(data, batches, weights, scale, recipe)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            if step % recipe.pull_steps == 0:
                weights.lerp_(first, recipe.pull * recipe.factor(done))
            scale.clamp_(max=math.log(50))
        average = loss.item() if step == 0 else 0.98 * average + 0.02 * loss.item()
        if step % report == report - 1:
            print(
                f"  step {step + 1} of {recipe.steps}, {time.monotonic() - started:.0f} s: "
                f"loss {average:.3f}, temperature {math.exp(-scale.item()):.3f}",
                flush=True,
            )
    result: NDArray[np.float32] = weights.detach().numpy()
    return result


def _loss(data: Data, batches: Batches, weights: Tensor, scale: Tensor, recipe: Recipe) -> Tensor:
    pairs = batches.draw()
    queries, codes = batches.texts(pairs)
    bare = batches.rng.random() < recipe.nameless
    asked = _embed(weights, *data.queries.take(queries, recipe.query_kept, batches.rng))
    answers = _embed(weights, *(data.bare if bare else data.codes).take(codes, recipe.code_kept, batches.rng))
    logits = scale.exp() * asked @ answers.T
    logits = logits.masked_fill(torch.from_numpy(_also_right(data, pairs, codes)), -1e4)
    target = torch.arange(len(pairs))
    forward = functional.cross_entropy(logits, target)
    return (forward + recipe.back * functional.cross_entropy(logits.T, target)) / (1 + recipe.back)


def _embed(weights: Tensor, rows: Tensor, starts: Tensor) -> Tensor:
    return functional.normalize(functional.embedding_bag(rows, weights, starts, mode="sum"), dim=-1, eps=1e-6)


def _also_right(data: Data, pairs: _Ints, codes: _Ints) -> NDArray[np.bool_]:
    """Where another pair's code would be an answer too: the same code, or for a commit the same file."""
    same = data.code_ids[codes][:, None] == data.code_ids[codes][None, :]
    near = data.path_ids[codes][:, None] == data.path_ids[codes][None, :]
    other: NDArray[np.bool_] = (same | (near & data.is_commit[pairs][:, None])) & ~np.eye(len(pairs), dtype=bool)
    return other
