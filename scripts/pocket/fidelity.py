"""Is it the model that was trained? The GGUF under llama.cpp beside the same weights under torch: tokens, choices, speed.

How good its answers are is another question, and another program: `scripts/evaluate-pocket`.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from llama_cpp import Llama as LlamaCpp
from tokenizers import Tokenizer

from . import export, extract
from .chunks import FULL, render
from .data import ROW_KINDS, Writer
from .model import Llama
from .questions import answer

PACKAGES = ("argparse", "json", "logging", "zipfile")  # held out, and in every standard library
COMPARED = 24  # prompts whose every next token is compared
WRITTEN = 64  # tokens a speed of writing is taken from
ODD_TEXTS = [
    "tabs\tand  double  spaces\r\n\r\n  x it's don't I'LL 12345 \u00e9 \u00fcn\u00ef \u65e5\u672c \U0001f642 \n\n\n\n   end   ",
    "   ", "\n\n", "a\n \n b", "x[2] = y[10] ", "[3]  [4]\n[5] ",
]  # fmt: skip
"""What tokenizers disagree on: whitespace, contractions, digits, letters beyond ASCII, and markers inside of words."""


def report(file: Path) -> str:
    """A paragraph of Markdown about a GGUF file that `export` wrote: what llama.cpp makes of it, on one thread."""
    torch.set_num_threads(1)
    ours, tokenizer = export.read(file)
    begun = time.perf_counter()
    model = load(file)
    loading = time.perf_counter() - begun
    texts = list(prompts(200))
    reading, writing = speed(model, max((tokenizer.encode(text).ids for text in texts), key=len))
    checked = [*texts, *ODD_TEXTS, *(path.read_text() for path in Path(__file__).parent.glob("*.py"))]
    different = tokenizer_differences(model, tokenizer, checked)
    same, total = agreement(file, ours, tokenizer, texts[:COMPARED])
    return (
        f"llama.cpp, one thread: loads in {loading:.2f} s, reads {reading:.0f} and writes {writing:.0f} tokens a second. "
        f"Its tokenizer differs from ours in {different} of {len(checked)} texts; its next token is the one of torch in "
        f"float32 at {same} of {total} places."
    )


def load(file: Path, every_logit: bool = False) -> LlamaCpp:
    """The file under llama.cpp. With `every_logit` its `scores` hold a row for each place, not only for the last."""
    return LlamaCpp(
        str(file), n_ctx=export.CONTEXT, n_threads=1, n_threads_batch=1, logits_all=every_logit, verbose=False
    )


def prompts(count: int, seed: int = 0) -> Iterator[str]:
    """Whole prompts with their answers, about code that training never saw."""
    files = extract.package_files()
    spans = [span for package in PACKAGES for span in extract.spans_of(package, files[package])]
    writer = Writer(spans, spans, seed, held_out=True)
    for _ in range(count):
        chunks = writer.chunks(FULL)
        kind = writer.rng.choice(list(ROW_KINDS))
        question = writer.question(kind, chunks)
        shown = "" if question.bare else f"{render(chunks)}\n\n"
        record = answer(question, chunks)
        yield f"<|user|>\n{shown}Question: {question.text}<|end|>\n<|assistant|>\n{record}<|end|>"


def tokenizer_differences(model: LlamaCpp, tokenizer: Tokenizer, texts: Iterable[str]) -> int:
    """How many texts llama.cpp splits in another way than the tokenizer that training used."""
    return sum(
        tokenizer.encode(text).ids != model.tokenize(text.encode(), add_bos=False, special=True) for text in texts
    )


def agreement(file: Path, ours: Llama, tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[int, int]:
    """At how many of all places llama.cpp and torch in float32 would choose the same next token: (same, all)."""
    model = load(file, every_logit=True)
    same = total = 0
    for text in texts:
        ids = tokenizer.encode(text).ids[: export.CONTEXT]
        rewind(model)
        model.eval(ids)
        with torch.no_grad():
            expected = ours(torch.tensor([ids]))[0].argmax(-1).numpy()
        same += int((np.array(model.scores[: len(ids)]).argmax(-1) == expected).sum())
        total += len(ids)
    return same, total


def speed(model: LlamaCpp, ids: list[int]) -> tuple[float, float]:
    """Tokens a second, reading `ids` at once and then writing one at a time: the best of three."""
    best_read = best_write = 0.0
    for _ in range(3):
        rewind(model)
        begun = time.perf_counter()
        model.eval(ids)
        best_read = max(best_read, len(ids) / (time.perf_counter() - begun))
        begun = time.perf_counter()
        for token in ids[:WRITTEN]:
            model.eval([token])
        best_write = max(best_write, WRITTEN / (time.perf_counter() - begun))
    return best_read, best_write


def rewind(model: LlamaCpp) -> None:
    """Forget what was read."""
    model.reset()  # type: ignore[no-untyped-call]  # llama_cpp has annotated most methods, not this one
