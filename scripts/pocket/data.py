"""Spans and phrasings -> prompts with a known answer: arrays to train on, cases to be measured by.

A *context* is one to five chunks as a search would return them; a dozen questions are asked about it.

    <|user|>\\n[1] path:1-9 symbol\\nexcerpt\\n\\n[2] ...\\n\\nQuestion:      the context, encoded once
     Where is symbol defined?<|end|>\\n<|assistant|>\\nsymbol[1] where<|end|>   a row; each sees the context and itself
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from . import extract
from .chunks import FULL, SHORT, Chunk, ChunkWriter, Library, Size, names_chunk, render
from .extract import Span
from .questions import RANK_WEIGHTS, Question, QuestionWriter, answer
from .words import Words

TRAINING_PLAN = {"short": (SHORT, 7_000), "full": (FULL, 10_000), "varied": (FULL, 10_000)}  # stage: contexts, how many
ROWS = 12
ROW_TOKENS = 44
ROW_KINDS = {"named": 0.5, "which": 0.17, "none": 0.16, "other": 0.11, "bare": 0.06}


class Writer:
    """Writes contexts and questions about them, all from one seed."""

    def __init__(
        self, spans: Sequence[Span], vocabulary: Sequence[Span], seed: int, held_out: bool, varied: bool = False
    ) -> None:
        self.rng = random.Random(seed)
        words = Words(vocabulary, self.rng)
        self.chunks = ChunkWriter(Library(spans, self.rng), words, self.rng, held_out).chunks
        self.question = QuestionWriter(words, self.rng, held_out, varied).question


# --- training arrays ---


class Codec:
    """Token ids of contexts and rows. `Question:` ends the context and the space after it begins the row, as in one text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def context(self, chunks: Sequence[Chunk]) -> list[int]:
        return self.ids(f"<|user|>\n{render(chunks)}\n\nQuestion:")

    def row(self, question: Question) -> list[int]:
        start = "<|user|>\nQuestion: " if question.bare else " "
        return self.ids(f"{start}{question.text}<|end|>\n<|assistant|>\n")

    def ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text).ids)


Arrays = dict[str, np.ndarray]


def pack(writer: Writer, codec: Codec, contexts: int, size: Size) -> Arrays:
    """`context` (N, T) ids and `context_length`; `rows` (N, K, t) ids, their `spans` (question end, answer end), `sees`."""
    arrays = {
        "context": np.zeros((contexts, size.context_tokens), np.int16),
        "context_length": np.zeros(contexts, np.int16),
        "rows": np.zeros((contexts, ROWS, ROW_TOKENS), np.int16),
        "spans": np.zeros((contexts, ROWS, 2), np.int16),
        "sees": np.zeros((contexts, ROWS), np.int8),
    }
    done = 0
    while done < contexts:
        chunks = writer.chunks(size)
        context = codec.context(chunks)
        if len(context) > size.context_tokens:
            continue
        arrays["context"][done, : len(context)] = context
        arrays["context_length"][done] = len(context)
        for k in range(ROWS):
            fill_row(arrays, done, k, writer, codec, chunks)
        done += 1
    return arrays


def fill_row(arrays: Arrays, n: int, k: int, writer: Writer, codec: Codec, chunks: Sequence[Chunk]) -> None:
    while True:
        kind = writer.rng.choices(list(ROW_KINDS), list(ROW_KINDS.values()))[0]
        question = writer.question(kind, chunks)
        if question is None:
            continue
        asked = codec.row(question)
        whole = asked + codec.ids(answer(question, chunks) + "<|end|>")
        if len(whole) <= ROW_TOKENS:
            arrays["rows"][n, k, : len(whole)] = whole
            arrays["spans"][n, k] = len(asked), len(whole)
            arrays["sees"][n, k] = not question.bare
            return


def make_training(spans_file: Path, tokenizer_file: Path, folder: Path) -> None:
    """One .npz a stage of training: the stage's name, the size of its contexts and how many."""
    spans = [span for span in extract.load(spans_file) if not span.held_out]
    random.Random(5).shuffle(spans)
    codec = Codec(Tokenizer.from_file(str(tokenizer_file)))
    for seed, (name, (size, contexts)) in enumerate(TRAINING_PLAN.items(), 1):
        writer = Writer(spans, spans, seed, held_out=False, varied=name == "varied")
        arrays = pack(writer, codec, contexts, size)
        temporary = folder / f"{name}.partial.npz"
        np.savez(temporary, **arrays)
        temporary.replace(folder / f"{name}.npz")
        asked, total = arrays["spans"][..., 0].mean(), arrays["spans"][..., 1].mean()
        print(
            f"  {name}: {contexts} contexts of {arrays['context_length'].mean():.0f} tokens, "
            f"{ROWS} rows of {asked:.0f} + {total - asked:.0f}"
        )


# --- evaluation ---

CASE_KINDS = ["named"] * 6 + ["which"] * 2 + ["none"] * 2 + ["other"] * 2 + ["bare"]


@dataclass(frozen=True)
class Case:
    """One held-out question with its own search result, as the program would send it."""

    content: str
    expected: str
    intent: str  # where, what, args, which, none, other
    new: bool
    core: str
    symbols: tuple[str, ...]  # of the chunks shown, best first


def evaluation_cases(spans_file: Path, count: int, seed: int = 11) -> list[Case]:
    spans = extract.load(spans_file)
    vocabulary = [span for span in spans if not span.held_out]
    random.Random(5).shuffle(vocabulary)
    writer = Writer([span for span in spans if span.held_out], vocabulary, seed, held_out=True)
    cases: list[Case] = []
    while len(cases) < count:
        chunks = writer.chunks(replace(FULL, chunks=(2, 5)))
        question = writer.question(CASE_KINDS[len(cases) % len(CASE_KINDS)], chunks)
        if question is not None:
            cases.append(case_of(question, chunks, writer.rng))
    return cases


def case_of(question: Question, chunks: Sequence[Chunk], rng: random.Random) -> Case:
    shown = [] if question.bare else ranked(question, chunks, rng)
    expected = answer(question, shown)
    content = "\n\n".join([*([render(shown)] if shown else []), f"Question: {question.text}"])
    intent = "none" if expected.endswith(" none") else question.intent
    return Case(content, expected, intent, question.new, question.core, tuple(chunk.symbol for chunk in shown))


def ranked(question: Question, chunks: Sequence[Chunk], rng: random.Random) -> list[Chunk]:
    """The chunk asked for where a search would put it: mostly first or second."""
    wanted = [
        chunk for chunk in chunks if chunk == question.target or (question.name and names_chunk(chunk, question.name))
    ]
    shown = [chunk for chunk in chunks if chunk not in wanted]
    rng.shuffle(shown)
    for chunk in wanted:
        shown.insert(rng.choices(range(5), RANK_WEIGHTS)[0], chunk)
    return shown
