"""A byte-level BPE in which copying is a token-for-token operation.

Ordinary BPE splits ` foo_bar`, `(foo_bar` and `.foo_bar` three different ways, and a small model would have to learn that
they are one name. Here merges are learnt on letters only, digits and punctuation stay single, and the variants with a
leading space come *last* in the merge list: a name splits the same wherever it stands, but for the space in front.

    ids 0-4     <|pad|> <|system|> <|user|> <|assistant|> <|end|>      control tokens
    ids 5-13    "[1] " ... "[9] "                                      chunk markers, one token each, space included
    ids 14-     256 bytes, letter pieces, whitespace runs, twins with a leading space
"""

import collections
import json
import random
import re
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from offline_agent.agent.record import INTENTS, PLAIN, TOOLS

from . import extract, phrases

CONTROL = ["<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
MARKERS = [f"[{k}] " for k in range(1, 10)]
PAD, USER, END = 0, 2, 4
FIRST_MARKER = len(CONTROL)
LETTER_PIECES = 3600
TWINS = 1900
TRAINING_SPANS = 20_000
WHOLE_WORDS = [
    *INTENTS,
    *PLAIN,
    "which",
    *(tool for tool in TOOLS if "_" not in tool),
    "uses",
    " none",
    "Question",
]  # each must be one token

WHITESPACE_MERGES = [(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 3), (4, 4), (8, 1), (8, 3), (8, 4), (8, 7), (8, 8)]
NEWLINE_INDENTS = (3, 7, 11, 15, 4, 8, 12, 2)
PUNCTUATION_MERGES = [('"', '"'), ('""', '"'), ("_", "_"), (")", ":"), ("(", ")"), ("-", ">"), ("=", "="), ("'", "'")]
SPACED_PUNCTUATION = ['"""', "=", "#", "-", "->", "==", "*"]


def byte_alphabet() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(rest)}


BYTES = byte_alphabet()
SPACE, NEWLINE = BYTES[ord(" ")], BYTES[ord("\n")]


class MergeList:
    """Tokens and merges in order; a merge is taken only when both halves exist."""

    def __init__(self) -> None:
        self.tokens = [BYTES[byte] for byte in range(256)]
        self.merges: list[tuple[str, str]] = []
        self._known = set(self.tokens)

    def add(self, left: str, right: str) -> None:
        """The merge, where both halves are tokens; what it makes becomes one."""
        if left not in self._known or right not in self._known:
            return
        self.merges.append((left, right))
        if left + right not in self._known:
            self.tokens.append(left + right)
            self._known.add(left + right)

    def bpe(self) -> models.BPE:
        """All of it, as a model."""
        return models.BPE(vocab={token: i for i, token in enumerate(self.tokens)}, merges=self.merges)


def learn_letter_merges(texts: list[str]) -> list[tuple[str, str]]:
    """Merges within runs of letters, the most frequent first, until there are LETTER_PIECES pieces."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Split(Regex("[^A-Za-z]"), behavior="removed")
    letters = [chr(code) for code in range(65, 123) if chr(code).isalpha()]
    learner.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=LETTER_PIECES, initial_alphabet=letters, show_progress=False)
    )
    return [tuple(merge) for merge in json.loads(learner.to_str())["model"]["merges"]]


def frequent_first_pieces(texts: list[str], letters_only: Tokenizer) -> list[str]:
    """The pieces that most often follow a space, and so deserve a twin."""
    words = collections.Counter(word for text in texts for word in re.findall(r" ([A-Za-z]+)", text))
    pieces: collections.Counter[str] = collections.Counter()
    for word, count in words.items():
        pieces[letters_only.encode(word).tokens[0]] += count
    return [piece for piece, _ in pieces.most_common(TWINS)]


def build(texts: list[str]) -> Tokenizer:
    """The tokenizer of some texts. The order of the merges is the point of it: letters, whitespace, punctuation, then twins."""
    merges = MergeList()
    for left, right in learn_letter_merges(texts):
        merges.add(left, right)
    for before, after in WHITESPACE_MERGES:
        merges.add(SPACE * before, SPACE * after)
    merges.add(NEWLINE, NEWLINE)
    for indent in NEWLINE_INDENTS:
        merges.add(NEWLINE, SPACE * indent)
        merges.add(NEWLINE * 2, SPACE * indent)
    for left, right in PUNCTUATION_MERGES:
        merges.add(left, right)
    for piece in [*frequent_first_pieces(texts, Tokenizer(merges.bpe())), *SPACED_PUNCTUATION]:
        merges.add(SPACE, piece)

    return assemble([*CONTROL, *MARKERS, *merges.tokens], merges.merges)


def assemble(tokens: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    """The tokenizer that a list of tokens and merges stands for, as GGUF stores them too."""
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKERS])
    return tokenizer


def training_texts(spans: list[extract.Span]) -> list[str]:
    """Code that is not held out, and the phrasings often enough that their words are tokens."""
    chosen = [span for span in spans if not span.held_out]
    random.Random(1).shuffle(chosen)
    texts = ["\n".join([span.path.replace("/", " "), *span.lines]) for span in chosen[:TRAINING_SPANS]]
    return texts + phrases.all_words() * 60 + WHOLE_WORDS * 2000


def make(spans_file: Path, target: Path) -> None:
    """Read spans, write tokenizer.json, and check that what records are made of is one token each."""
    texts = training_texts(extract.load(spans_file))
    tokenizer = build(texts)
    for word in WHOLE_WORDS:
        assert len(tokenizer.encode(word).ids) == 1, f"{word!r} must be one token"
    tokenizer.save(str(target))
    sample = texts[:500]
    ratio = sum(map(len, sample)) / sum(len(tokenizer.encode(text).ids) for text in sample)
    print(f"  {tokenizer.get_vocab_size()} tokens, {ratio:.2f} characters a token")
