"""Which lines of a chunk use a name, and which of them only define it, in every language that is indexed.

There is no parser here, so a definition is told by what stands around the name: a word such as `def` or modifiers and types before
it, a body or a `;` behind its parameters. Where that is in doubt the line counts as a use: one too many is seen to be none.
"""

import re
from collections.abc import Iterator
from enum import IntEnum

from offline_agent.agent.describe import first_line
from offline_agent.agent.naming import closeness, occurrences
from offline_agent.agent.scan import Code, closing, language_of, scan
from offline_agent.types import Chunk


class Use(IntEnum):
    """What a line does with a name; the more telling comes first."""

    CODE = 0
    IMPORT = 1
    PROSE = 2


_PROSE = (".md", ".rst", ".txt", ".adoc", ".po")
_TYPED = (".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".java", ".cs", ".ts", ".tsx", ".mts", ".cts")
_IMPORT = re.compile(r"\s*(?:from\b.*\bimport|import|using|use|require(?:_relative|_once)?|include|\#\s*include)\b")
_KEYWORD = re.compile(
    r"\b(?:def|fn|func|function|class|trait|interface|type|module|namespace|mod|record|concept|macro_rules!|\#\s*define)"
    r"(?:\s+|\s*(?=[(*]))(?:\([^()]*\)\s*|[*&]\s*|[\w:]+(?:\.|::))?$"
)
_STRUCT = re.compile(r"\b(?:struct|enum|union)\s+$")
_STRUCTURE = re.compile(r"\s*(?:$|[{:(<;]|(?:final|implements|where)\b)", re.MULTILINE)  # not `struct point p;`
_MODIFIERS = re.compile(r"[\s\w:*&<>,\[\]~@]*")
_NO_MODIFIER = re.compile(
    r"\b(?:and|assert|await|case|defer|del|delete|do|echo|elif|elsif|else|for|from|go|if|import|in|is|lambda|loop|match|new|not|or"
    r"|print|puts|raise|return|select|sizeof|switch|throw|typeof|unless|until|using|when|while|with|yield)\b"
)
_TYPE = re.compile(r"[\w>\]]\s+[*&\s]*(?:[\w<>]+::)*$|[*&]+(?:[\w<>]+::)*$")
_ASSIGNS = re.compile(r"\s*(?::(?!:)[^=;{}()]*)?=(?![=>~])")
_GENERICS = re.compile(r"\s*(?:<[^<>()]*>|\[[^\[\]()]*\])?\s*(?=\()")
_BODY = re.compile(
    r"\s*(?:(?:const|noexcept|override|final)\s*|throws\s[\w\s,.]+|(?:->|:(?!:))[^{;=]+)*(?:\{(?!\s*\|)|=>)"
)
_DECLARED = re.compile(r"\s*(?:(?:const|noexcept|override|final)\s*|throws\s[\w\s,.]+|=\s*\w+\s*)*;")
_SIGNATURE = re.compile(r"\s*:(?!:)")  # of a method in an interface of TypeScript


def uses_in(name: str, chunk: Chunk) -> Iterator[tuple[Use, int]]:
    """The lines of a chunk that use a name, counted from 0, each with what it does."""
    code = scan(chunk.text, language_of(chunk.path, chunk.text))
    begins = chunk.kind in ("function", "class") and not chunk.signature
    head = first_line(chunk) if begins and closeness(name, chunk) else ""
    lines = chunk.text.split("\n")
    for place in occurrences(name, chunk.text):
        at = chunk.text.count("\n", 0, place.start())
        if chunk.path.endswith(_PROSE) or code.plain[place.start() : place.end()] != place[0]:
            yield Use.PROSE, at
        elif _IMPORT.match(lines[at]):
            yield Use.IMPORT, at
        elif not (head and lines[at].strip().startswith(head)) and not _defines(code, place, chunk.path):
            yield Use.CODE, at


def assigned_in(name: str, chunk: Chunk) -> int | None:
    """The line, counted from 0, on which a module or class gives the name its value; None where it does not."""
    if chunk.kind not in ("module", "class"):
        return None
    code = scan(chunk.text, language_of(chunk.path, chunk.text))
    found = [place for place in occurrences(name, chunk.text) if _is_assigned(code, place)]
    if not found:  # a chunk that begins inside a string has code and strings mistaken for each other
        found = [place for place in occurrences(name, chunk.text) if _is_at_margin(chunk.text, place)]
    return chunk.text.count("\n", 0, found[0].start()) if found else None


def _is_at_margin(text: str, place: re.Match[str]) -> bool:
    return text[: place.start()].endswith(("\n", "")[place.start() == 0]) and bool(_ASSIGNS.match(text, place.end()))


def _is_assigned(code: Code, place: re.Match[str]) -> bool:
    if code.plain[place.start() : place.end()] != place[0]:
        return False
    before = code.plain[code.plain.rfind("\n", 0, place.start()) + 1 : place.start()]
    plain = _MODIFIERS.fullmatch(before) and not _NO_MODIFIER.search(before)
    return bool(plain and _ASSIGNS.match(code.plain, place.end())) or bool(re.search(r"#\s*define\s+$", before))


def _defines(code: Code, place: re.Match[str], path: str) -> bool:
    """Whether a name stands where it is defined, or declared."""
    before = code.plain[code.plain.rfind("\n", 0, place.start()) + 1 : place.start()]
    if _KEYWORD.search(before):
        return True
    if _STRUCT.search(before):
        return bool(_STRUCTURE.match(code.plain, place.end()))
    if not _MODIFIERS.fullmatch(before) or _NO_MODIFIER.search(before):
        return False
    if _ASSIGNS.match(code.plain, place.end()):
        return True
    opening = _GENERICS.match(code.plain, place.end())
    return opening is not None and _has_parameters(code, opening.end(), before, path)


def _has_parameters(code: Code, opening: int, before: str, path: str) -> bool:
    """Whether the parenthesis behind a name has parameters and not arguments, by what follows it."""
    end = closing(code.plain, opening)
    typed = path.endswith(_TYPED) and bool(_TYPE.search(before))
    if end is None:
        return typed
    if _BODY.match(code.plain, end + 1):
        return not path.endswith(".rb")  # whose calls take blocks
    declared = path.endswith((".ts", ".tsx")) and not before.strip() and _SIGNATURE.match(code.plain, end + 1)
    return bool(declared) or (typed and bool(_DECLARED.match(code.plain, end + 1)))
