"""Whether what came to a question is right."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from offline_agent.agent.answer import TEXTS
from offline_agent.agent.naming import closeness
from offline_agent.agent.pocket import Carrier
from offline_agent.agent.record import INTENTS, PLAIN, TOOLS, Request
from offline_agent.types import ToolCall
from scripts.evaluate.pocket_cases import Asked

NOT_FOUND = "I do not know"


class Place(NamedTuple):
    path: str
    symbol: str


@dataclass(frozen=True)
class Given:
    """What came: the answer, what it cites as (path, first line, last line, symbol), and the call that was made."""

    text: str
    citations: tuple[tuple[str, int, int, str], ...]
    verified: bool
    tool: str = ""
    arguments: tuple[str, ...] = ()
    seconds: float = 0.0  # from the search to the first word
    shown: bool = False  # a definition that is right was among the excerpts
    first: bool = False  # it was the first of them


@dataclass(frozen=True)
class Outcome:
    asked: Asked
    given: Given
    right: bool
    cited: bool  # the right chunk, whatever was said of it
    false: int  # citations of what is not in the repository


def values_of(call: ToolCall) -> tuple[str, ...]:
    """The arguments as a record has them."""
    given = call.arguments
    if call.name == "edit":
        return given["path"], given["edits"][0]["old"], given["edits"][0]["new"]
    if call.name == "todo":
        return (given["items"][-1],)
    return tuple(str(given[name]).removesuffix("\n") for name in TOOLS[call.name] if name in given)


def judge(asked: Asked, given: Given, root: Path) -> Outcome:
    false = sum(not exists(root, *citation) for citation in given.citations)
    first = (given.citations[0][0], given.citations[0][3]) if given.citations else ("", "")
    constructed = (first[0], first[1].removesuffix(".__init__")) if asked.kind == "args" else first
    cited = given.verified and (first in asked.symbols or constructed in asked.symbols or means_as_well(asked, first))
    right = cited
    if asked.kind in INTENTS:
        right = cited and answers(asked.kind, given.text)
    elif asked.kind == "uses":
        right = cited = used(asked, given, root)
    elif asked.kind == "none":
        right = cited = not given.verified and NOT_FOUND in given.text
    elif asked.kind in TOOLS:
        cited = given.tool == asked.kind
        right = cited and given.arguments == expected(asked)
    elif asked.kind in PLAIN:
        right = cited = given.text == TEXTS[asked.kind]
    return Outcome(asked, given, right, cited, false)


def means_as_well(asked: Asked, place: tuple[str, str]) -> bool:
    """Whether a name means a definition as well as it means those that are known: of a file that is no part of the cases."""
    fits = [closeness(asked.name, Place(*known)) for known in asked.symbols]
    fit = closeness(asked.name, Place(*place)) if asked.kind in INTENTS else 0
    return bool(fits) and 0 < fit <= min(fits)


def answers(kind: str, text: str) -> bool:
    return {"where": " is defined at ", "what": "): ", "args": " takes `"}[kind] in text


def expected(asked: Asked) -> tuple[str, ...]:
    """What the program makes of the arguments: a text that is no pattern is looked for as it stands."""
    return values_of(Carrier().call(Request(asked.kind, asked.arguments)))


def used(asked: Asked, given: Given, root: Path) -> bool:
    last = re.split(r"\.|::|#", asked.name)[-1]
    if not given.verified:
        return False
    if given.text.startswith("Nothing that the search found uses"):
        return not anywhere(last, root)
    lines = [(root / path).read_text(encoding="utf-8").splitlines()[start - 1] for path, start, _, _ in given.citations]
    return " is used here" in given.text and bool(lines) and all(last.lower() in line.lower() for line in lines)


def anywhere(name: str, root: Path) -> bool:
    """Whether a line of code has the name and does not define it."""
    word, definition = (
        re.compile(rf"\b{re.escape(name)}\b"),
        re.compile(rf"\s*(#|(async )?(def|class) {re.escape(name)}\b)"),
    )
    texts = (file.read_text(encoding="utf-8") for file in root.rglob("*.py"))
    return any(word.search(line) and not definition.match(line) for text in texts for line in text.splitlines())


def exists(root: Path, path: str, start: int, end: int, _: str) -> bool:
    """Whether the cited lines are there."""
    file = root / path
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    return 1 <= start <= end <= len(lines)
