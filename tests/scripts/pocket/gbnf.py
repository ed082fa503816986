"""Whether a grammar admits a text: the little of GBNF that records use (literals, rules, groups, `|` and `?`)."""

import re
from dataclasses import dataclass

_WORD = re.compile(r'"(?:\\.|[^"\\])*"|::=|[\w-]+|[|()?]')
_ESCAPED = re.compile(r"\\(?:x([0-9a-f]{2})|(.))")


@dataclass(frozen=True)
class Literal:
    text: str


@dataclass(frozen=True)
class Rule:
    name: str


@dataclass(frozen=True)
class Choice:
    """One of `sequences`, or nothing where it is `optional`."""

    sequences: tuple[tuple["Node", ...], ...]
    optional: bool = False


Node = Literal | Rule | Choice


def admits(grammar: str, text: str) -> bool:
    rules = {name: parsed(body) for name, body in (line.split(" ::= ", 1) for line in grammar.splitlines())}
    return len(text) in ends(Rule("root"), rules, text, 0)


def parsed(body: str) -> Choice:
    words = _WORD.findall(body)
    assert "".join(words).replace(" ", "") == body.replace(" ", ""), body
    choice, rest = choices(words)
    assert not rest, rest
    return choice


def choices(words: list[str]) -> tuple[Choice, list[str]]:
    """Up to the end or a closing bracket, and the words from there on."""
    sequences: list[tuple[Node, ...]] = []
    sequence: list[Node] = []
    while words and words[0] != ")":
        word, *words = words
        if word == "|":
            sequences.append(tuple(sequence))
            sequence = []
        elif word == "(":
            group, [_, *words] = choices(words)
            optional = words[:1] == ["?"]
            words = words[optional:]
            sequence.append(Choice(group.sequences, optional))
        else:
            sequence.append(Literal(unescaped(word[1:-1])) if word.startswith('"') else Rule(word))
    return Choice((*sequences, tuple(sequence))), words


def unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else escape[2], text)


def ends(node: Node, rules: dict[str, Choice], text: str, start: int) -> set[int]:
    """Everywhere that `node` can end when it begins at `start`."""
    if isinstance(node, Literal):
        return {start + len(node.text)} if text.startswith(node.text, start) else set()
    if isinstance(node, Rule):
        return ends(rules[node.name], rules, text, start)
    found = {start} if node.optional else set()
    for sequence in node.sequences:
        places = {start}
        for part in sequence:
            places = {end for place in places for end in ends(part, rules, text, place)}
        found |= places
    return found
