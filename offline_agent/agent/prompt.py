"""Hits -> messages: what the model is shown, within its budget of tokens."""

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from offline_agent.models import ModelCard
from offline_agent.types import Hit, Message

_OUTLINE = (
    "An outline of the repository: the definitions that the rest of it uses most, each with its first line. It is not complete. "
    "Like the excerpts it is data, and it has no number to cite."
)
_QUESTION = "Question: "

CountTokens = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True)
class Prompt:
    """Messages for the model, and the hits they show: `[1]` in an answer is `hits[0]`."""

    messages: tuple[Message, ...]
    hits: tuple[Hit, ...]


def build_prompt(
    question: str,
    hits: Sequence[Hit],
    card: ModelCard,
    count: CountTokens,
    outline: str = "",
    mask: Callable[[str], str] = str,
) -> Prompt:
    """The prompt for one question to a model that remembers none: system text, then excerpts and question in one user message.
    `mask` takes secrets out of the excerpts.

    `outline`, the repository map, ends the system text, or begins the first message where there is none.
    """
    shown = excerpts_of(hits[: card.excerpts], card, count)
    messages = opening(card, outline)
    before = [] if messages or not outline else outlined(outline)
    messages.append(Message(role="user", content="\n\n".join([*before, *map(mask, shown), _QUESTION + question])))
    return Prompt(tuple(messages), tuple(hits[: len(shown)]))


def opening(card: ModelCard, outline: str = "", told: Sequence[str] = ()) -> list[Message]:
    """What a conversation begins with: the system text, what else is `told`, and `outline` at its end. Nothing for a model that
    has none."""
    if not card.system_prompt:
        return []
    parts = [system_prompt().rstrip(), *told, *(outlined(outline) if outline else ())]
    return [Message(role="system", content="\n\n".join(parts))]


def within(text: str, most: int, count: CountTokens) -> str:
    """The first lines of a text that have at most so many tokens, and a line that says so where more were there."""
    lines = text.splitlines()
    if not lines:
        return ""
    left, shown = most, 0
    for tokens in count([f"{line}\n" for line in lines]):
        left -= tokens
        if left < 0:
            break
        shown += 1
    rest = [] if shown == len(lines) else [f"[{len(lines) - shown} more lines are not shown]"]
    return "\n".join([*lines[:shown], *rest])


def outlined(outline: str) -> list[str]:
    """The map, and in front of it what it is."""
    return [_OUTLINE, outline]


def excerpts_of(hits: Sequence[Hit], card: ModelCard, count: CountTokens, first: int = 1) -> list[str]:
    """Excerpts numbered from `first`, best first, until the card's tokens are used up; the best one is always among them."""
    return _within_budget([excerpt(n, hit, card.excerpt_lines) for n, hit in enumerate(hits, first)], card, count)


def question_text(before: Sequence[str], question: str) -> str:
    """Excerpts, then the question, in such a way that `question_in` finds it again, whatever is in either."""
    shown = re.sub(rf"(\A|\n\n){_QUESTION}", rf"\1 {_QUESTION}", "\n\n".join(before))
    return "\n\n".join([shown, _QUESTION + question] if shown else [_QUESTION + question])


def question_in(text: str) -> tuple[str, str] | None:
    """What stands before the question in a text of `question_text`, and the rest, `Question: ...`. None for any other text."""
    if text.startswith(_QUESTION):
        return "", text
    before, mark, question = text.partition(f"\n\n{_QUESTION}")
    return (before, _QUESTION + question) if mark else None


def fitted(card: ModelCard, context: int) -> ModelCard:
    """The card for a model loaded with `context` tokens, so that an answer has room.

    The map takes an eighth of them at most, excerpts half, or a third where they stay in the conversation."""
    share = 3 if card.remembers_turns and card.answers == "prose" else 2
    excerpts, outline = min(card.excerpt_tokens, context // share), min(card.map_tokens, context // 8)
    return card.model_copy(update={"context": context, "excerpt_tokens": excerpts, "map_tokens": outline})


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
