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
from dataclasses import dataclass

from offline_agent.agent.arguments import LINE
from offline_agent.agent.naming import is_name

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
_CITED = re.compile(rf"^(?P<intent>{'|'.join(INTENTS)}) (?P<name>\S+)(?:\[(?P<number>[1-9])\]| none)$")
_WHICH = re.compile(r"^which\[([1-9])\]$")
_USES = re.compile(r"^uses (\S+)$")


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
        LINE.fullmatch(argument) if name in ("start", "end") else argument.strip()
        for name, argument in zip(names, arguments, strict=False)
    )
    return Request(tool, arguments) if enough and readable else None
