"""The vocabulary of a loaded model. Imported in the worker only: it needs llama.cpp."""

import ctypes
from collections.abc import Iterator
from functools import cached_property

import llama_cpp

from offline_agent.errors import ModelError
from offline_agent.llm.tokens import Special

_LONELY = "\U000f0000"  # for private use


class Vocabulary:
    def __init__(self, model: int) -> None:
        vocab = llama_cpp.llama_model_get_vocab(model)
        if vocab is None:
            raise ModelError("The model has no vocabulary.")
        self.pointer = vocab
        self.size = llama_cpp.llama_vocab_n_tokens(vocab)
        self._piece = ctypes.create_string_buffer(64)

    def tokenize(self, text: str) -> list[int]:
        """Tokens of plain text: nothing in it is special, and nothing is added."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8  # a token has a byte at least; SentencePiece adds a space in front
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.pointer, data, len(data), tokens, room, False, False)
        if count < 0:  # it wants more room than any tokenizer should
            room = -count
            tokens = (llama_cpp.llama_token * room)()
            count = llama_cpp.llama_tokenize(self.pointer, data, len(data), tokens, room, False, False)
        return list(tokens[: max(0, count)])

    def piece(self, token: int) -> bytes:
        """The bytes of a token, perhaps half a character; nothing for a special token."""
        size = llama_cpp.llama_token_to_piece(self.pointer, token, self._piece, len(self._piece), 0, False)
        if size < 0:
            self._piece = ctypes.create_string_buffer(-size)
            size = llama_cpp.llama_token_to_piece(self.pointer, token, self._piece, len(self._piece), 0, False)
        return self._piece.raw[: max(0, size)]

    def fragment(self, text: str) -> list[int]:
        """Tokens of text that goes on from other text: as `tokenize`, without the space that SentencePiece puts in front."""
        for mark, before in self._before:
            tokens = self.tokenize(f"{mark}{text}")
            if tokens[: len(before)] == before:
                return tokens[len(before) :]
        return self.tokenize(text)

    @cached_property
    def _before(self) -> list[tuple[str, list[int]]]:
        """What text may be put behind, with its tokens: a newline, and for text that merges with it what merges with nothing."""
        return [(mark, tokens) for mark in ("\n", _LONELY) if (tokens := self.tokenize(mark))]

    @cached_property
    def end(self) -> int:
        """A token that ends an answer; -1 where the vocabulary has none."""
        return self.eos if self.eos >= 0 else next(iter(self.endings), -1)

    @cached_property
    def endings(self) -> list[int]:
        """All tokens that end an answer."""
        return [token for token in range(self.size) if self.ends(token)]

    def ends(self, token: int) -> bool:
        """Whether the token ends an answer."""
        return bool(llama_cpp.llama_vocab_is_eog(self.pointer, token))

    @property
    def bos(self) -> int:
        """The token that begins a text, or -1."""
        return int(llama_cpp.llama_vocab_bos(self.pointer))

    @property
    def eos(self) -> int:
        return int(llama_cpp.llama_vocab_eos(self.pointer))

    @property
    def wants_bos(self) -> bool:
        return self.bos >= 0 and bool(llama_cpp.llama_vocab_get_add_bos(self.pointer))

    def text(self, token: int) -> str:
        """How a template writes the token; empty for -1."""
        return llama_cpp.llama_vocab_get_text(self.pointer, token).decode("utf-8", "replace") if token >= 0 else ""

    def specials(self) -> Iterator[Special]:
        """The tokens that only a template may write: what llama.cpp skips when it tokenises plain text."""
        special = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
        for token in range(self.size):
            attributes = llama_cpp.llama_vocab_get_attr(self.pointer, token)
            if attributes & special:
                yield Special(
                    id=token,
                    text=self.text(token),
                    strips_left=bool(attributes & llama_cpp.LLAMA_TOKEN_ATTR_LSTRIP),
                    strips_right=bool(attributes & llama_cpp.LLAMA_TOKEN_ATTR_RSTRIP),
                )

    def words(self) -> Iterator[str]:
        """The texts of user-defined tokens, which llama.cpp finds in plain text wherever they stand."""
        for token in range(self.size):
            if llama_cpp.llama_vocab_get_attr(self.pointer, token) & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED:
                yield self.text(token)
