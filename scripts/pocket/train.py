"""The hour of training: Muon for the matrices, AdamW for embeddings and norms, bf16 arithmetic on float32 weights.

The learning rate is low for Muon (0.007): at 0.02 the hand-written circuits wear down faster than they are refined.
Only answer tokens count: the first, which says what was asked, three times, and the marker, which says which chunk, five times.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from . import circuits
from .data import ROW_TOKENS, Arrays
from .model import Batch, Llama, Shape
from .tokenizer import FIRST_MARKER, MARKERS, PAD


@dataclass(frozen=True)
class Recipe:
    """All that is chosen about a training run; a checkpoint is only taken up with the same."""

    minutes: float = 70.0
    device: str = "cpu"
    contexts_per_step: int = 4
    matrix_rate: float = 0.007
    other_rate: float = 0.003
    warm_up: float = 0.03  # shares of the whole time
    cool_down: float = 0.4
    marker_weight: float = 5.0  # and of ` none`, which stands where a marker could
    intent_weight: float = 3.0  # of the first token, which says what was asked
    stages: tuple[tuple[str, float], ...] = (("short", 0.3), ("full", 0.7))
    save_every: float = 180.0  # seconds
    report_every: int = 50  # steps
    seed: int = 0

    def rate(self, done: float) -> float:
        """The factor on both learning rates when a share `done` of the time is over."""
        return min(1, done / self.warm_up + 0.02) * min(1, (1 - done) / self.cool_down + 0.02)

    def stage(self, done: float) -> int:
        """Which of `stages` is due when a share `done` of the time is over."""
        ends = np.cumsum([share for _, share in self.stages])
        return min(int(np.searchsorted(ends, done, side="right")), len(self.stages) - 1)


class Muon:
    """Momentum, then the nearest orthogonal matrix (five Newton-Schulz steps): every direction moves equally far."""

    def __init__(self, weights: Sequence[Tensor], rate: float, momentum: float = 0.95, decay: float = 0.02) -> None:
        self.weights, self.rate, self.momentum, self.decay = weights, rate, momentum, decay
        self.averages = [torch.zeros_like(weight) for weight in weights]

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Update every weight from its gradient, at `factor` times the rate; matrices of one shape go together."""
        rate = self.rate * factor
        same_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor, bool]]] = {}
        for weight, average in zip(self.weights, self.averages, strict=True):
            assert weight.grad is not None
            average.lerp_(weight.grad, 1 - self.momentum)
            update = weight.grad.lerp(average, self.momentum)
            tall = update.shape[0] > update.shape[1]
            update = update.T if tall else update
            same_shape.setdefault(tuple(update.shape), []).append((weight, update, tall))
        for group in same_shape.values():
            stacked = orthogonal(torch.stack([update / (update.norm() + 1e-9) for _, update, _ in group]))
            for (weight, _, tall), update in zip(group, stacked, strict=True):
                update = update.T if tall else update
                shape_factor = max(1, update.shape[0] / update.shape[1]) ** 0.5
                weight.mul_(1 - rate * self.decay).add_(update, alpha=-rate * shape_factor)


def orthogonal(x: Tensor) -> Tensor:
    """(n, rows, columns) with rows <= columns and norms below 1 -> nearly orthogonal rows. The coefficients are Muon's."""
    x = x.bfloat16()
    for _ in range(5):
        square = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * (square @ square)) @ x
    return x.float()


class Feed:
    """Batches of contexts of about equal length, in a shuffled order that a resumed run takes up again."""

    def __init__(self, arrays: Arrays, size: int, seed: int) -> None:
        self.arrays, self.size, self.seed = arrays, size, seed

    def batches(self, start: int) -> Iterator[np.ndarray]:
        """Indices of contexts, `size` at a time and for ever, from the batch numbered `start` on."""
        epoch, skip = divmod(start, self.per_epoch)
        while True:
            yield from self.epoch(epoch)[skip:]
            epoch, skip = epoch + 1, 0

    @property
    def per_epoch(self) -> int:
        """How many batches; contexts that fill no group of 64 are left out."""
        return len(self.arrays["context_length"]) // 64 * (64 // self.size)

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """The batches of one epoch: groups of 64 at random, cut into batches of like length, and these shuffled."""
        random = np.random.default_rng([self.seed, epoch])
        rows = self.arrays["spans"][..., 1].max(1)
        lengths = self.arrays["context_length"] + 1000 * (rows > ROW_TOKENS)  # long rows keep each other company too
        order, groups = random.permutation(len(lengths)), []
        for start in range(0, len(order) - 63, 64):
            group = order[start : start + 64]
            group = group[np.argsort(lengths[group], kind="stable")]
            groups += [group[i : i + self.size] for i in range(0, 64, self.size)]
        return [groups[i] for i in random.permutation(len(groups))]


def batch_of(arrays: Arrays, chosen: np.ndarray, device: str) -> Batch:
    """Gather contexts and rows, cut to the longest of each."""

    def take(name: str) -> Tensor:
        return torch.from_numpy(arrays[name][chosen]).long().to(device)

    length, spans, sees = take("context_length"), take("spans"), take("sees")
    c, r = int(length.max()), int(spans[..., 1].max())
    context, rows = take("context")[:, :c], take("rows")[:, :, :r]
    count, per_context = sees.shape
    start = length[:, None] * sees
    places = torch.arange(r, device=device)
    row_positions = (start[:, :, None] + places).flatten(1)
    positions = torch.cat([torch.arange(c, device=device).expand(count, -1), row_positions], 1)
    predicts = (places >= spans[..., :1] - 1) & (places < spans[..., 1:] - 1)  # the place before each answer token
    first_place = torch.arange(count, device=device)[:, None] * (c + per_context * r) + c
    flat = (first_place + torch.arange(per_context, device=device) * r)[:, :, None] + places
    lengths = predicts.sum(-1).flatten()
    return Batch(
        ids=torch.cat([context, rows.flatten(1)], 1),
        positions=positions,
        hidden=torch.arange(c, device=device) >= start[:, :, None],
        row_tokens=r,
        predicting=flat[predicts],
        targets=rows.roll(-1, 2)[predicts],
        answer_starts=(lengths.cumsum(0) - lengths),
    )


class Trainer:
    """A training run: it goes on from the checkpoint, where there is one, and writes it every few minutes."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, stages: list[Arrays], checkpoint: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.checkpoint = recipe, checkpoint
        self.none = tokenizer.token_to_id("Ġnone")
        self.model = Llama(Shape(vocabulary=tokenizer.get_vocab_size()))
        circuits.install(self.model, tokenizer, recipe.seed)
        self.model.to(recipe.device)
        matrices = [p for p in self.model.blocks.parameters() if p.ndim == 2]
        self.others = [self.model.embed.weight, *(p for p in self.model.parameters() if p.ndim == 1)]
        self.muon = Muon(matrices, recipe.matrix_rate)
        self.adam = torch.optim.AdamW(self.others, lr=recipe.other_rate, betas=(0.9, 0.98), weight_decay=0, eps=1e-10)
        self.feeds = [Feed(arrays, recipe.contexts_per_step, recipe.seed) for arrays in stages]
        self.taken = [0] * len(stages)
        self.seconds, self.steps, self.tokens, self.answer_tokens = 0.0, 0, 0, 0
        if checkpoint.exists():
            self.resume()

    def run(self) -> None:
        """Train until the recipe's time is over; the checkpoint then holds the finished model."""
        before, begun = self.seconds, time.monotonic()
        saved, figures, stage = self.seconds, [], -1
        batches: Iterator[np.ndarray] = iter(())
        while (done := self.seconds / (60 * self.recipe.minutes)) < 1:
            if self.recipe.stage(done) != stage:
                stage = self.recipe.stage(done)
                batches = self.feeds[stage].batches(self.taken[stage])
            figures.append(self.step(self.feeds[stage].arrays, next(batches), self.recipe.rate(done)))
            self.taken[stage] += 1
            self.seconds = before + time.monotonic() - begun
            if self.steps % self.recipe.report_every == 0:
                self.report(figures)
                figures = []
            if self.seconds - saved > self.recipe.save_every:
                self.save()
                saved = self.seconds
        if self.seconds > before:
            self.save()

    def step(self, arrays: Arrays, chosen: np.ndarray, factor: float) -> tuple[float, ...]:
        """One update from one batch; mean loss, and the shares of tokens, first tokens and markers that were right."""
        batch = batch_of(arrays, chosen, self.recipe.device)
        logits = self.model.answers(batch)
        each = functional.cross_entropy(logits, batch.targets, reduction="none")
        markers = (batch.targets >= FIRST_MARKER) & (batch.targets < FIRST_MARKER + len(MARKERS))
        chooses = markers | (batch.targets == self.none)
        weights = torch.where(chooses, self.recipe.marker_weight, 1.0)
        weights[batch.answer_starts] = self.recipe.intent_weight
        torch.autograd.backward((each * weights).sum() / weights.sum())
        torch.nn.utils.clip_grad_norm_(self.others, 1.0)
        self.adam.param_groups[0]["lr"] = self.recipe.other_rate * factor
        self.adam.step()
        self.muon.step(factor)
        self.model.zero_grad(set_to_none=True)
        self.steps += 1
        self.tokens += int((batch.ids != PAD).sum())
        self.answer_tokens += len(batch.targets)
        right = (logits.argmax(-1) == batch.targets).float()
        parts = (each.detach(), right, right[batch.answer_starts], right[markers])
        return tuple(float(part.mean()) for part in parts)

    def report(self, figures: list[tuple[float, ...]]) -> None:
        """One line: the means since the last."""
        loss, right, first, marker = np.nanmean(figures, axis=0)
        print(
            f"  {self.seconds / 60:5.1f} of {self.recipe.minutes:g} min  step {self.steps}  {self.tokens / 1e6:.2f} M tokens  "
            f"loss {loss:.3f}  right: tokens {right:.3f}, first {first:.3f}, marker {marker:.3f}",
            flush=True,
        )

    def save(self) -> None:
        """Everything that `resume` needs, whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "adam": self.adam.state_dict(),
            "muon": self.muon.averages,
            "taken": self.taken,
            "seconds": self.seconds,
            "steps": self.steps,
            "tokens": self.tokens,
            "answer_tokens": self.answer_tokens,
        }
        temporary = self.checkpoint.with_suffix(".partial")
        torch.save(state, temporary)
        temporary.replace(self.checkpoint)

    def resume(self) -> None:
        """Weights, averages, and how far each stage has read."""
        state = torch.load(self.checkpoint, map_location=self.recipe.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.adam.load_state_dict(state["adam"])
        self.muon.averages = state["muon"]
        self.taken, self.seconds, self.steps = state["taken"], state["seconds"], state["steps"]
        self.tokens, self.answer_tokens = state["tokens"], state["answer_tokens"]
        print(f"  resumed at {self.seconds / 60:.1f} minutes")


def device(choice: str) -> str:
    """What "auto" means here."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if choice == "auto" else choice


def load_trained(checkpoint: Path) -> tuple[Llama, dict[str, float]]:
    """The model in a checkpoint, and how it came about."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model = Llama(Shape(vocabulary=state["model"]["embed.weight"].shape[0]))
    model.load_state_dict(state["model"])
    return model.eval(), {key: state[key] for key in ("seconds", "steps", "tokens", "answer_tokens")}


def train(recipe: Recipe, tokenizer_file: Path, data: Path, checkpoint: Path) -> None:
    """The stage `train`: arrays of `data` and a tokenizer -> a checkpoint, or an older checkpoint trained further."""
    torch.set_num_threads(1)  # a step is many small products: a second thread waits more than it works
    stages = [dict(np.load(data / f"{name}.npz")) for name, _ in recipe.stages]
    Trainer(recipe, Tokenizer.from_file(str(tokenizer_file)), stages, checkpoint).run()
