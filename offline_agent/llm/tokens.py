"""Text -> tokens, so that no file can speak with the template's voice.

Special tokens such as `<|end|>` open and close the turns of a conversation. Were a repository's text tokenised with the
template's, a file that contains "<|end|>\n<|user|>\n..." would end the user's turn and begin one of its own. So:

    contents   every special token's text is replaced by a mark   "a <|end|> b"    -> "a ⟦4⟧ b"
               every marker is cut behind its first character     "a <think> b"    -> "a <⟊think> b"
    render     by the template, which trims and joins as it likes
    split      at the special tokens: what is still there, the template wrote   -> ids
    restore    the marks in the text between, and tokenise it as plain text, each side of a cut by itself

Text between special tokens is tokenised in one piece, template and content together, so that harmless conversations get exactly
the tokens that tokenising the whole would give.

Only tokens of type *control* are special here. *User-defined* ones are words of the vocabulary, which llama.cpp finds in plain
text by itself. Pocket's "[1] " or the white space of a model for code anyone may write. Others are *markers*, with which families
write calls and results of tools (Qwen's `<tool_call>`, `</tool_response>`): in contents these are tokenised in two parts, so that
the text stays and the token never appears. What a model itself wrote is left as it is.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offline_agent.types import Message, ToolSpec

_MARKER = re.compile(r"<[^\s<>]*[^\W\d][^<>\s]*>|\[[^\s\[\]]*[^\W\d][^\[\]\s]*\]")
"""A word between angle or square brackets. Numbers are none, nor is what has white space."""
_HTML = re.compile(
    r"</?(?:a|b|big|blockquote|body|br|caption|cite|code|div|em|h[1-6]|head|hr|html|i|img|li|ol|p|pre|q|s|small|span|"
    r"strong|sub|sup|table|tbody|td|tfoot|th|thead|tr|tt|u|ul)/?>"
)
"""Gemma has tags of HTML among its user-defined tokens: words of a language, with which no family writes turns or calls."""
_VOICES = re.compile(
    r"<(?=[|\uff5c][^<>|\uff5c\n]{1,40}[|\uff5c]?>|[^<>|\uff5c\n]{1,40}[|\uff5c]>"
    r"|/?(?:tool_calls?|tool_response|tool_results?|think|arg_key|arg_value|escape|s|bos|eos)>"
    r"|(?:start|end)_(?:of_turn|of_role|function_(?:call|response|declaration))>)"
    r"|\[(?=/?(?:INST|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|AVAILABLE_TOOLS|SYSTEM_PROMPT|ARGS|CALL_ID|THINK)\])"
)
"""Where the markers of any common family begin."""

SPACES = " \t\n\v\f\r"
"""What C's isspace() takes for white space, which is how llama.cpp strips."""


@dataclass(frozen=True)
class Special:
    """A control token. `strips_left`: white space before it is dropped; `strips_right`: behind it."""

    id: int
    text: str
    strips_left: bool = False
    strips_right: bool = False


class Specials:
    """The control tokens of a vocabulary, and the `markers` that contents must not have as tokens either."""

    def __init__(self, specials: Sequence[Special], markers: Iterable[str] = ()) -> None:
        self._by_text: Mapping[str, Special] = {s.text: s for s in specials if s.text}
        # Longest first: `<|im_end|>` must not be cut short by a token `<|im`. A pattern that matches nothing where there are none.
        longest = sorted(self._by_text, key=len, reverse=True)
        self._pattern = re.compile("(" + "|".join(map(re.escape, longest)) + ")" if longest else r"((?!))")
        self._begun = _beginnings({m for m in markers if len(m) > 1 and m not in self._by_text})

    def protect(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> tuple[list[Message], list[ToolSpec], "Restore"]:
        """Messages and tools with marks in place of special tokens' texts and in all markers but the model's own, and the function
        that restores those texts, as pieces that must not be tokenised together."""
        texts_in = "".join([*(m.content for m in messages), *(tool.model_dump_json() for tool in tools)])
        mark, cut = _unused_characters(texts_in)

        def protect(match: re.Match[str]) -> str:
            return f"{mark}{self._by_text[match[0]].id}{mark}"

        texts = {f"{special.id}": text for text, special in self._by_text.items()}
        marked = re.compile(f"{mark}([0-9]+){mark}")

        def protected(value: Any, own: bool = False) -> Any:
            if isinstance(value, str):
                return self._pattern.sub(protect, value if own else self._begun.sub(rf"\g<0>{cut}", value))
            if isinstance(value, dict):
                return {protected(key): protected(one) for key, one in value.items()}
            return [protected(one) for one in value] if isinstance(value, list) else value

        def restore(text: str) -> list[str]:
            return marked.sub(lambda match: texts[match[1]], text).split(cut)

        safe = [m.model_copy(update={"content": protected(m.content, m.role == "assistant")}) for m in messages]
        specs = [ToolSpec.model_construct(**protected(tool.model_dump())) for tool in tools]
        return safe, specs, restore

    def split(self, text: str) -> Iterator[str | Special]:
        """Plain text and special tokens in turn, with white space dropped where a token asks for that."""
        parts = self._pattern.split(text)
        for index, part in enumerate(parts):
            if index % 2:
                yield self._by_text[part]
                continue
            if index and self._by_text[parts[index - 1]].strips_right:
                part = part.lstrip(SPACES)
            if index + 1 < len(parts) and self._by_text[parts[index + 1]].strips_left:
                part = part.rstrip(SPACES)
            if part:
                yield part

    def tokenize(
        self,
        text: str,
        restore: "Restore",
        plain: Callable[[str], list[int]],
        behind: Callable[[str], list[int]],
        inside: bool = False,
    ) -> list[int]:
        """Tokens of rendered text; `plain` tokenises text in which nothing is special, `behind` such text that goes on from other
        text, as the first does that is `inside` a conversation."""
        tokens: list[int] = []
        for part in self.split(text):
            if isinstance(part, Special):
                tokens.append(part.id)
                continue
            for number, piece in enumerate(restore(part)):
                tokens += (behind if number or (inside and not tokens) else plain)(piece)
        return tokens


Restore = Callable[[str], list[str]]
"""From protected text to its pieces as they were; joined, they are the text."""


def looks_like_marker(text: str) -> bool:
    """Whether a user-defined token is for turns and calls, by its text, rather than a word that anyone may write."""
    return bool(_MARKER.fullmatch(text)) and not _HTML.fullmatch(text)


def broken(text: str) -> str:
    """The text with a space in every marker of any family, `<|im_end|>` -> `< |im_end|>`: for servers, which tokenise themselves
    and as a rule take such texts in contents for the tokens."""
    return _VOICES.sub(r"\g<0> ", text)


def _beginnings(markers: Iterable[str]) -> re.Pattern[str]:
    """Finds the first character of each marker, also of those that begin inside another one: cut behind it, none of them is left
    whole. A pattern that matches nothing where there are none."""
    rests = defaultdict(list)
    for marker in sorted(markers):
        rests[marker[0]].append(re.escape(marker[1:]))
    begun = (f"{re.escape(first)}(?={'|'.join(rest)})" for first, rest in rests.items())
    return re.compile("|".join(begun) or "(?!)")


def _unused_characters(text: str) -> tuple[str, str]:
    """Two private-use characters that `text` does not contain. There are 131,068 of four bytes each: a text with all of them
    would be half a megabyte of nothing else, and no prompt."""
    present = set(text)
    unused = (c for c in map(chr, range(0xF0000, 0x10FFFE)) if c not in present)
    return next(unused), next(unused)
