"""Plain BM25, to compare with: what anybody would write in an afternoon. It knows nothing of rules, symbols or weights, and shares
no code with the program, so that a change there cannot move it."""

import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from scripts.evaluate.cases import Spot

_LINES = 40
# Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009).
_K1 = 1.2
_B = 0.75
_WORD = re.compile(r"[A-Za-z_]\w*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def tokens(text: str) -> Iterator[str]:
    """Every word in lower case, and the parts of a compound: getHTTPAuth -> gethttpauth, get, http, auth."""
    for word in _WORD.findall(text):
        whole = word.lower()
        yield whole
        parts = _PART.findall(word)
        if len(parts) > 1:
            yield from (part.lower() for part in parts)


class Passage:
    """Some text, and where finding it leads."""

    def __init__(self, spot: Spot, text: str) -> None:
        self.spot = spot
        self.counts = Counter(map(sys.intern, tokens(text)))  # the same words are in every passage of a repository
        self.length = self.counts.total()


class Windows:
    """The files of a directory tree, 40 lines a passage. What did not change from one state to the next is not read again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], list[Passage]] = {}

    def update(self, texts: Mapping[tuple[str, str], str | None]) -> list[Passage]:
        """The passages of all files: `texts` has by (path, hash of the content) the text, or None for what is known."""
        self._known = {
            key: self._known[key] if text is None else list(_windows(key[0], text)) for key, text in texts.items()
        }
        return [passage for some in self._known.values() for passage in some]

    def knows(self, key: tuple[str, str]) -> bool:
        return key in self._known


def _windows(path: str, text: str) -> Iterator[Passage]:
    lines = text.split("\n")
    for start in range(0, len(lines), _LINES):
        yield Passage((path, ""), "\n".join(lines[start : start + _LINES]))


class BM25:
    """Ranks passages."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._mean = max(1.0, sum(one.length for one in passages) / max(1, len(passages)))

    def search(self, question: str) -> list[Spot]:
        """Where the best passages lead, each once, best first; equally good ones in the order they were given."""
        asked = self._weights(set(tokens(question)))
        scores = [self._score(one, asked) for one in self._passages]
        order = sorted((n for n, score in enumerate(scores) if score > 0), key=lambda n: -scores[n])
        return list(dict.fromkeys(self._passages[n].spot for n in order))

    def _weights(self, asked: Iterable[str]) -> dict[str, float]:
        """The inverse document frequency of each term."""
        total = len(self._passages)
        weights = {}
        for term in sorted(asked):
            frequency = sum(term in one.counts for one in self._passages)
            if frequency:
                weights[term] = math.log(1 + (total - frequency + 0.5) / (frequency + 0.5))
        return weights

    def _score(self, one: Passage, asked: Mapping[str, float]) -> float:
        norm = _K1 * (1 - _B + _B * one.length / self._mean)
        counts = one.counts
        return sum(
            weight * (_K1 + 1) * count / (count + norm) for term, weight in asked.items() if (count := counts.get(term))
        )
