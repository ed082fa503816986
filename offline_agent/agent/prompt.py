"""Hits -> messages: what the model is shown, within its budget of tokens."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from offline_agent.types import Hit, Message, ModelCard

CountTokens = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True)
class Prompt:
    """Messages for the model, and the hits they show: `[1]` in an answer is `hits[0]`."""

    messages: tuple[Message, ...]
    hits: tuple[Hit, ...]


def build_prompt(
    question: str, hits: Sequence[Hit], turns: Sequence[Message], card: ModelCard, count: CountTokens
) -> Prompt:
    """The prompt for one question: system text, earlier turns, then excerpts and question in one user message.

    Excerpts are added best first until the card's number or tokens are used up; the best one is always shown.
    """
    shown = _within_budget(
        [excerpt(n, hit, card.excerpt_lines) for n, hit in enumerate(hits[: card.excerpts], 1)], card, count
    )
    messages = []
    if card.system_prompt:
        messages.append(Message(role="system", content=system_prompt()))
    if card.remembers_turns:
        messages.extend(_recent(turns, card, count))
    content = "\n\n".join([*shown, f"Question: {question}"])
    return Prompt((*messages, Message(role="user", content=content)), tuple(hits[: len(shown)]))


def fitted(card: ModelCard, context: int) -> ModelCard:
    """The card for a model loaded with `context` tokens: excerpts take half of it at most, so that an answer has room."""
    return card.model_copy(update={"context": context, "excerpt_tokens": min(card.excerpt_tokens, context // 2)})


def excerpt(number: int, hit: Hit, max_lines: int) -> str:
    """A numbered header, then the first lines of the chunk without their common indentation."""
    chunk = hit.chunk
    lines = textwrap.dedent(chunk.text).splitlines()[:max_lines]
    header = f"[{number}] {chunk.location} {chunk.symbol}".rstrip()
    return "\n".join([header, *lines])


def system_prompt() -> str:
    return files(__package__).joinpath("system.md").read_text(encoding="utf-8")


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
