"""Words -> citations, for models that write prose: `[2]` becomes the place of excerpt 2.

A path or a line number that reaches the screen this way comes from a hit. A marker without an excerpt is dropped.
"""

import re
from collections.abc import Iterator, Sequence

from offline_agent.types import Citation, Hit

_MARKER = re.compile(r"(?<![\w\])])\[(\d{1,2}(?:\s*,\s*\d{1,2})*)\]")  # not the index in `items[2]`
_UNFINISHED = re.compile(r"\[[\d,\s]{0,12}$")
_FENCE = "```"


class Citer:
    """Rewrites markers in a stream of text and remembers what was cited, in order and once each."""

    def __init__(self, hits: Sequence[Hit]) -> None:
        self._hits = hits
        self._cited: dict[Citation, None] = {}

    @property
    def citations(self) -> tuple[Citation, ...]:
        return tuple(self._cited)

    def rewrite(self, pieces: Iterator[str]) -> Iterator[str]:
        """The same text with places for markers, in pieces that never end inside a marker. Fenced code is left alone."""
        held, seen = "", ""
        for piece in pieces:
            held += piece
            unfinished = _UNFINISHED.search(held) or re.search(r"`{1,2}$", held)
            ready, held = (held[: unfinished.start()], held[unfinished.start() :]) if unfinished else (held, "")
            if ready:
                yield self._replace(ready, seen)
                seen += ready
        if held:
            yield self._replace(held, seen)

    def _replace(self, text: str, before: str) -> str:
        """`text` with its markers replaced; `before` is what came earlier, for an open fence and for `items` of `items[2]`."""
        inside = before.count(_FENCE) % 2 == 1
        tail = before[-1:]
        parts = (tail + text).split(_FENCE)
        for index, part in enumerate(parts):
            if (index % 2 == 1) == inside:
                parts[index] = _MARKER.sub(self._places, part)
        return _FENCE.join(parts)[len(tail) :]

    def _places(self, match: re.Match[str]) -> str:
        numbers = [int(number) for number in match[1].split(",")]
        found = [citation_of(self._hits[number - 1]) for number in numbers if 1 <= number <= len(self._hits)]
        self._cited.update(dict.fromkeys(found))
        return ", ".join(str(citation) for citation in found)


def citation_of(hit: Hit) -> Citation:
    chunk = hit.chunk
    return Citation(path=chunk.path, start_line=chunk.start_line, end_line=chunk.end_line, symbol=chunk.symbol)
