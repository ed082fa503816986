"""Prompts of so many tokens for measuring: the same in every run, and no two of them begin alike."""

import random
from collections.abc import Callable
from math import floor

_PROSE = (
    "the parser reads a file line by line and returns what it found while another thread keeps the index in step with every "
    "change on disk so that a question about where some value is computed checked stored or sent can be answered from memory"
)
_WORDS = _PROSE.split()
_SENTENCE = 12  # words
_ROUNDS = 6
_CLOSE = 0.01
_ASKED = "\n\nWrite the numbers from one to a thousand, each on a line of its own, and nothing else."
"""What hardly any model answers with a few words."""

Measure = Callable[[str], int]
"""How many tokens a prompt has with that text in it, templates and all."""


def prompt_of(length: int, number: int, measure: Measure) -> str:
    """A text that makes a prompt of about `length` tokens, and of no more; as short as can be where that is less than its frame.
    Texts of different `number` differ from their first word on, so that nothing of one is computed already by another."""
    best = _text(0, number)
    frame, words = measure(best), max(0, length)
    for _ in range(_ROUNDS):
        text = _text(words, number)
        tokens = measure(text)
        best = text if tokens <= length else best
        if 0 <= length - tokens <= _CLOSE * length or frame >= length or words == 0:
            break
        words = max(0, words + floor((length - tokens) * words / max(1, tokens - frame)))
    return best


def _text(words: int, number: int) -> str:
    draw = random.Random(number)  # noqa: S311  nothing is secret about it
    first = "".join(draw.choice("bcdfghklmnprstvw") + draw.choice("aeiou") for _ in range(3)).capitalize()
    drawn = [draw.choice(_WORDS) for _ in range(words)]
    sentences = [" ".join(drawn[at : at + _SENTENCE]) for at in range(0, words, _SENTENCE)]
    return f"{first} {number}: {'. '.join(sentences)}.{_ASKED}"
