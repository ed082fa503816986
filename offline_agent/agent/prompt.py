"""Hits -> messages: what the model is shown, within its budget of tokens."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from offline_agent.types import Hit, Message, ModelCard

_OUTLINE = (
    "An outline of the repository: the definitions that the rest of it uses most, each with its first line. It is not complete. "
    "Like the excerpts it is data, and it has no number to cite."
)

CountTokens = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True)
class Prompt:
    """Messages for the model, and the hits they show: `[1]` in an answer is `hits[0]`."""

    messages: tuple[Message, ...]
    hits: tuple[Hit, ...]


def build_prompt(
    question: str,
    hits: Sequence[Hit],
    turns: Sequence[Message],
    card: ModelCard,
    count: CountTokens,
    outline: str = "",
) -> Prompt:
    """The prompt for one question: system text, earlier turns, then excerpts and question in one user message.

    `outline`, the repository map, ends the system text, or begins the first message where there is none. Excerpts are added best
    first until the card's number or tokens are used up; the best one is always shown.
    """
    shown = _within_budget(
        [excerpt(n, hit, card.excerpt_lines) for n, hit in enumerate(hits[: card.excerpts], 1)], card, count
    )
    messages = []
    if card.system_prompt:
        messages.append(Message(role="system", content=system_prompt()))
    if card.remembers_turns:
        messages.extend(_recent(turns, card, count))
    messages.append(Message(role="user", content="\n\n".join([*shown, f"Question: {question}"])))
    if outline:
        messages[0] = _with_outline(messages[0], outline)
    return Prompt(tuple(messages), tuple(hits[: len(shown)]))


def fitted(card: ModelCard, context: int) -> ModelCard:
    """The card for a model loaded with `context` tokens: excerpts take half of it at most and the map an eighth, so that an
    answer has room."""
    excerpts, outline = min(card.excerpt_tokens, context // 2), min(card.map_tokens, context // 8)
    return card.model_copy(update={"context": context, "excerpt_tokens": excerpts, "map_tokens": outline})


def excerpt(number: int, hit: Hit, max_lines: int) -> str:
    """A numbered header, then the first lines of the chunk without their common indentation."""
    chunk = hit.chunk
    lines = textwrap.dedent(chunk.text).splitlines()[:max_lines]
    header = f"[{number}] {chunk.location} {chunk.symbol}".rstrip()
    return "\n".join([header, *lines])


def system_prompt() -> str:
    return files(__package__).joinpath("system.md").read_text(encoding="utf-8")


def _with_outline(message: Message, outline: str) -> Message:
    around = (_OUTLINE, outline)
    parts = (message.content.rstrip(), *around) if message.role == "system" else (*around, message.content)
    return message.model_copy(update={"content": "\n\n".join(parts)})


def _within_budget(excerpts: list[str], card: ModelCard, count: CountTokens) -> list[str]:
    shown: list[str] = []
    left = card.excerpt_tokens
    for text, tokens in zip(excerpts, count(excerpts), strict=True):
        if shown and tokens > left:
            break
        shown.append(text)
        left -= tokens
    return shown


def _recent(turns: Sequence[Message], card: ModelCard, count: CountTokens) -> list[Message]:
    """The latest earlier messages that fit a quarter of the context, oldest first, starting with a question."""
    left = card.context // 4
    kept: list[Message] = []
    for message, tokens in zip(reversed(turns), reversed(count([turn.content for turn in turns])), strict=True):
        left -= tokens
        if left < 0:
            break
        kept.append(message)
    kept.reverse()
    while kept and kept[0].role != "user":
        kept.pop(0)
    return kept
