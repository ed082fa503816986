"""Definitions of a source file, by tree-sitter and the declarations in `index/languages.toml` and `index/queries/`."""

import importlib
import tomllib
from pathlib import Path
from typing import Literal, NamedTuple

from tree_sitter import Language, Node, Parser, Query, QueryCursor, QueryError

from offline_agent.errors import IndexUnavailable

Kind = Literal["function", "class"]
_KINDS: tuple[Kind, ...] = ("function", "class")


class Span(NamedTuple):
    """A named span of lines, from `start` up to but not including `end`, counted from 0."""

    name: str
    kind: Kind
    start: int
    end: int


class Grammar:
    """One language: parses text and names its definitions, outer before inner."""

    def __init__(self, package: str, query: str) -> None:
        try:
            language = Language(importlib.import_module(package).language())
            self._query = Query(language, query)
        except ImportError:
            raise IndexUnavailable(f"The grammar package {package} is not installed. Run scripts/setup.") from None
        except (QueryError, ValueError) as error:
            raise IndexUnavailable(
                f"The query for {package} does not fit its grammar: {error}. Run scripts/setup."
            ) from None
        self._parser = Parser(language)

    def definitions(self, text: str) -> list[Span]:
        # "surrogatepass" cannot fail, and tree-sitter treats what is not UTF-8 as an error node.
        tree = self._parser.parse(text.encode("utf-8", "surrogatepass"))
        widest: dict[int, Span] = {}
        for _, captures in QueryCursor(self._query).matches(tree.root_node):
            for kind in _KINDS:
                for span in captures.get(kind, ()):
                    name = captures["name"][0]
                    found = _definition(name, kind, span)
                    known = widest.get(name.start_byte)
                    if known is None or (found.start, -found.end) < (known.start, -known.end):
                        widest[name.start_byte] = found
        return sorted(widest.values(), key=lambda definition: (definition.start, -definition.end))


class Languages:
    """Grammars by file ending; each is loaded when its first file is met. One per thread."""

    def __init__(self, declarations: Path) -> None:
        try:
            entries = tomllib.loads((declarations / "languages.toml").read_text(encoding="utf-8"))
            self._sources = {
                ending: (name, entry["package"], (declarations / "queries" / f"{name}.scm").read_text(encoding="utf-8"))
                for name, entry in entries.items()
                for ending in entry["endings"]
            }
        except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
            raise IndexUnavailable(f"The language declarations in {declarations} cannot be read: {error}.") from None
        self._grammars: dict[str, Grammar] = {}

    def grammar(self, path: str) -> Grammar | None:
        """The grammar for a file, by its ending; None when there is none."""
        _, dot, ending = path.rpartition("/")[2].rpartition(".")
        if not dot or (source := self._sources.get(f".{ending.lower()}")) is None:
            return None
        name, package, query = source
        if name not in self._grammars:
            self._grammars[name] = Grammar(package, query)
        return self._grammars[name]


def _definition(name: Node, kind: Kind, span: Node) -> Span:
    last = span.end_point
    # A span that ends before the first character of a line does not include that line.
    end = last.row if last.column == 0 and last.row > span.start_point.row else last.row + 1
    text = (name.text or b"").decode("utf-8", "replace")
    return Span(text, kind, span.start_point.row, end)
