"""Spans and phrasings -> prompts with a known answer: arrays to train on, cases to be measured by.

A *context* is one to five chunks as a search would return them; a dozen questions are asked about it.

    <|user|>\\n[1] path:1-9 symbol\\nexcerpt\\n\\n[2] ...\\n\\nQuestion:      the context, encoded once
     Where is symbol defined?<|end|>\\n<|assistant|>\\nsymbol[1] where<|end|>   a row; each sees the context and itself
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from . import extract, phrases
from .chunks import FULL, SHORT, Chunk, ChunkWriter, Library, Size, render
from .extract import Span
from .questions import Question, QuestionWriter, answer, bare
from .words import Words

TRAINING_PLAN = {"short": (SHORT, 10_000), "full": (FULL, 18_000)}  # stage: contexts, how many
ROWS = 14
ROW_TOKENS = 44  # of most contexts
LONG_ROW_TOKENS = 76  # of the others, for requests with long arguments
LONG_SHARE = 0.15
ROW_KINDS = {"named": 0.34, "which": 0.12, "none": 0.11, "tool": 0.24, "code": 0.06, "other": 0.07, "hello": 0.06}
LONG_ROW_KINDS = {**ROW_KINDS, "tool": 1.2}
BARE_SHARE = {"none": 0.1, "tool": 0.15, "code": 0.15, "other": 0.15, "hello": 0.4}  # of a kind, asked without chunks


class Writer:
    """Writes contexts and questions about them, all from one seed."""

    def __init__(
        self, spans: Sequence[Span], vocabulary: Sequence[Span], seed: int, held_out: bool, varied: bool = False
    ) -> None:
        self.rng = random.Random(seed)
        words = Words(vocabulary, self.rng)
        self.chunks = ChunkWriter(Library(spans, self.rng), words, self.rng, held_out).chunks
        self.ask = QuestionWriter(
            words, self.rng, phrases.cores("held_out" if held_out else "training"), varied
        ).question

    def question(self, kind: str, chunks: Sequence[Chunk]) -> Question:
        """One of a kind, or where these chunks have none after some tries, a request."""
        for _ in range(20):
            question = self.ask(kind, chunks)
            if question is not None:
                return bare(question) if self.rng.random() < BARE_SHARE.get(kind, 0) else question
        return self.question("tool", chunks)


# --- training arrays ---


class Codec:
    """Token ids of contexts and rows. `Question:` ends the context and the space after it begins the row, as in one text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def context(self, chunks: Sequence[Chunk]) -> list[int]:
        """The ids of all chunks and of `Question:`."""
        return self.ids(f"<|user|>\n{render(chunks)}\n\nQuestion:")

    def row(self, question: Question) -> list[int]:
        """The ids of a question and of the beginning of its answer; a bare one brings its own `Question:`."""
        start = "<|user|>\nQuestion: " if question.bare else " "
        return self.ids(f"{start}{question.text}<|end|>\n<|assistant|>\n")

    def ids(self, text: str) -> list[int]:
        """The ids of any text, markers and control tokens included."""
        return list(self.tokenizer.encode(text).ids)


Arrays = dict[str, np.ndarray]


def pack(writer: Writer, codec: Codec, contexts: int, size: Size) -> Arrays:
    """`context` (N, T) ids and `context_length`; `rows` (N, K, t) ids, their `spans` (question end, answer end), `sees`."""
    arrays: Arrays = {
        "context": np.zeros((contexts, size.context_tokens), np.int16),
        "context_length": np.zeros(contexts, np.int16),
        "rows": np.zeros((contexts, ROWS, LONG_ROW_TOKENS), np.int16),
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
        most, kinds = (LONG_ROW_TOKENS, LONG_ROW_KINDS) if writer.rng.random() < LONG_SHARE else (ROW_TOKENS, ROW_KINDS)
        for k in range(ROWS):
            asked, whole, sees = row(writer, codec, chunks, kinds, most)
            arrays["rows"][done, k, : len(whole)] = whole
            arrays["spans"][done, k] = asked, len(whole)
            arrays["sees"][done, k] = sees
        done += 1
    return arrays


def row(
    writer: Writer, codec: Codec, chunks: Sequence[Chunk], kinds: Mapping[str, float], most: int
) -> tuple[int, list[int], bool]:
    """How many ids ask, all ids, of `most` at most, and whether the context is seen."""
    while True:
        kind = writer.rng.choices(list(kinds), list(kinds.values()))[0]
        question = writer.question(kind, chunks)
        asked = codec.row(question)
        whole = asked + codec.ids(answer(question, chunks) + "<|end|>")
        if len(whole) <= most:
            return len(asked), whole, not question.bare


def make_training(spans_file: Path, tokenizer_file: Path, folder: Path) -> None:
    """One .npz a stage of training: the stage's name, the size of its contexts and how many."""
    spans = [span for span in extract.load(spans_file) if not span.held_out]
    random.Random(5).shuffle(spans)
    codec = Codec(Tokenizer.from_file(str(tokenizer_file)))
    for seed, (name, (size, contexts)) in enumerate(TRAINING_PLAN.items(), 1):
        writer = Writer(spans, spans, seed, held_out=False, varied=name == "full")
        arrays = pack(writer, codec, contexts, size)
        temporary = folder / f"{name}.partial.npz"
        np.savez(temporary, allow_pickle=False, **arrays)
        temporary.replace(folder / f"{name}.npz")
        asked, total = arrays["spans"][..., 0].mean(), arrays["spans"][..., 1].mean()
        print(
            f"  {name}: {contexts} contexts of {arrays['context_length'].mean():.0f} tokens, "
            f"{ROWS} rows of {asked:.0f} + {total - asked:.0f}"
        )
