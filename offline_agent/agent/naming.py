"""Words of a question -> the excerpts that they name.

People write `Session.close`, `close()`, `session.close`, `requests.Session.close` or `Session::close`, and mean one definition.
The best of five ways to mean one counts, and the others are then not looked at.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

_OPERATOR = r"operator(?:\(\)|\[\]|[-+*/%^&|~!=<>]+)(?!\w)"  # of C++
_NAME = re.compile(rf"(?:[\w$]+(?:\.|::|->|#))*{_OPERATOR}|[\w$]+(?:(?:\.|::|->|#)[\w$]+)*")
_DASHED = re.compile(r"(?<![\w$])[^\W\d][\w$]*(?:-[\w$]+)+")  # functions of a shell may be called so
_JOINT = re.compile(r"(?:::|->|#)(?=[\w$])")
_SIGNS = re.compile(r"(?<![\w$])\$+(?=\w)|(?<=\w)(?:\$+(?!\w)|[?!=]$)")
_PART = re.compile(r"[A-Z]+(?![^\W\d_A-Z])|[A-Z]?[^\W\d_A-Z]+|\d+")
PARTLY = 8
"""How close a name is that only has some of the words of a symbol."""
_PART_WORDS = 2  # of a name, at least, that stand for the whole: one word would be any word
_MOST_NAMES = 200  # of a question: each of them is an alternative of its grammar, and all are looked at for every token

GRAMMAR = frozenset((
    "a", "about", "accept", "accepts", "all", "am", "an", "and", "any", "are", "argument", "arguments", "at", "be", "been",
    "but", "by", "call", "called", "calls", "can", "class", "code", "could", "define", "defined", "defines", "did", "do",
    "does", "exist", "exists", "file", "files", "find", "for", "from", "function", "get", "give", "had", "handle",
    "handles", "has", "have", "he", "help", "her", "here", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its",
    "like", "locate", "me", "method", "module", "my", "need", "no", "not", "of", "on", "or", "our", "out", "parameter",
    "parameters", "please", "return", "returns", "s", "see", "she", "should", "show", "so", "some", "t", "take", "takes",
    "tell", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "us", "use",
    "used", "uses", "using", "want", "was", "way", "we", "were", "what", "when", "where", "which", "who", "whose", "why",
    "will", "with", "work", "works", "would", "you", "your",
))  # fmt: skip
"""Words that name nothing unless something is called so."""


class Defined(Protocol):
    """What has a place: a chunk. `symbol` is dotted, and empty where nothing is defined."""

    @property
    def path(self) -> str: ...

    @property
    def symbol(self) -> str: ...


def names_in(text: str) -> list[str]:
    """Everything in a text that could name a definition, once each, as it is written there."""
    return list(dict.fromkeys(match[0] for kind in (_NAME, _DASHED) for match in kind.finditer(text)))


def meant_in(question: str, chunks: Sequence[Defined]) -> dict[str, tuple[int, ...]]:
    """The names that a question can be about, and the positions of the chunks that each means.

    Where some look like code or are written as code, the other words name nothing. `send` beside `HTTPAdapter` means
    `HTTPAdapter.send`, if that is there: the class is then not asked about itself.
    """
    names = [name for name in names_in(question) if not name[0].isdigit()][:_MOST_NAMES]
    members = {name: found for name in names if (found := _members(name, names, chunks))}
    owners = {_owner(chunks[position]) for found in members.values() for position in found}
    written = [name for name in names if name in members or is_marked(name, question)] or names
    asked = [name for name in written if name.lower() not in owners] or written
    meant = {name: members.get(name) or named_by(name, chunks) for name in asked}
    return {name: found for name, found in meant.items() if found or name.lower() not in GRAMMAR} or meant


def _members(name: str, names: Sequence[str], chunks: Sequence[Defined]) -> tuple[int, ...]:
    """The chunks that a name means together with another word of the question, their class."""
    words = {other.lower() for other in names if other != name}
    return tuple(
        position for position in named_by(name, chunks) if _owner(chunks[position]) in words and "." not in name
    )


def _owner(chunk: Defined) -> str:
    """The class of a method, in lower case; empty where there is none. A function in another one is no method of it."""
    owner = ".".join(chunk.symbol.split(".")[-2:-1])
    return owner.lower() if owner != owner.lower() else ""


def is_marked(name: str, question: str) -> bool:
    """Whether a name is seen to be one. Acronyms are words too."""
    acronym = name.isalpha() and name.isupper()
    quoted = rf"(?<!\w)[`'\"]{re.escape(name)}(\(\))?[`'\"](?!\w)|(?<![\w$]){re.escape(name)}\("
    return (looks_like_code(name) and not acronym) or bool(re.search(quoted, question))


def is_name(text: str) -> bool:
    """Whether a text is one name and nothing else."""
    return bool(_NAME.fullmatch(text) or _DASHED.fullmatch(text))


def named_by(name: str, chunks: Sequence[Defined]) -> tuple[int, ...]:
    """The positions of the chunks that a name means, in their order; none where it means none of them."""
    fits = [closeness(name, chunk) for chunk in chunks]
    best = min((fit for fit in fits if fit), default=0)
    return tuple(position for position, fit in enumerate(fits) if fit and fit == best)


def closeness(name: str, chunk: Defined) -> int:
    """1 for the whole symbol, 2 for the end of one, 3 for these in another case, 4 and 5 for the whole and the end with the module
    in front, 6 and 7 for these in another case, PARTLY for some of its words in a row; 0 for none of these."""
    name, symbol = _bare(_JOINT.sub(".", name)), _bare(chunk.symbol)
    if not symbol or not name:
        return 0
    if name == symbol:
        return 1
    if _ends(symbol, name):
        return 2
    if _ends(symbol.lower(), name.lower()):
        return 3
    if within := _in_module(name, symbol, chunk.path):
        return 4 if within == symbol else 5
    if within := _in_module(name.lower(), symbol.lower(), chunk.path):
        return 6 if within == symbol.lower() else 7
    return PARTLY if _is_part(name, symbol) else 0


def _bare(name: str) -> str:
    """Without the signs that people leave out, as of `$scope`, and of `empty?` and `name=` in Ruby, which no question tells from
    its own marks."""
    return _SIGNS.sub("", name)


def _ends(symbol: str, name: str) -> bool:
    return f".{symbol}".endswith(f".{name}")


def _in_module(name: str, symbol: str, path: str) -> str:
    """The `Session` of `requests.sessions.Session`, for a chunk in src/requests/sessions.py; empty where that does not fit."""
    parts, places = name.split("."), set(re.split(r"[/.]", path.lower()))
    fits = (at for at in range(1, min(len(parts), 16)) if places.issuperset(map(str.lower, parts[:at])))
    rests = (".".join(parts[at:]) for at in fits)
    return next((rest for rest in rests if _ends(symbol, rest)), "")


def _is_part(name: str, symbol: str) -> bool:
    """`dispatch_request` of `Flask.full_dispatch_request`."""
    some, whole = words_of(name), words_of(symbol)
    rows = (whole[at : at + len(some)] for at in range(len(whole) - len(some) + 1))
    return len(some) >= _PART_WORDS and looks_like_code(name) and some in rows


def words_of(name: str) -> list[str]:
    """`parse_HTTPHeader2` -> parse, http, header, 2."""
    return [part.lower() for part in _PART.findall(name)]


def looks_like_code(name: str) -> bool:
    """Whether a name can be told from an English word by its looks."""
    return not name.isalpha() or name[1:] != name[1:].lower()


def last_part(name: str) -> str:
    """`Session.close` -> close, `Vec::operator[]` -> operator[]."""
    return _JOINT.sub(".", name).rpartition(".")[2]


def occurrences(name: str, text: str) -> Iterator[re.Match[str]]:
    """Where a text has the last part of `name` as a word."""
    return re.finditer(rf"(?<![\w$]){re.escape(last_part(name))}(?![\w$])", text)
