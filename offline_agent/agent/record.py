"""What the built-in model writes: one record, which the program turns into an answer.

    where close[2]        it is asked where `close` is, which excerpt 2 defines        (so are what and args)
    where close none      it is asked where `close` is, which no excerpt defines
    uses close            it is asked who uses `close`
    which[2]              excerpt 2 fits what the question describes
    grep TODO | src       a tool is to be called
    hello                 a courtesy, or a question about the model       (code: asked to write some, other: anything else)

The model only chooses. The grammar of a question admits no other records than these: a name that stands in the question with the
marker of an excerpt that it names, `none` for a name that names none, arguments that stand in the question.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from offline_agent.agent.naming import Defined, closeness, is_marked, is_name, meant_in, words_of

INTENTS = ("where", "what", "args")
TOOLS = {
    "list": ("path",), "read": ("path", "start", "end"), "grep": ("pattern", "path"), "glob": ("pattern",),
    "search_code": ("query",), "run": ("command",), "edit": ("path", "old", "new"), "write": ("path", "content"),
    "todo": ("item",), "ask_user": ("question",), "explore": ("question",),
}  # fmt: skip
"""The tools, and the names of what a record gives them, in its order."""
_NEEDED = {"read": 1, "grep": 1}  # arguments at least; of the others all
PLAIN = ("hello", "code", "other")
JOINT = " | "
_NUMBERS = {"start", "end"}
_ONE_WORD = {"path", *_NUMBERS}
_ELSEWHERE = {"list": ("path", "."), "run": ("command", "pytest")}  # what need not stand in the question
_OF_FOLDERS = {"list", "grep"}
_EXACTLY = 2  # how close a name is that is written as the definition is
_QUOTES, _MARKS = "`'\"", "?!,;:."
_MOST_WORDS = 48  # of a question that arguments are taken from: pasted files are no requests
_MOST_CHUNKS = 9  # a marker has one digit
_CITED = re.compile(rf"^(?P<intent>{'|'.join(INTENTS)}) (?P<name>\S+)(?:\[(?P<number>[1-9])\]| none)$")
_WHICH = re.compile(r"^which\[([1-9])\]$")
_USES = re.compile(r"^uses (\S+)$")
_LINE = re.compile(r"(?<!\d)[0-9]{1,9}(?!\d)")


@dataclass(frozen=True)
class Cited:
    """Excerpt `number`, from 1, and what was asked of it: one of INTENTS, or "which"."""

    number: int
    intent: str
    name: str = ""


@dataclass(frozen=True)
class Users:
    name: str


@dataclass(frozen=True)
class Absent:
    name: str
    intent: str = "where"


@dataclass(frozen=True)
class Request:
    """A call of `tool` with `arguments` in the order of TOOLS; the last ones may be missing."""

    tool: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Plain:
    """One of PLAIN."""

    kind: str


Record = Cited | Users | Absent | Request | Plain


def parse(text: str) -> Record | None:
    """The record that a text is; None for any other text."""
    text = text.strip()
    if (match := _CITED.match(text)) and is_name(match["name"]):
        intent, name, number = match["intent"], match["name"], match["number"]
        return Cited(int(number), intent, name) if number else Absent(name, intent)
    if match := _WHICH.match(text):
        return Cited(int(match[1]), "which")
    if (match := _USES.match(text)) and is_name(match[1]):
        return Users(match[1])
    if text in PLAIN:
        return Plain(text)
    return _request(*text.partition(" ")[::2])


def _request(tool: str, rest: str) -> Request | None:
    names = TOOLS.get(tool, ())
    arguments = tuple(rest.split(JOINT, len(names) - 1)) if names else ()
    enough = names and len(arguments) >= _NEEDED.get(tool, len(names))
    readable = all(
        _LINE.fullmatch(argument) if name in _NUMBERS else argument.strip()
        for name, argument in zip(names, arguments, strict=False)
    )
    return Request(tool, arguments) if enough and readable else None


def grammar(question: str, chunks: Sequence[Defined]) -> str:
    """GBNF of the records that can be true of these excerpts and can be read from this question."""
    question = question.encode("utf-8", "replace").decode()  # half of a surrogate pair is no character of a grammar
    chunks = chunks[:_MOST_CHUNKS]
    rules: dict[str, str] = {}
    meant = meant_in(question, chunks)
    names = meant.items()
    cited = [f"{name}[{position + 1}] " for name, positions in names for position in positions]
    if cited:
        rules["cited"] = f'intent " " ({_any(cited)})'
    if absent := [name for name, found in names if not found and _may_be_absent(name, question, meant, chunks)]:
        rules["absent"] = f'intent " " ({_any(absent)}) " none"'
    if names:
        rules["uses"] = f'"uses " ({_any(name for name, _ in names)})'
    sure = any(found and is_marked(name, question) for name, found in names)
    if chunks and not sure:
        rules["which"] = f'"which" ({_any(f"[{number}] " for number in range(1, len(chunks) + 1))})'
    spans = dict(_span_rules(question.split()[:_MOST_WORDS]))
    rules["plain"] = _any(PLAIN)
    offered = [tool for tool in TOOLS if tool != "list" or not sure]  # who names a definition asks for no directory
    tools = {f"tool-{tool.replace('_', '-')}": _tool_rule(tool, question, spans, meant) for tool in offered}
    rules |= {name: rule for name, rule in tools.items() if rule}
    root = " | ".join(rules)
    return "\n".join(
        f"{name} ::= {rule}" for name, rule in {"root": root, "intent": _any(INTENTS), **rules, **spans}.items()
    )


def _may_be_absent(name: str, question: str, meant: Mapping[str, Sequence[int]], chunks: Sequence[Defined]) -> bool:
    """Whether a name that no excerpt defines may be what is asked about. A mere word is not where another word is the name of a
    definition, or where it is heard in names and paths."""
    if is_marked(name, question):
        return True
    heard = {word for chunk in chunks for word in words_of(f"{chunk.path} {chunk.symbol}")}
    exactly = any(0 < closeness(other, chunks[at]) <= _EXACTLY for other, found in meant.items() for at in found)
    return name.lower() not in heard and not exactly


def _tool_rule(tool: str, question: str, spans: dict[str, str], meant: Mapping[str, Sequence[int]]) -> str:
    """Its arguments one after the other, from some place on all left out; empty where the question cannot hold what it needs."""
    rule = ""
    names = TOOLS[tool]
    if JOINT.strip() in question.split() and not _ONE_WORD.issuperset(names[:-1]):
        return ""  # nobody could tell where such an argument ends
    for position, name in reversed(list(enumerate(names))):
        values = _values(tool, name, question, spans, meant)
        needed = position < _NEEDED.get(tool, len(names))
        if not values and needed:
            return ""
        if values:
            joint = _literal(JOINT if position else f"{tool} ")
            rule = f"{joint} ({values}) {rule}".rstrip()
            rule = rule if needed else f"({rule})?"
    return rule


def _values(tool: str, name: str, question: str, spans: dict[str, str], meant: Mapping[str, Sequence[int]]) -> str:
    """The alternatives for one argument, as GBNF; empty where there are none. A file is a word that looks like one, and that
    names no definition."""
    elsewhere, value = _ELSEWHERE.get(tool, ("", ""))
    others = [value] if elsewhere == name else []
    if name in _NUMBERS:
        return _any(_LINE.findall(" ".join(question.split()[:_MOST_WORDS])))
    if name in _ONE_WORD:
        paths = [path for path in paths_in(question) if tool in _OF_FOLDERS or is_file_like(path)]
        return _any([*others, *(path for path in paths if not meant.get(path))])
    return " | ".join([*(["span"] if spans else []), *map(_literal, others)])


def paths_in(question: str) -> list[str]:
    """Every word that could be a path, without quotes, marks and line numbers; and as it is written."""
    words = [form for word in question.split()[:_MOST_WORDS] for form in _forms(_unquoted(word))]
    return list(dict.fromkeys(re.sub(r"(?<=.):\d+(-\d+)?$", "", word) for word in words))


def is_file_like(word: str) -> bool:
    """`cart.py`, `src/cart`, `Makefile`, `.env`: whether a word can be a file."""
    return bool(re.search(r"[./\\]\w", word)) or word[:1].isupper() or "_" in word


def _forms(text: str) -> list[str]:
    """Without the quotes and marks at its end, and with them: `./...` may be meant so."""
    return list(dict.fromkeys([text.rstrip(_QUOTES + _MARKS) or text, text]))


def _unquoted(word: str) -> str:
    return word.lstrip(_QUOTES) or word


def runs_of(question: str) -> Iterator[str]:
    """What `span` admits in a grammar: any run of words, without the quotes before it, with or without the marks after it."""
    words = question.split()[:_MOST_WORDS]
    for begin in range(len(words)):
        for end in range(begin, len(words)):
            *before, last = _unquoted(words[begin]), *words[begin + 1 : end + 1]
            yield from (" ".join([*before, form]) for form in _forms(last))


def _span_rules(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The same as a chain, a rule a word: so it grows with the words and not with their square."""
    for position, word in enumerate(words):
        last = position + 1 == len(words)
        for rule, text in ((f"begin-{position}", _unquoted(word)), (f"then-{position}", word)):
            further = "" if last else f" | {_literal(text + ' ')} then-{position + 1}"
            yield rule, _any(_forms(text)) + further
    if words:
        yield "span", " | ".join(f"begin-{position}" for position in range(len(words)))


def _any(texts: Iterable[str]) -> str:
    return " | ".join(map(_literal, dict.fromkeys(texts)))


def _literal(text: str) -> str:
    escaped = re.sub(r'["\\\x00-\x1f\x7f]', lambda mark: f"\\x{ord(mark[0]):02x}", text)
    return f'"{escaped}"'
