"""What a grammar of records admits: GBNF without repetition, such as `record.grammar` writes it."""

import re
from collections.abc import Iterator
from itertools import product

_TOKEN = re.compile(r'"(?:[^"\\]|\\x[0-9a-f]{2})*"|[a-z][a-z0-9-]*|[()|?]')


def texts_of(grammar: str, rule: str = "root") -> set[str]:
    """Every text of a rule."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.split("\n"))
    return _Reader(rules).texts(rule)


class _Reader:
    def __init__(self, rules: dict[str, str]) -> None:
        self._rules = rules
        self._known: dict[str, set[str]] = {}

    def texts(self, rule: str) -> set[str]:
        if rule not in self._known:
            text = self._rules[rule]
            assert not _TOKEN.sub("", text).strip(" "), f"not understood: {text}"
            tokens = iter(_TOKEN.findall(text))
            self._known[rule] = self._alternatives(tokens)
        return self._known[rule]

    def _alternatives(self, tokens: Iterator[str]) -> set[str]:
        """Up to the closing parenthesis, or the end."""
        found: set[str] = set()
        row: list[set[str]] = []
        for token in tokens:
            if token in (")", "|"):
                found |= _joined(row)
                row = []
                if token == ")":
                    return found
            elif token == "?":
                row[-1] = row[-1] | {""}
            else:
                row.append(self._one(token, tokens))
        return found | _joined(row)

    def _one(self, token: str, tokens: Iterator[str]) -> set[str]:
        if token == "(":
            return self._alternatives(tokens)
        if token.startswith('"'):
            return {re.sub(r"\\x(..)", lambda mark: chr(int(mark[1], 16)), token[1:-1])}
        return self.texts(token)


def _joined(row: list[set[str]]) -> set[str]:
    return {"".join(texts) for texts in product(*row)}
