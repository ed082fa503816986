"""From a file's text to chunks that the embedder reads whole.

One chunk per definition where a grammar knows them; the code between definitions, and every other file, in windows that break at
blank lines. Chunks cover every line that is not blank exactly once and in order. Lines end at "\\n" alone, as editors count them:
`str.splitlines` would also break at form feeds and shift every line number after one.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from offline_agent.protocols import TokenCounter
from offline_agent.retrieval import notebook, prose
from offline_agent.retrieval.outline import Region, definitions, nest, outline, without_scraps
from offline_agent.retrieval.parsed import Parsed
from offline_agent.retrieval.syntax import Languages
from offline_agent.types import Chunk

_SPECIAL_TOKENS = 2  # [CLS] and [SEP]
_SMALLEST_BUDGET = 32  # a path longer than the budget must not make chunks of nothing
_SIGNATURE_TOKENS = 48
_SIGNATURE_SHARE = 5  # of a small budget a signature takes at most this part
_TINY = 16  # tokens: a line or two
_NOTEBOOK = ".ipynb"
_PIECE = 8  # characters a token: a longer line is cut down to this before its tokens are counted again


class Chunker:
    """Cuts files; tokens are counted once for all lines of a file, since no token crosses a line end."""

    def __init__(self, counter: TokenCounter, languages: Languages) -> None:
        self._counter = counter
        self._languages = languages

    def chunk(self, path: str, text: str) -> Parsed:
        """The chunks of a file, what it defines, uses and imports. Never raises, whatever the text is."""
        if path.lower().endswith(_NOTEBOOK) and (book := notebook.read(text)) is not None:
            return self._notebook(path, book)
        text = text.encode("utf-8", "replace").decode()  # a lone surrogate is no text for a tokenizer or a database
        lines = text.split("\n")
        file = _File(path, lines, self._counter)
        grammar = self._languages.grammar(path, text)
        if grammar is None:
            return Parsed(file.chunks(prose.regions(path, lines, file.fits)))
        source = grammar.read(path, text)
        module = nest(source.definitions, lines, grammar.above)
        chunks = file.chunks(without_scraps(outline(module, file.fits), lines, file.tiny))
        return Parsed(chunks, definitions(module, path), source.references, source.imports)

    def _notebook(self, path: str, book: notebook.Notebook) -> Parsed:
        file = _File(path, book.lines, self._counter, book.rows)
        chunks = file.chunks(Region(cell.start, cell.end, "", "module" if cell.code else "text") for cell in book.cells)
        grammar = self._languages.named(book.language)
        if grammar is None:
            return Parsed(chunks)
        source = grammar.read(path, book.code())
        found = definitions(nest(source.definitions, book.lines, grammar.above), path)
        rows = [*book.rows, book.rows[-1] if book.rows else 0]
        moved = [
            one.model_copy(update={"start_line": rows[one.start_line - 1] + 1, "end_line": rows[one.end_line - 1] + 1})
            for one in found
        ]
        return Parsed(chunks, moved, source.references, source.imports)


class _File:
    """One file on its way to chunks: its lines and what each costs in tokens. `rows` are the lines' own places in the file."""

    def __init__(
        self, path: str, lines: Sequence[str], counter: TokenCounter, rows: Sequence[int] | None = None
    ) -> None:
        self.path = path
        self.lines = lines
        self._rows = range(len(lines)) if rows is None else rows
        self._counter = counter
        [self._path_cost] = counter.count([path])
        self._sums = list(accumulate(counter.count(lines), initial=0))
        self._headers: dict[str, int] = {}
        self._signatures: dict[str, tuple[str, int]] = {}

    def cost(self, start: int, end: int) -> int:
        return self._sums[end] - self._sums[start]

    def fits(self, region: Region) -> bool:
        """Whether a region becomes one chunk."""
        return self.cost(region.start, region.end) <= self.budget(region, region.start)

    def tiny(self, region: Region) -> bool:
        return self.cost(region.start, region.end) <= _TINY

    def budget(self, region: Region, row: int) -> int:
        """Tokens left for the lines of a chunk that begins at `row` (see `Chunk.embedded_text`)."""
        return max(_SMALLEST_BUDGET, self._room(region.symbol) - self._signature(region, row)[1])

    def chunks(self, regions: Iterable[Region]) -> list[Chunk]:
        return [chunk for region in regions for chunk in self._of(region)]

    def _of(self, region: Region) -> Iterator[Chunk]:
        for start, end in _windows(self, region):
            while start < end and not self.lines[start].strip():
                start += 1
            while start < end and not self.lines[end - 1].strip():
                end -= 1
            if start == end:
                continue
            text = "\n".join(self.lines[start:end])
            budget = self.budget(region, start)
            for piece in [text] if self.cost(start, end) <= budget else _pieces(text, budget, self._counter):
                yield Chunk(
                    path=self.path,
                    start_line=self._rows[start] + 1,
                    end_line=self._rows[end - 1] + 1,
                    symbol=region.symbol,
                    signature=self._signature(region, start)[0],
                    kind=region.kind,
                    text=piece,
                )

    def _room(self, symbol: str) -> int:
        if symbol not in self._headers:
            [cost] = self._counter.count([symbol])
            self._headers[symbol] = self._counter.max_tokens - _SPECIAL_TOKENS - self._path_cost - cost
        return self._headers[symbol]

    def _signature(self, region: Region, row: int) -> tuple[str, int]:
        """What a chunk that begins at `row` says of its definition's first line, and its tokens; nothing where it has that line."""
        if row <= region.head or not region.signature:
            return "", 0
        known = self._signatures.get(region.signature)
        if known is None:
            room = self._room(region.symbol) - _SMALLEST_BUDGET
            limit = min(_SIGNATURE_TOKENS, self._counter.max_tokens // _SIGNATURE_SHARE, room)
            known = self._signatures[region.signature] = _shortened(region.signature, limit, self._counter)
        return known


def _shortened(text: str, limit: int, counter: TokenCounter) -> tuple[str, int]:
    """As much of a line's beginning as costs at most `limit` tokens, and what it costs."""
    [cost] = counter.count([text])
    while text and cost > limit:
        text = text[: min(len(text) - 1, len(text) * max(limit, 0) // cost)].rstrip()
        [cost] = counter.count([text])
    return text, cost


def _windows(file: _File, region: Region) -> Iterator[tuple[int, int]]:
    """Spans within the budget, cut after a blank line where that leaves a third of a window. A line too long stands alone."""
    begin = region.start
    after_blank = begin
    budget = file.budget(region, begin)
    for row in range(region.start, region.end):
        while begin < row and file.cost(begin, row + 1) > budget:
            cut = after_blank if file.cost(begin, after_blank) * 3 >= budget else row
            yield begin, cut
            begin = after_blank = cut
            budget = file.budget(region, begin)
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
        if len(piece) == 1 or (len(piece) <= budget * _PIECE and counter.count([piece])[0] <= budget):
            pieces.append(piece)
            continue
        middle = len(piece) // 2
        space = piece.rfind(" ", middle // 2, middle) + 1
        cut = space or middle
        waiting += [piece[cut:], piece[:cut]]
    return [piece for piece in pieces if piece.strip()]
