"""Counting tokens without loading the embedder: the `tokenizers` library alone takes milliseconds, torch takes seconds."""

import re
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from offline_agent.errors import EmbedderError

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

    def count(self, lines: Sequence[str]) -> list[int]:
        encodings = self._tokenizer.encode_batch_fast(list(lines), add_special_tokens=False)
        return [len(encoding) for encoding in encodings]


class WordCounter:
    """A TokenCounter for tests: one token a word or mark."""

    def __init__(self, max_tokens: int = 256) -> None:
        self.max_tokens = max_tokens

    def count(self, lines: Sequence[str]) -> list[int]:
        return [sum(1 for _ in _WORD.finditer(line)) for line in lines]
