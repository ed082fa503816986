"""The grammar of a question: the records that can be true of the excerpts, and can be read from the words."""

import re
from collections.abc import Mapping, Sequence

from offline_agent.agent.arguments import Unit, any_of, is_file_like, lines_in, literal, paths_in, span_rules, units_of
from offline_agent.agent.naming import GRAMMAR, Defined, closeness, is_marked, meant_in, words_of
from offline_agent.agent.record import INTENTS, JOINT, PLAIN

_PATH = re.compile(r"/\w|\w\.[A-Za-z]\w*$|^\.[A-Za-z]|^(?:Makefile|Dockerfile|LICENSE|README|CHANGELOG)$")
_KNOWN = re.compile(
    r"\w\.(?:py|js|jsx|ts|tsx|go|rs|java|c|h|cc|cpp|hpp|cs|rb|php|sh|md|rst|txt|toml|ya?ml|json|cfg|ini|html?|css|sql|csv|xml)$"
)
_OF_CHANGES = frozenset(
    ("become", "becomes", "change", "edit", "instead", "make", "new", "old", "place", "put", "rather", "replace", "replaced",
     "say", "says", "something", "substitute", "swap", "text", "turn", "update", "word", "write", "wrong")
)  # fmt: skip
"""Words between the texts of a change, which are no part of them."""
_TURNED = frozenset(("for", "insert", "instead", "not", "place", "put", "rather", "use"))
"""Words of requests that may name the new text before the old one."""
_EXACTLY = 2  # how close a name is that is written as the definition is
_MOST_CHUNKS = 9  # a marker has one digit


def grammar(question: str, chunks: Sequence[Defined]) -> str:
    """GBNF of the records that can be true of these excerpts and can be read from this question."""
    question = question.encode("utf-8", "replace").decode()  # half of a surrogate pair is no character of a grammar
    chunks = chunks[:_MOST_CHUNKS]
    rules: dict[str, str] = {}
    meant = meant_in(question, chunks)
    names = meant.items()
    cited = [f"{name}[{position + 1}] " for name, positions in names for position in positions]
    if cited:
        rules["cited"] = f'intent " " ({any_of(cited)})'
    if absent := [name for name, found in names if not found and _may_be_absent(name, question, meant, chunks)]:
        rules["absent"] = f'intent " " ({any_of(absent)}) " none"'
    if names:
        rules["uses"] = f'"uses " ({any_of(name for name, _ in names)})'
    sure = any(found and is_marked(name, question) for name, found in names)
    if chunks and not sure:
        rules["which"] = f'"which" ({any_of(f"[{number}] " for number in range(1, len(chunks) + 1))})'
    rules["plain"] = any_of(PLAIN)
    tools = _tool_rules(question, meant, sure)
    root = " | ".join([*rules, *(rule for rule in tools if rule.startswith("tool-"))])
    whole = {"root": root, "intent": any_of(INTENTS), **rules, **tools}
    return "\n".join(f"{name} ::= {rule}" for name, rule in whole.items())


def _may_be_absent(name: str, question: str, meant: Mapping[str, Sequence[int]], chunks: Sequence[Defined]) -> bool:
    """Whether a name that no excerpt defines may be what is asked about. A mere word is not where another word is the name of a
    definition, or where it is heard in names and paths."""
    if is_marked(name, question):
        return True
    heard = {word for chunk in chunks for word in words_of(f"{chunk.path} {chunk.symbol}")}
    exactly = any(0 < closeness(other, chunks[at]) <= _EXACTLY for other, found in meant.items() for at in found)
    return name.lower() not in heard and not exactly


# --- tools ---


def _tool_rules(question: str, meant: Mapping[str, Sequence[int]], sure: bool) -> dict[str, str]:
    """A rule a tool that the question can be a request for, and those that they are made of."""
    units = units_of(question)
    # A bar of the person's own would leave open where an argument ends.
    parted = JOINT.strip() in question.split()
    named = [path for path in paths_in(question) if not meant.get(path)]
    files = _files_in(named, question)
    spans = span_rules(units)
    sure_files = _surely_files(files, units)
    files = sure_files or files
    parts = span_rules(units, "part", sure_files) if not parted else {}
    between = [unit.text for unit in units if not unit.quoted and unit.ending.lower() in GRAMMAR | _OF_CHANGES]
    pieces = span_rules(units, "piece", [*sure_files, *between]) if not parted else {}
    rules = {
        "list": _list_rule(named) if not sure else "",  # who names a definition asks for no directory
        "read": _read_rule(files, lines_in(question)),
        "grep": "" if parted else _grep_rule(spans, named),
        "edit": _edit_rule(files, units, pieces),
        "write": f"({any_of(files)}) {literal(JOINT)} ({_meant(parts, 'part')})" if files and parts else "",
        **{tool: _meant(spans, "span") for tool in ("glob", "search_code", "todo", "ask_user", "explore")},
        "run": " | ".join(filter(None, [_meant(spans, "span"), literal("pytest")])),
    }
    tools = {
        f"tool-{tool.replace('_', '-')}": f"{literal(tool + ' ')} ({rule})" for tool, rule in rules.items() if rule
    }
    return {**tools, **spans, **parts, **pieces}


def _list_rule(paths: Sequence[str]) -> str:
    return any_of([".", *(path for path in paths if path.lower() not in GRAMMAR)])


def _read_rule(files: Sequence[str], numbers: Sequence[str]) -> str:
    """A file, and two lines in their order where there are two numbers."""
    if not files:
        return ""
    pairs = [
        f"{first}{JOINT}{last}"
        for at, first in enumerate(numbers)
        for last in numbers[at + 1 :]
        if int(first) <= int(last)
    ]
    lines = pairs or numbers
    return f"({any_of(files)})" + (f" ({literal(JOINT)} ({any_of(lines)}))?" if lines else "")


def _grep_rule(spans: Mapping[str, str], paths: Sequence[str]) -> str:
    if not spans:
        return ""
    return f"({_meant(spans, 'span')})" + (f" ({literal(JOINT)} ({any_of(paths)}))?" if paths else "")


def _edit_rule(files: Sequence[str], units: Sequence[Unit], pieces: Mapping[str, str]) -> str:
    """A file, then two runs that begin at different words, mostly in their order. What stands between quotes is one of them, or
    both are."""
    begins = {rule: units[int(rule[6:])] for rule in pieces if re.fullmatch(r"piece-\d+", rule)}
    quoted = [rule for rule, unit in begins.items() if unit.quoted and not _PATH.search(unit.text)]
    turned = any(unit.ending.lower() in _TURNED for unit in units)  # the new text may come first
    pairs = []
    for one, unit in begins.items():
        others = begins if unit.quoted and len(quoted) < 2 else quoted or begins
        ends = [rule for rule in others if rule != one and (turned or int(rule[6:]) > int(one[6:]))]
        if ends and (len(quoted) < 2 or one in quoted):
            pairs.append(f"{one} {literal(JOINT)} ({' | '.join(ends)})")
    return f"({any_of(files)}) {literal(JOINT)} ({' | '.join(pairs)})" if files and pairs else ""


def _meant(rules: Mapping[str, str], name: str) -> str:
    """What stands between quotes where there is any, else any run."""
    return f"{name}-quoted" if f"{name}-quoted" in rules else name if name in rules else ""


def _files_in(paths: Sequence[str], question: str) -> list[str]:
    """Those that have the look of a file. A capital at the beginning of a sentence makes none; nor does any, beside a real path."""
    looking = [path for path in paths if _PATH.search(path)]
    return looking or [path for path in paths if is_file_like(path) and not question.lstrip("`'\"").startswith(path)]


def _surely_files(files: Sequence[str], units: Sequence[Unit]) -> list[str]:
    """The one word that has the look of a path, or else the one between quotes that could be a file: it is no part of what is
    written there."""
    folders = [path for path in files if "/" in path]
    known = folders or [path for path in files if _KNOWN.search(path)] or [path for path in files if _PATH.search(path)]
    quoted = [unit.text for unit in units if unit.quoted and unit.text in files]
    sure = known or quoted
    return sure if len(sure) == 1 else []
