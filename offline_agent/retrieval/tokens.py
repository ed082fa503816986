"""Counting tokens without loading the embedder: the `tokenizers` library alone takes milliseconds, torch takes seconds."""

import re
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from offline_agent.errors import EmbedderError

_PLAIN = re.compile(r"[\t -~]*")  # the tokenizer drops control characters and joins what they divided
_PLAIN_WORD = re.compile(r"[A-Za-z0-9]+")
_MARK = re.compile(r"[!-/:-@\[-`{-~]")
_WORDS_REMEMBERED = 200_000
_WORD = re.compile(r"\w+|[^\w\s]")


class WordPieceCounter:
    """A TokenCounter from the `tokenizer.json` of a sentence-transformers directory."""

    def __init__(self, directory: Path, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        path = directory / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise EmbedderError(f"The tokenizer {path} cannot be read ({error.strerror}). Run scripts/setup.") from None
        except ValueError as error:
            raise EmbedderError(f"The tokenizer {path} is damaged ({error}). Run scripts/setup.") from None
        # The file carries a 128-token cut and padding to 128 from its training: every count would be 128.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._known: dict[str, int] = {}

    def count(self, lines: Sequence[str]) -> list[int]:
        """BERT's pre-tokenizer makes a word of every run of ASCII letters and digits and a token of every mark between them, so
        a word costs the same wherever it stands. Source code repeats its words: this is five times faster than encoding each line.
        (`[SEP]` and its like count as three tokens here and are one: the safe side.)
        """
        words = [_PLAIN_WORD.findall(line) if _PLAIN.fullmatch(line) else None for line in lines]
        costs = self._costs({word for some in words if some for word in some})
        others = iter(self._encoded([line for line, some in zip(lines, words, strict=True) if some is None]))
        return [
            next(others) if some is None else sum([costs[word] for word in some]) + len(_MARK.findall(line))
            for line, some in zip(lines, words, strict=True)
        ]

    def _costs(self, words: set[str]) -> dict[str, int]:
        """What each word costs; what is not known yet is encoded in one go."""
        if len(self._known) > _WORDS_REMEMBERED:
            self._known.clear()
        unknown = [word for word in words if word not in self._known]
        self._known.update(zip(unknown, self._encoded(unknown), strict=True))
        return self._known

    def _encoded(self, texts: list[str]) -> list[int]:
        if not texts:  # even nothing takes a while to encode
            return []
        return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


class WordCounter:
    """A TokenCounter for tests: one token a word or mark."""

    def __init__(self, max_tokens: int = 256) -> None:
        self.max_tokens = max_tokens

    def count(self, lines: Sequence[str]) -> list[int]:
        return [sum(1 for _ in _WORD.finditer(line)) for line in lines]
