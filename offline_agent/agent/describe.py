"""A chunk -> what can be said of its definition: parameters, first line, and the first sentence of its documentation.

All of it is quoted from the chunk, in every language that is indexed. Nothing here raises: a chunk may be cut off anywhere, and
where a definition is not found in it the answers are its first line, and no documentation.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from offline_agent.agent import summary
from offline_agent.agent.scan import Code, Language, closing, language_of, one_line, past_generics, scan
from offline_agent.types import Chunk

_FUNCTION = r"\b(?:def|fn|func|function|macro_rules!|delegate|define)(?:\s+|(?=\W))"
_CLASS = r"\b(?:class|struct|enum|union|trait|interface|type|module|record|namespace|mod|object|concept)\s+"
_BEFORE = r"(?:\([^()]*\)\s*|[*&]\s*|[\w:]+\.)?"  # a receiver, a generator's star, Ruby's `self.`
_NAMED = re.compile(rf"(?P<word>{_FUNCTION}|{_CLASS}){_BEFORE}(?P<name>[\w$]+)")
_ASSIGNED = re.compile(r"\s*(?:(?<!=)=(?![=>])|[?!]?\s*:(?!:))")
_VALUE = re.compile(r"\s*(?:async\b\s*)?(?:function\b\s*\*?\s*[\w$]*\s*)?(?:func\b\s*)?")
_EQUALS = re.compile(r"(?<![=!<>])=(?![=>])")
_ANNOTATION = re.compile(r"@[\w.]*$")
_MODIFIERS = re.compile(
    r"(?!\s*(?:return|await|throw|new|else|case|yield|go|defer|in)\b)[^=;(){}!+|?]*\w[^=;(){}!+|?]*"
)
_LEADER = re.compile(r"/\*|//[/!]?|#?")
_ATTRIBUTES = re.compile(r"(?:\s|#!?|@[\w.:]+|[()\[\]])*")
_DOCUMENTATION = re.compile(r"/\*[*!]|///|//!")
_DOCSTRING = re.compile(
    r"(?:\s|\\\n|\#[^\n]*(?:\n|\Z))*[rRuU]?"
    r"(?:(?P<marks>\"\"\"|''')(?P<long>(?:\\.|[^\\])*?)(?:(?P=marks)|\Z)"
    r"|(?P<mark>[\"'])(?P<short>(?:\\.|(?!(?P=mark))[^\\\n])*))",
    re.DOTALL,
)


class _Found(NamedTuple):
    """Where the name of a chunk's definition stands. `shown` is false where it is known from `Chunk.signature` only."""

    code: Code
    language: Language
    start: int
    end: int
    is_class: bool
    shown: bool


def signature(chunk: Chunk) -> str:
    """The parenthesised parameters of a definition as they are written, on one line; its first line where there are none.

    Where the chunk ends inside them, those that are there in full, and an ellipsis.
    """
    found = _find(chunk)
    opening = _opening(found) if found else None
    if found is None or opening is None:
        return first_line(chunk)
    end = closing(found.code.plain, opening)
    if end is not None:
        return f"({one_line(found.code, opening + 1, end).removesuffix(',')})"
    return _cut(found.code, opening) or first_line(chunk)


def docstring_summary(chunk: Chunk) -> str:
    """The first sentence of the definition's docstring or doc comment, or empty. A chunk may end inside it."""
    found = _find(chunk)
    if found is None:
        code = scan(chunk.text, language_of(chunk.path, chunk.text))
        only_comments = bool(code.comments) and not chunk.signature and _ATTRIBUTES.fullmatch(code.shallow)
        return summary.of_comments(_above(code, len(chunk.text))) if only_comments else ""
    if not found.shown:
        return ""
    if found.language.documented == "below":
        return _below(found) or _below(_implementation(found))
    return summary.of_comments(_above(found.code, found.start) or list(_inside(found)))


def first_line(chunk: Chunk) -> str:
    """The line that defines the symbol, without a comment at its end; decorators and comments above it are passed over."""
    found = _find(chunk)
    if found is None:
        return " ".join(chunk.signature.split()) or _first_code(chunk)
    text = found.code.text
    start = text.rfind("\n", 0, found.start) + 1
    end = text.find("\n", found.end)
    comments = [first for first, _ in found.code.comments if first >= found.end]
    return text[start : min([end if end >= 0 else len(text), *comments[:1]])].strip()


def _first_code(chunk: Chunk) -> str:
    """The first line that is more than a comment or a decorator; of nothing but those, the first."""
    code = scan(chunk.text, language_of(chunk.path, chunk.text))
    lines = [(line.strip(), plain.strip()) for line, plain in zip(*map(_split, (chunk.text, code.plain)), strict=True)]
    written = [line for line, plain in lines if plain and not plain.startswith(("@", "#["))]
    return next(iter(written or [line for line, _ in lines if line]), "")


def _split(text: str) -> list[str]:
    return text.split("\n")


def _find(chunk: Chunk) -> _Found | None:
    """The definition, first in what the chunk says of a beginning that it does not have, then in its text."""
    language = language_of(chunk.path, chunk.text)
    for text in (chunk.signature, chunk.text):
        code = scan(text, language)
        shown = text is chunk.text
        place = _place(code, chunk, language, shown) if text else None
        if place is not None:
            return _Found(code, language, *place, shown=shown)
    return None


def _place(code: Code, chunk: Chunk, language: Language, shown: bool) -> tuple[int, int, bool] | None:
    """Span of the name, and whether it is a class's."""
    name, is_class = _pattern(chunk.symbol), chunk.kind == "class"
    later = shown and bool(chunk.signature)  # what follows the beginning of a definition may call it
    for text in (code.shallow, code.plain) if name else ():
        word = re.search(rf"{_CLASS if is_class else _FUNCTION}{_BEFORE}(?P<name>{name})", text)
        if word:
            return *word.span("name"), is_class
        for match in re.finditer(name, text) if not (later and is_class) else ():
            if _defines(code, match, language) and not _used(code, match.start(), later):
                return *match.span(), is_class
    return None if later else _loosely(code, name, is_class, shown)


def _loosely(code: Code, name: str, is_class: bool, shown: bool) -> tuple[int, int, bool] | None:
    """Wherever the name is, as of a `typedef`; and what else is defined in a text that does not have it."""
    if place := re.search(name, code.shallow) if name else None:
        return *place.span(), is_class
    named = _NAMED.search(code.plain) if shown else None
    return (*named.span("name"), bool(re.match(_CLASS, named["word"]))) if named else None


def _used(code: Code, place: int, later: bool) -> bool:
    """Whether a name is that of an annotation, or a call's: no type or modifier stands before it."""
    before = code.shallow[max(code.shallow.rfind("\n", 0, place) + 1, place - 200) : place]
    return _ANNOTATION.search(before) is not None or (later and _MODIFIERS.fullmatch(before) is None)


def _pattern(symbol: str) -> str:
    """`A.b` -> a pattern for b; the name of a C++ operator has lost its spaces, and `*` and `&` at its end."""
    name = symbol.rpartition(".")[2]
    if not name:
        return ""
    pattern = re.escape(name)
    if name.startswith("operator"):
        pattern = r"operator\s*" + (r"\s*".join(map(re.escape, name.removeprefix("operator"))) or r"[*&]+")
    return rf"(?<![\w$@]){pattern}" + (r"(?![\w$])" if re.match(r"[\w$]", name[-1]) and name != "operator" else "")


def _defines(code: Code, name: re.Match[str], language: Language) -> bool:
    """Whether what follows a name is what follows the name of a function where it is defined."""
    return _parenthesis(code, name.end(), language) is not None or bool(
        language.assigned and _ASSIGNED.match(code.plain, name.end())
    )


def _parenthesis(code: Code, at: int, language: Language) -> int | None:
    """The `(` that belongs to what ends at `at`, type parameters passed over."""
    spaces = re.compile(r"\s*[?!]?\s*" if language.generics else r"[ \t]*")
    at = _past(spaces, code.plain, at)
    if language.generics and (end := past_generics(code.plain, at)) > at:
        at = _past(spaces, code.plain, end)
    return at if code.plain[at : at + 1] == "(" else None


def _past(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _opening(found: _Found) -> int | None:
    """Where the parameters begin; None where there are none in parentheses."""
    code, language = found.code, found.language
    if language.bare:
        return None
    if found.is_class and language.documented == "below":  # `class A(Base)`: what is called is its __init__
        made = re.compile(r"\bdef\s+__init__").search(code.plain, found.end)
        return _parenthesis(code, made.end(), language) if made else None
    opening = _parenthesis(code, found.end, language)
    return opening if opening is not None else _of_value(found)


def _of_value(found: _Found) -> int | None:
    """The parameters of a function that is a name's value: `run = async (a) =>`, `run: function (a)`, `type Run func(a)`."""
    code = found.code
    place = _ASSIGNED.match(code.plain, found.end) if found.language.assigned else None
    if place is None:
        named = re.compile(r"\s+func\b(?=\s*\()").match(code.plain, found.end)
        return _parenthesis(code, named.end(), found.language) if named else None
    end = re.compile(r"[{;]|=>|\Z").search(code.shallow, place.end())
    typed = place[0].endswith(":") and _typed_value(code, place.end(), end.start() if end else place.end())
    return _parenthesis(code, _past(_VALUE, code.plain, typed or place.end()), found.language)


def _typed_value(code: Code, start: int, end: int) -> int | None:
    """Past the `=` in `run: Handler = (a) =>`, also where the type has an arrow: `run: (a: string) => void = (a) =>`."""
    equals = _EQUALS.search(code.shallow, start, end) or re.compile(r"=>[^={}();]*?(?<![=!<>])=(?![=>])").match(
        code.shallow, end
    )
    return equals.end() if equals else None


def _cut(code: Code, opening: int) -> str:
    """What is there of parameters that the text ends inside."""
    depth, last = 0, opening
    for mark in re.compile(r"[()\[\]{},]").finditer(code.plain, opening):
        depth += (mark[0] in "([{") - (mark[0] in ")]}")
        last = mark.start() if mark[0] == "," and depth == 1 else last
    return f"({one_line(code, opening + 1, last)}, \u2026)" if last > opening else ""


def _implementation(found: _Found) -> _Found:
    """The last of the definitions in a chunk whose first is an `@overload`: it has the docstring."""
    name, plain = found.code.plain[found.start : found.end], found.code.plain
    again = re.compile(rf"\bdef\s+(?P<name>{re.escape(name)})\b") if "@overload" in plain[: found.start] else None
    places = [match.span("name") for match in again.finditer(plain, found.end)] if again else []
    return found._replace(start=places[-1][0], end=places[-1][1]) if places else found


def _below(found: _Found) -> str:
    """Of the string that is the first statement after the header's colon."""
    code = found.code
    end = past_generics(code.plain, found.end)
    colon = code.shallow.find(":", end)
    string = _DOCSTRING.match(code.text, colon + 1) if colon >= 0 else None
    return summary.of_docstring(string["long"] or string["short"] or "") if string else ""


def _above(code: Code, place: int) -> list[str]:
    """The comments that stand above the definition whose name is at `place`, with nothing but attributes between."""
    near: list[str] = []
    below = place
    for start, end in reversed(code.comments):
        if end > below:
            continue
        between = code.shallow[end:below]
        own_line = not code.text[code.text.rfind("\n", 0, start) + 1 : start].strip()
        apart = not _ATTRIBUTES.fullmatch(between) or "\n\n" in code.text[end:below] if near else _ends(between)
        if apart or not own_line:
            break
        near.insert(0, code.text[start:end])
        below = start
    return _last_block(near)


def _ends(between: str) -> bool:
    """Whether another statement lies between a comment and a name."""
    return re.search(r"[{};]", between) is not None


def _last_block(comments: Sequence[str]) -> list[str]:
    """Of comments side by side those that document: `/** */` rather than `//`, and of two blocks the last."""
    known = [comment for comment in comments if _DOCUMENTATION.match(comment)] or list(comments)
    if known and known[-1].startswith("/*") and ("\n" in known[-1] or known[-1].startswith("/**")):
        return known[-1:]
    start = len(known)
    while start and _leader(known[start - 1]) == _leader(known[-1]) and "\n" not in known[start - 1]:
        start -= 1
    return known[start:]


def _leader(comment: str) -> str:
    match = _LEADER.match(comment)
    return match[0] if match else ""


def _inside(found: _Found) -> Iterator[str]:
    """Rust's documentation inside a body: `//!` directly after the brace."""
    brace = found.code.plain.find("{", found.end)
    for start, end in found.code.comments:
        comment = found.code.text[start:end]
        if 0 <= brace < start and not found.code.plain[brace + 1 : start].strip() and comment.startswith("//!"):
            yield comment
