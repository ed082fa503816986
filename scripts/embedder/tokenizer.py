"""The vocabulary: the most frequent words and pieces of words in the pairs, learnt by the `tokenizers` library."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from offline_agent.retrieval.static import ACCENT, CONTINUED, HUMP, LONGEST_WORD, UNKNOWN

from .pairs import Pair

SIZE = 16_384
_PER_GROUP = 4_000  # pairs; a large project's own words must not fill the vocabulary
_SEED = 1


def make(pairs: Sequence[Pair], path: Path, size: int = SIZE) -> None:
    """Writes `tokenizer.json`, which cuts a text as `offline_agent.retrieval.static.WordPieces` does."""
    tokenizer = Tokenizer(models.WordPiece({}, unk_token=UNKNOWN, max_input_chars_per_word=LONGEST_WORD))
    # Humps are split before the letters lose their case, so all of it is normalisation.
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKD(),
            normalizers.Replace(Regex(ACCENT), ""),
            normalizers.Replace(Regex("[^A-Za-z0-9]+"), " "),
            normalizers.Replace(Regex(HUMP), " "),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[UNKNOWN],
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz0123456789"),
        continuing_subword_prefix=CONTINUED,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(pairs), trainer)
    # Every letter and digit must be known within a word too, or a word with a rare ending had no pieces at all.
    missing = [f"{CONTINUED}{mark}" for mark in "abcdefghijklmnopqrstuvwxyz0123456789"]
    assert all(tokenizer.token_to_id(piece) is not None for piece in missing), "the vocabulary lacks a letter"
    tokenizer.save(str(path))


def _texts(pairs: Sequence[Pair]) -> Iterator[str]:
    rng = random.Random(_SEED)
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.group, []).append(pair)
    for some in groups.values():
        for pair in rng.sample(some, min(_PER_GROUP, len(some))):
            # A message is read as often as the code it is about, though it is shorter: its words are what people ask with.
            yield from pair.queries
            yield pair.codes[0]
