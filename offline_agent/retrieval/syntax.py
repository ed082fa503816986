"""What a source file defines, uses and imports: by tree-sitter and the declarations in `index/languages.toml` and `index/queries/`.

A pattern of a query captures one of these.

    @function @class @constant   a definition's whole span, with its @name, its @body where it has one, a @head where its own text
                                 begins further down (below decorators), and an @owner for a method that stands outside its type
    @declaration                 a function without a body of its own: a prototype; with a @mark only where that is `overload`
    @extension @namespace        encloses definitions and gives them its name, but defines nothing: `impl`, `namespace`
    @reference                   a name that is used; @reference.capital: one that counts only if it begins with a capital
    @import                      what `imports.py` understands of an import: the statement, or the path in it; @import.call: a call
                                 that may be one
    @text                        strings and comments, which may hold what looks like code

The time is bounded. Parsing is cut off; a tree that a query would take minutes for (100,000 brackets that nothing closes) is not
queried. (A query could be cut off too, but the binding's progress callback for queries crashes the process, tree-sitter 0.26.1.)
Queries have no predicates (`#eq?`): a tree whose parsing can be cut off reads its text through a callback, 80 microseconds a time.
"""

import importlib
import re
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tree_sitter import Language, Node, Parser, Query, QueryCursor, QueryError

from offline_agent.errors import IndexUnavailable
from offline_agent.retrieval.broken import Found, by_lines
from offline_agent.retrieval.imports import targets

Kind = Literal["function", "class", "constant", "declaration", "extension", "namespace"]
# Where one name is captured twice, the first of these holds: a function that is also a variable is a function.
_KINDS: tuple[Kind, ...] = ("declaration", "function", "class", "extension", "namespace", "constant")

_MOST_SECONDS = 0.8  # for one file; 1 MB of ordinary Python takes 0.1
_STEPS = (
    128  # of the parser between two looks at the clock, which may take longer than a step; 1 MB of code is 7,000 steps
)
_FLAT = 20_000  # nodes; a query takes 0.3 s
_DEEPEST = 1000  # levels of the tree that are queried; 100,000 take a minute
_LONGEST_SIGNATURE = 200
_LONGEST_NAME = 120
_LONGEST_CALL = 400  # bytes of a call that may be an import
_OVERLOAD = "overload"
_PIECE = 65536  # bytes handed to the parser at once
_PATTERN = re.compile(r"\n(?=[(\[])")  # a pattern begins at the margin
_WORDS = re.compile(rb"[\w\s()]*")
_GENERIC = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")
_NOT_NAMES = frozenset(
    {"self", "cls", "this", "super", "None", "True", "False", "null", "true", "false", "undefined"}
) | {
    "exports",
    "module",
    "prototype",
    "require",
}


class Span(NamedTuple):
    """A definition: `start` and `end` are (row, column) from 0, the end not included; `head` is the row its signature is on."""

    name: str
    kind: Kind
    start: tuple[int, int]
    end: tuple[int, int]
    head: int
    signature: str = ""


class Source(NamedTuple):
    """What was found in a file: spans in the order they begin, outer before inner; names used and how often; imported paths."""

    definitions: list[Span]
    references: dict[str, int]
    imports: list[str]


class Grammar:
    """One language. `above` are the beginnings of lines that belong to the definition below them."""

    def __init__(self, name: str, entry: Mapping[str, Any], query: str) -> None:
        package = entry["package"]
        try:
            language = Language(getattr(importlib.import_module(package), entry.get("language", "language"))())
            self._definitions, self._uses, self._texts = (Query(language, part) for part in _parts(query))
        except (ImportError, AttributeError):
            raise IndexUnavailable(f"The grammar package {package} is not installed. Run scripts/setup.") from None
        except (QueryError, ValueError) as error:
            raise IndexUnavailable(
                f"The query for {package} does not fit its grammar: {error}. Run scripts/setup."
            ) from None
        self.name = name
        self.above: tuple[str, ...] = tuple(entry["above"])
        self._imports: str = entry["imports"]
        self._lines = re.compile(entry["lines"])
        self._parser = Parser(language)

    def read(self, path: str, text: str) -> Source:
        """Everything from one parse; never raises. Where the tree has an error, or takes too long, lines tell what is defined."""
        # "surrogatepass" cannot fail, and tree-sitter treats what is not UTF-8 as an error node.
        data = text.encode("utf-8", "surrogatepass")
        root = self._parse(data)
        found = _definitions(_cursor(self._definitions).matches(root), data) if root is not None else {}
        uses = _cursor(self._uses).captures(root) if root is not None else {}
        spans = list(found.values())
        if root is None or root.has_error:
            texts = _cursor(self._texts).captures(root) if root is not None else {}
            spans += self._missed(text, spans, texts.get("text", ()))
        return Source(
            sorted(spans, key=lambda span: (span.start, (-span.end[0], -span.end[1]))),
            _references(uses, found, data),
            targets(self._imports, path, _imports(uses, data)),
        )

    def _parse(self, data: bytes) -> Node | None:
        """The root of the tree; None where it takes too long, or is nothing to ask."""
        try:
            root = self._parser.parse(
                lambda offset, _: data[offset : offset + _PIECE], progress_callback=_Patience().ended
            ).root_node
        except ValueError:  # cut off
            self._parser.reset()
            return None
        return None if root.has_error and _flat(root) else root

    def _missed(self, text: str, known: Iterable[Span], texts: Iterable[Node]) -> list[Span]:
        taken = {span.head for span in known}
        for node in texts:
            taken.update(range(node.start_point.row + 1, node.end_point.row + 1))
        return [_span(found) for found in by_lines(self._lines, text.split("\n"), taken)]


class _Patience:
    """Ends after some CPU of this thread: by wall time, a busy machine would forget symbols."""

    def __init__(self) -> None:
        self._steps = 0
        self._end = 0.0

    def ended(self, *_: object) -> bool:
        self._steps += 1
        if self._steps % _STEPS:
            return False
        now = time.thread_time()
        self._end = self._end or now + _MOST_SECONDS
        return now > self._end


class Languages:
    """Grammars by file ending or `#!` line; each is loaded when its first file is met. One per thread."""

    def __init__(self, declarations: Path) -> None:
        try:
            self._entries = tomllib.loads((declarations / "languages.toml").read_text(encoding="utf-8"))
            self._queries = {
                name: "\n".join(
                    (declarations / "queries" / f"{query}.scm").read_text(encoding="utf-8")
                    for query in entry.get("queries", [name])
                )
                for name, entry in self._entries.items()
            }
            self._endings = {ending: name for name, entry in self._entries.items() for ending in entry["endings"]}
            self._shebangs = {
                program: name for name, entry in self._entries.items() for program in entry.get("shebangs", ())
            }
        except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
            raise IndexUnavailable(f"The language declarations in {declarations} cannot be read: {error}.") from None
        self._grammars: dict[str, Grammar] = {}

    def grammar(self, path: str, text: str) -> Grammar | None:
        """The grammar for a file, by its ending, or by its first line where it has none; None when there is none."""
        _, dot, ending = path.rpartition("/")[2].rpartition(".")
        name = self._endings.get(f".{ending.lower()}") if dot else self._shebangs.get(_interpreter(text))
        if name is None:
            return None
        other = self._entries[name].get("instead", {})
        return self.named(next((language for language, sign in other.items() if re.search(sign, text)), name))

    def named(self, name: str) -> Grammar | None:
        """The grammar of a language (`python`); None when there is none."""
        if name not in self._grammars and name in self._entries:
            self._grammars[name] = Grammar(name, self._entries[name], self._queries[name])
        return self._grammars.get(name)


def _interpreter(text: str) -> str:
    """`#!/usr/bin/env -S python3 -u` -> python3."""
    if not text.startswith("#!"):
        return ""
    words = [word for word in text[2:200].partition("\n")[0].split() if not word.startswith("-")]
    if words and words[0].endswith("/env"):
        del words[0]
    return words[0].rpartition("/")[2] if words else ""


def _parts(query: str) -> tuple[str, str, str]:
    """A query file's patterns for definitions, for uses and for texts: what is matched in bulk is not slowed by the rest."""
    bare = "\n" + "\n".join(line for line in query.split("\n") if not line.startswith(";"))
    patterns = _PATTERN.split(bare)
    definitions = [one for one in patterns if "@name" in one]
    texts = [one for one in patterns if "@text" in one]
    uses = [one for one in patterns if "@name" not in one and "@text" not in one]
    return "\n".join(definitions), "\n".join(uses), "\n".join(texts)


def _cursor(query: Query) -> QueryCursor:
    cursor = QueryCursor(query)
    cursor.set_max_start_depth(_DEEPEST)
    return cursor


def _flat(root: Node) -> bool:
    """Whether what could not be parsed is a list of many nodes side by side, on which a query takes quadratic time."""
    waiting, seen = [root], 0
    while waiting and seen < _FLAT:
        node = waiting.pop()
        if node.child_count > _FLAT:
            return True
        seen += node.child_count
        waiting += [child for child in node.children if child.has_error]
    return bool(waiting)


def _definitions(matches: Iterable[tuple[int, Mapping[str, Sequence[Node]]]], data: bytes) -> dict[int, Span]:
    """Spans by where their name begins. Of several for one name the widest of the first kind holds."""
    best: dict[int, tuple[tuple[int, int, int], Span]] = {}
    for _, captures in matches:
        if any(_text(mark, data) != _OVERLOAD for mark in captures.get("mark", ())):
            continue
        name = captures["name"][0]
        rank, kind = next((rank, kind) for rank, kind in enumerate(_KINDS) if kind in captures)
        whole = captures[kind][0]
        order = (rank, whole.start_byte - whole.end_byte, 0 if "body" in captures else 1)
        known = best.get(name.start_byte)
        if (known is None or order < known[0]) and (symbol := _symbol(name, captures.get("owner"), data)):
            best[name.start_byte] = order, _captured(symbol, kind, whole, captures, data)
    return {at: span for at, (_, span) in best.items()}


def _captured(symbol: str, kind: Kind, whole: Node, captures: Mapping[str, Sequence[Node]], data: bytes) -> Span:
    head = captures["head"][0] if "head" in captures else whole
    first, last = whole.start_point, whole.end_point
    # A span that ends before the first character of a line does not include that line.
    end = (last.row, last.column) if last.column or last.row == first.row else (last.row - 1, _PIECE)
    signature = _signature(head, captures.get("body"), data)
    return Span(symbol, kind, (first.row, first.column), end, head.start_point.row, signature)


def _signature(head: Node, body: Sequence[Node] | None, data: bytes) -> str:
    """From the head (and the words before it on its line: `export`, `type`) to the body, or to the end of its first line."""
    begin = head.start_byte
    margin = data.rfind(b"\n", max(0, begin - 80), begin) + 1
    if margin and _WORDS.fullmatch(data, margin, begin):
        begin = margin
    end = body[0].start_byte if body else head.end_byte
    text = data[begin : min(end, begin + 2 * _LONGEST_SIGNATURE)].decode("utf-8", "replace")
    if not body:
        text = text.partition("\n")[0]
    return " ".join(text.split())[:_LONGEST_SIGNATURE].rstrip(" {")


def _symbol(name: Node, owner: Sequence[Node] | None, data: bytes) -> str:
    symbol = _dotted(_text(name, data))
    if owner:
        symbol = f"{_dotted(_text(owner[0], data))}.{symbol}"
    return symbol if len(symbol) <= _LONGEST_NAME else ""


def _dotted(name: str) -> str:
    """`Foo<T>::bar` -> Foo.bar; `module.exports.run` -> run; `A.prototype.b` -> A.b; `*Tree[K]` -> Tree."""
    if name.isidentifier():
        return name
    name = "".join(name.strip("'\"*& ").split())
    if "operator" not in name:
        name = _GENERIC.sub("", _GENERIC.sub("", name))
    name = name.replace("::", ".").replace("\\", ".").replace(".prototype.", ".")
    return name.removeprefix("module.").removeprefix("exports.").removeprefix("this.").strip(".")


def _references(uses: Mapping[str, Sequence[Node]], found: Mapping[int, Span], data: bytes) -> dict[str, int]:
    """How often each name is used; where it is defined is no use of it."""
    names = Counter(
        [data[node.start_byte : node.end_byte] for node in uses.get("reference", ()) if node.start_byte not in found]
    )
    capital = Counter(
        [
            data[node.start_byte : node.end_byte]
            for node in uses.get("reference.capital", ())
            if data[node.start_byte] < 0x5B
            and node.start_byte not in found  # "Z" is 0x5A: an ASCII capital, "$" or a digit
        ]
    )
    decoded = {name.decode("utf-8", "replace"): count for name, count in (capital | names).items()}
    return {name: count for name, count in decoded.items() if 1 < len(name) <= _LONGEST_NAME and name not in _NOT_NAMES}


def _imports(uses: Mapping[str, Sequence[Node]], data: bytes) -> list[str]:
    found = [(node.start_byte, node.end_byte) for node in uses.get("import", ())]
    found += [
        (node.start_byte, min(node.end_byte, node.start_byte + _LONGEST_CALL)) for node in uses.get("import.call", ())
    ]
    return [data[start:end].decode("utf-8", "replace") for start, end in sorted(found)]


def _span(found: Found) -> Span:
    # Columns do not matter where there is one definition a line.
    return Span(found.name, found.kind, (found.start, 0), (found.end - 1, _PIECE), found.start, found.signature)


def _text(node: Node, data: bytes) -> str:
    return data[node.start_byte : node.end_byte].decode("utf-8", "replace")
