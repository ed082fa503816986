"""The order in which a model that writes records is shown what was found.

A description that repeats much of a definition's name and of the first sentence of its documentation mostly means that one, though
the search weighs the whole text. How much is worth how many ranks was tried on descriptions made from docstrings, which gain, and
on questions that people wrote in words of their own, which must not lose.
"""

import re
from collections.abc import Sequence

from offline_agent.agent.describe import docstring_summary
from offline_agent.agent.naming import GRAMMAR, words_of
from offline_agent.types import Chunk, Hit

_RANK = 0.3  # of the words asked for, which a result must have more of to be put before the one above it
_ALIKE = 5  # letters: "parses" and "parsing" are the same word


def by_description(question: str, hits: Sequence[Hit]) -> list[Hit]:
    """The same hits. One moves up past others that have clearly less of the question's words in name and documentation."""
    asked = _words(question)
    if not asked:
        return list(hits)
    worth = [len(asked & _told_of(hit.chunk)) / len(asked) - _RANK * rank for rank, hit in enumerate(hits)]
    return [hits[rank] for rank in sorted(range(len(hits)), key=worth.__getitem__, reverse=True)]


def _told_of(chunk: Chunk) -> set[str]:
    return _words(f"{docstring_summary(chunk)} {' '.join(words_of(chunk.symbol))}")


def _words(text: str) -> set[str]:
    words = re.findall(r"[^\W\d_]{2,}", text.lower())
    return {word[:_ALIKE] for word in words if word not in GRAMMAR and word not in _GENERAL}


_GENERAL = frozenset(("part", "place", "something", "thing"))
