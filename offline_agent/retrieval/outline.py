"""From the spans of a file's definitions to a tree, and from the tree to regions of lines and to definitions."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from offline_agent.retrieval.syntax import Span
from offline_agent.types import Definition

RegionKind = Literal["function", "class", "module", "text"]

_DEEPEST = 20  # definitions nested deeper stay part of what is around them
_LONGEST_SYMBOL = 120  # characters: a name must leave room for the text
_REGION_KINDS: dict[str, RegionKind] = {
    "function": "function",
    "class": "class",
    "extension": "module",
    "namespace": "module",
}
_CLOSING = re.compile(r"(?:end|[{}()\[\];,]*)(?:\s*//.{0,60})?")


class Region(NamedTuple):
    """Lines from `start` up to but not including `end`, counted from 0, that belong to one symbol. What begins below the row `head`
    needs the signature to be understood."""

    start: int
    end: int
    symbol: str
    kind: RegionKind
    head: int = 0
    signature: str = ""


@dataclass
class Scope:
    """A definition (or the file, whose symbol is empty) and the definitions directly inside it.

    `start` is above what documents it. One that is not `apart` begins on a line that something else has taken, so it has no lines
    of its own. `leaves` are constants and declarations.
    """

    span: Span
    start: int
    end: int
    symbol: str
    kind: RegionKind
    apart: bool = True
    inside: "list[Scope]" = field(default_factory=list)
    leaves: list[Span] = field(default_factory=list)

    def region(self, start: int, end: int) -> Region:
        return Region(start, end, self.symbol, self.kind, self.span.head, self.span.signature)


def nest(spans: Sequence[Span], lines: Sequence[str], above: tuple[str, ...]) -> Scope:
    """The spans, outer before inner, as a tree. Lines that begin with one of `above` belong to the definition below them."""
    whole = Span("", "namespace", (0, 0), (len(lines), 0), 0)
    module = Scope(whole, 0, len(lines), "", "module")
    path = [module]
    taken = 0
    for span in spans:
        while len(path) > 1 and span.start >= path[-1].span.end:
            taken = max(taken, path.pop().end)
        outer = path[-1]
        if span.kind in ("constant", "declaration"):
            if outer.kind != "function":
                outer.leaves.append(span)
            continue
        # `typedef struct node { ... } Node;` is two names side by side.
        typedef = span.kind == outer.span.kind == "class" and span.start[0] == outer.span.start[0]
        around = path[-2].symbol if typedef else outer.symbol
        symbol = f"{around}.{span.name}" if around else span.name
        if len(path) > _DEEPEST or len(symbol) > _LONGEST_SYMBOL or symbol == (typedef and outer.symbol):
            continue
        row = span.start[0]
        apart = outer.apart and row >= taken
        start = _first_row(row, outer, span, lines, above, taken) if apart else row
        scope = Scope(span, start, min(span.end[0] + 1, outer.end), symbol, _REGION_KINDS[span.kind], apart)
        outer.inside.append(scope)
        path.append(scope)
        taken = max(taken, row + 1)
    return module


def outline(scope: Scope, fits: Callable[[Region], bool]) -> Iterator[Region]:
    """A scope's own lines and, as regions of their own, the definitions inside: methods always, inner functions only where the
    function around them does not fit into one chunk."""
    inside = [inner for inner in scope.inside if inner.apart]
    if scope.kind == "function" and fits(scope.region(scope.start, scope.end)):
        inside = []
    row = scope.start
    for inner in inside:
        if row < inner.start:
            yield scope.region(row, inner.start)
        yield from outline(inner, fits)
        row = max(row, inner.end)
    if row < scope.end:
        yield scope.region(row, scope.end)


def without_scraps(regions: Iterable[Region], lines: Sequence[str], tiny: Callable[[Region], bool]) -> Iterator[Region]:
    """Regions that would make chunks of nothing go with their neighbours: what only closes (`}`, `end`) with what it follows, and a
    line that only opens (`impl Tree {`, `const api = {`) with what it encloses."""
    held: Region | None = None
    for region in regions:
        if held is None:
            held = region
        elif _closes(lines[region.start : region.end]):
            held = held._replace(end=region.end)
        elif _opens(held, region, lines) and tiny(held):
            held = region._replace(start=held.start)
        else:
            yield held
            held = region
    if held is not None:
        yield held


def _opens(held: Region, region: Region, lines: Sequence[str]) -> bool:
    if held.kind != "module" or held.symbol == region.symbol:
        return False
    return bool(held.symbol or lines[region.start - 1].strip())


def _closes(lines: Sequence[str]) -> bool:
    return all(_CLOSING.fullmatch(line.strip()) for line in lines)


def definitions(module: Scope, path: str) -> list[Definition]:
    """Every definition in the order of its lines. A declaration counts only where its file has no implementation of that name."""
    listed = list(_listed(module))
    implemented = {symbol for symbol, span in listed if span.kind in ("function", "class")}
    seen: set[str] = set()
    found = []
    for symbol, span in sorted(listed, key=lambda one: one[1].start):
        leaf = span.kind in ("constant", "declaration")
        if leaf and (symbol in implemented or symbol in seen or len(symbol) > _LONGEST_SYMBOL):
            continue
        seen.add(symbol)
        found.append(
            Definition(
                path=path,
                symbol=symbol,
                kind="function" if span.kind in ("function", "declaration") else _definition_kind(span),
                start_line=span.start[0] + 1,
                end_line=span.end[0] + 1,
                signature=span.signature,
            )
        )
    return found


def _definition_kind(span: Span) -> Literal["class", "constant"]:
    return "constant" if span.kind == "constant" else "class"


def _listed(scope: Scope) -> Iterator[tuple[str, Span]]:
    for leaf in scope.leaves:
        yield f"{scope.symbol}.{leaf.name}" if scope.symbol else leaf.name, leaf
    for inner in scope.inside:
        if inner.span.kind in ("function", "class"):
            yield inner.symbol, inner.span
        yield from _listed(inner)


def _first_row(row: int, outer: Scope, span: Span, lines: Sequence[str], above: tuple[str, ...], taken: int) -> int:
    """Where a definition's region begins: above its documentation, and above declarations of the same name (overloads)."""
    first = max(taken, outer.start + 1 if outer.symbol else 0)
    for leaf in reversed(outer.leaves):
        if leaf.kind != "declaration" or leaf.name != span.name or leaf.start[0] < first or leaf.end[0] >= row:
            break
        if any(inner.start >= leaf.start[0] for inner in outer.inside):
            break
        row = leaf.start[0]
    while row > first and (start := _comment(row - 1, first, lines, above)) is not None:
        row = start
    return row


def _comment(row: int, first: int, lines: Sequence[str], above: tuple[str, ...]) -> int | None:
    """Where the documentation that has a line on `row` begins. Lines inside a block comment may begin with anything."""
    line = lines[row].strip()
    if "/*" in above and line.endswith("*/") and not line.startswith("//"):
        start = next((at for at in range(row, first - 1, -1) if "/*" in lines[at]), row)
        if lines[start].lstrip().startswith("/*"):
            return start
    return row if line.startswith(above) else None
