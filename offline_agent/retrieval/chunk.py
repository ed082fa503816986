"""From a file's text to chunks that the embedder reads whole.

One chunk per definition where a grammar knows them; the code between definitions, and every other file, in windows that break at
blank lines. Chunks cover every line that is not blank exactly once and in order. Lines end at "\\n" alone, as editors count them:
`str.splitlines` would also break at form feeds and shift every line number after one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal, NamedTuple

from offline_agent.protocols import TokenCounter
from offline_agent.retrieval.parsed import Parsed
from offline_agent.retrieval.syntax import Languages, Span
from offline_agent.types import Chunk, Definition

Kind = Literal["function", "class", "module", "text"]

_SPECIAL_TOKENS = 2  # [CLS] and [SEP]
_SMALLEST_BUDGET = 32  # a path longer than the budget must not make chunks of nothing
_DEEPEST = 20  # definitions nested deeper stay part of what is around them
_MARKDOWN = (".md", ".markdown", ".mdx")
_HEADING = re.compile(r"#{1,6}\s")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")


class Region(NamedTuple):
    """Lines from `start` up to but not including `end`, counted from 0, that belong to one symbol."""

    start: int
    end: int
    symbol: str
    kind: Kind


@dataclass
class _Scope:
    """A definition (or the file, whose symbol is empty) and the definitions directly inside it."""

    start: int
    end: int
    symbol: str
    kind: Kind
    inside: "list[_Scope]" = field(default_factory=list)


class Chunker:
    """Cuts files; tokens are counted once for all lines of a file, since no token crosses a line end."""

    def __init__(self, counter: TokenCounter, languages: Languages) -> None:
        self._counter = counter
        self._languages = languages

    def chunk(self, path: str, text: str) -> Parsed:
        lines = text.split("\n")
        costs = self._counter.count(lines)
        file = _File(path, lines, costs, self._counter)
        grammar = self._languages.grammar(path)
        if grammar is not None:
            module = _nest(grammar.definitions(text), len(lines))
            regions = _outline(module, file)
            definitions = list(_definitions(module, path, lines))
        else:
            markdown = path.lower().endswith(_MARKDOWN)
            regions = _sections(lines) if markdown else iter([Region(0, len(lines), "", "text")])
            definitions = []
        return Parsed([chunk for region in regions for chunk in file.chunks(region)], definitions)


class _File:
    """One file on its way to chunks: its lines and what each costs in tokens."""

    def __init__(self, path: str, lines: list[str], costs: list[int], counter: TokenCounter) -> None:
        self.path = path
        self.lines = lines
        self.costs = costs
        self._counter = counter
        self._sums = list(accumulate(costs, initial=0))

    def cost(self, start: int, end: int) -> int:
        return self._sums[end] - self._sums[start]

    def budget(self, symbol: str) -> int:
        """Tokens left for a chunk's lines after the line that says where it is from (see `Chunk.embedded_text`)."""
        [header] = self._counter.count([f"{self.path} {symbol}"])
        return max(_SMALLEST_BUDGET, self._counter.max_tokens - _SPECIAL_TOKENS - header)

    def chunks(self, region: Region) -> Iterator[Chunk]:
        budget = self.budget(region.symbol)
        for start, end in _windows(self, region, budget):
            while start < end and not self.lines[start].strip():
                start += 1
            while start < end and not self.lines[end - 1].strip():
                end -= 1
            if start == end:
                continue
            text = "\n".join(self.lines[start:end])
            pieces = [text] if self.cost(start, end) <= budget else _pieces(text, budget, self._counter)
            for piece in pieces:
                yield Chunk(
                    path=self.path,
                    start_line=start + 1,
                    end_line=end,
                    symbol=region.symbol,
                    kind=region.kind,
                    text=piece,
                )


def _windows(file: _File, region: Region, budget: int) -> Iterator[tuple[int, int]]:
    """Spans within the budget, cut after a blank line where that leaves a third of a window. A line too long stands alone."""
    begin = region.start
    after_blank = begin
    for row in range(region.start, region.end):
        while begin < row and file.cost(begin, row + 1) > budget:
            cut = after_blank if file.cost(begin, after_blank) * 3 >= budget else row
            yield begin, cut
            begin = after_blank = cut
        if not file.lines[row].strip():
            after_blank = row + 1
    if begin < region.end:
        yield begin, region.end


def _pieces(line: str, budget: int, counter: TokenCounter) -> list[str]:
    """A line that is too long for one chunk, halved until each piece fits, at a space where there is one nearby."""
    pieces: list[str] = []
    waiting = [line]
    while waiting:
        piece = waiting.pop()
        if len(piece) == 1 or counter.count([piece])[0] <= budget:
            pieces.append(piece)
            continue
        middle = len(piece) // 2
        space = piece.rfind(" ", middle // 2, middle) + 1
        cut = space or middle
        waiting += [piece[cut:], piece[:cut]]
    return [piece for piece in pieces if piece.strip()]


def _nest(definitions: Sequence[Span], line_count: int) -> _Scope:
    """The definitions as a tree. One that begins on a line already taken belongs to what took it."""
    module = _Scope(0, line_count, "", "module")
    path = [module]
    taken = 0
    for definition in definitions:
        while definition.start >= path[-1].end and len(path) > 1:
            taken = max(taken, path.pop().end)
        outer = path[-1]
        if definition.start < taken or len(path) > _DEEPEST:
            continue
        symbol = f"{outer.symbol}.{definition.name}" if outer.symbol else definition.name
        scope = _Scope(definition.start, min(definition.end, outer.end), symbol, definition.kind)
        outer.inside.append(scope)
        path.append(scope)
        taken = definition.start + 1
    return module


def _definitions(scope: _Scope, path: str, lines: Sequence[str]) -> Iterator[Definition]:
    for inner in scope.inside:
        kind: Literal["function", "class"] = "class" if inner.kind == "class" else "function"
        yield Definition(
            path=path,
            symbol=inner.symbol,
            kind=kind,
            start_line=inner.start + 1,
            end_line=inner.end,
            signature=lines[inner.start].strip(),
        )
        yield from _definitions(inner, path, lines)


def _outline(scope: _Scope, file: _File) -> Iterator[Region]:
    """A scope's own lines and, as regions of their own, the definitions inside: methods always, inner functions only
    where the function around them is too long for one chunk."""
    inside = scope.inside
    if scope.kind == "function" and file.cost(scope.start, scope.end) <= file.budget(scope.symbol):
        inside = []
    row = scope.start
    for inner in inside:
        if row < inner.start:
            yield Region(row, inner.start, scope.symbol, scope.kind)
        yield from _outline(inner, file)
        row = inner.end
    if row < scope.end:
        yield Region(row, scope.end, scope.symbol, scope.kind)


def _sections(lines: Sequence[str]) -> Iterator[Region]:
    """Markdown from heading to heading; a `#` inside a fenced block is not one."""
    begin, fence = 0, ""
    for row, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1] == fence:
            fence = ""
        elif not fence and row > begin and _HEADING.match(line):
            yield Region(begin, row, "", "text")
            begin = row
    yield Region(begin, len(lines), "", "text")
