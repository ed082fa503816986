"""Nodes of the tree become words: what is quoted, what is known, and what runs on the way to a word.

Some expansions run commands that no tree shows: bash takes the value of a variable in arithmetic for an expression, and in that a
subscript may hold `$(...)`; `${!x}` and `${x@P}` do so too. They are not understood unless nothing but numbers can be in them.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from offline_agent.guard.shell_state import State
from offline_agent.guard.shell_text import NotUnderstood
from offline_agent.guard.shell_words import Bit, Word, ansi, bare, in_quotes, words_of

if TYPE_CHECKING:
    from tree_sitter import Node

_INTEGER = re.compile(r"-?\d+")
_NAME = re.compile(r"[A-Za-z_]\w*")
_PLAIN_INDEX = re.compile(r"\d+|[@*]|-1")
_OPERATORS = frozenset({"binary_expression", "unary_expression", "ternary_expression", "parenthesized_expression"})
_RISKY = {"!": "it takes a value for a name", "@": "it transforms a value"}
_SET = frozenset({"=", ":="})
_SUBSTITUTIONS = frozenset(
    {"command_substitution", "process_substitution", "arithmetic_expansion", "expansion", "simple_expansion"}
)

_LITERALS: dict[str, Callable[[str], list[Bit]]] = {
    **dict.fromkeys(("word", "brace_expression", "extglob_pattern", "variable_name", "number"), bare),
    **dict.fromkeys(("$", "==", "=~"), lambda text: [Bit(text)]),
    "raw_string": lambda text: [Bit(text[1:-1], quoted=True)],
    "ansi_c_string": ansi,
}


def text_of(node: "Node") -> str:
    return (node.text or b"").decode("utf-8")


class Expansion:
    """`run` judges the commands in a substitution."""

    def __init__(self, root: str, run: Callable[["Node", State], None]) -> None:
        self._root = root
        self._run = run

    def words(self, node: "Node", state: State) -> list[Word]:
        """What one word of the line becomes."""
        return words_of(self.bits(node, state), self._absolute(state))

    def word(self, node: "Node", state: State) -> Word:
        """A word that must stay one: the target of a redirection, a value."""
        words = self.words(node, state)
        return words[0] if len(words) == 1 else Word(text_of(node), None, plain=False)

    def bits(self, node: "Node", state: State) -> list[Bit]:
        kind = node.type
        if kind in _LITERALS and not (kind == "number" and node.children):
            return _LITERALS[kind](text_of(node))
        if kind == "string":
            return self._string(node, state)
        if kind == "concatenation":
            for before, after in pairwise(node.children):
                # `a$"b"`: the string is to be translated. The tree has a dollar, and a string.
                if text_of(before).endswith("$") and after.type in ("string", "raw_string"):
                    raise NotUnderstood("a dollar stands before a string")
            return [bit for child in node.children for bit in self.bits(child, state)]
        if kind in ("process_substitution", "translated_string"):
            self.inside(node, state)
            known = kind == "process_substitution"
            return [Bit("/dev/fd/63" if known else text_of(node), quoted=True, known=known)]
        if kind in _SUBSTITUTIONS:
            return [self._expanded(node, state, quoted=False)]
        raise NotUnderstood(f"a word is made of {kind.replace('_', ' ')}")

    def inside(self, node: "Node", state: State) -> None:
        """Judges what runs anywhere below a node whose value does not matter."""
        kind = node.type
        if kind in ("command_substitution", "process_substitution"):
            self._run(node, state)
        elif kind == "word":
            bare(text_of(node))
        elif kind == "arithmetic_expansion":
            self.arithmetic(node, state)
        elif kind == "expansion":
            self._parameter(node, state)
        elif kind == "subscript":
            self.subscript(node, state)
        else:
            for child in node.children:
                self.inside(child, state)

    def arithmetic(self, node: "Node", state: State) -> None:
        """Raises NotUnderstood where a value may be more than a number."""
        for child in node.children:
            known = child.type in ("variable_name", "simple_expansion", "word", "number") and self._is_number(
                child, state
            )
            if child.is_named and not known:
                if child.type not in _OPERATORS:
                    raise NotUnderstood("arithmetic may run what a variable holds")
                self.arithmetic(child, state)
            elif child.type.endswith("=") and child.type not in ("==", "!=", "<=", ">="):
                raise NotUnderstood("arithmetic changes a variable")

    def _is_number(self, node: "Node", state: State) -> bool:
        text = text_of(node).removeprefix("$")
        return bool(_INTEGER.fullmatch(text if text[:1].isdigit() else self._variable(text, state) or ""))

    def subscript(self, node: "Node", state: State) -> None:
        index = node.child_by_field_name("index")
        if index is None or not _PLAIN_INDEX.fullmatch(text_of(index)):
            raise NotUnderstood("the subscript of an array may run what a variable holds")

    def _string(self, node: "Node", state: State) -> list[Bit]:
        data, at = node.text or b"", 1
        bits: list[Bit] = [Bit("", quoted=True)]
        for child in node.children:
            if child.type in _SUBSTITUTIONS:
                start = child.start_byte - node.start_byte
                bits += in_quotes(data[at:start].decode("utf-8"))
                bits.append(self._expanded(child, state, quoted=True))
                at = child.end_byte - node.start_byte
        return bits + in_quotes(data[at:-1].decode("utf-8"))

    def _expanded(self, node: "Node", state: State, *, quoted: bool) -> Bit:
        text = text_of(node)
        if node.type == "arithmetic_expansion":
            self.arithmetic(node, state)
        elif node.type == "expansion":
            self._parameter(node, state)
        elif node.type in ("command_substitution", "process_substitution"):
            self._run(node, state)
        name = text[2:-1] if text.startswith("${") else text[1:]
        if node.type not in ("expansion", "simple_expansion") or not _NAME.fullmatch(name):
            directory = self._absolute(state) if text in ("$(pwd)", "`pwd`") else None
            return (
                Bit(text, quoted, known=False, split=not quoted)
                if directory is None
                else Bit(directory, True, True, not quoted)
            )
        if name == "HOME" and name not in state.variables and not state.strange:
            return Bit("~", quoted=True, home=True)
        value = self._variable(name, state)
        if value is None:
            return Bit(text, quoted, known=False, split=not quoted)
        # What a variable gives is neither braces nor a tilde, but wildcards without quotes would be wildcards.
        wild = not quoted and not set("*?[\\").isdisjoint(value)
        return Bit(text if wild else value, quoted=True, known=not wild, split=not quoted)

    def _variable(self, name: str, state: State) -> str | None:
        if state.strange:
            return None
        return self._absolute(state) if name == "PWD" and name not in state.variables else state.variables.get(name)

    def _absolute(self, state: State) -> str | None:
        """The directory that the shell is in."""
        directory = state.directory
        if directory is None or directory.startswith("~"):
            return directory
        return directory if directory.startswith("/") else f"{self._root}/{directory}".removesuffix("/.")

    def _parameter(self, node: "Node", state: State) -> None:
        """`${...}`: what runs in it, or NotUnderstood."""
        operators = [child.type for child in node.children if not child.is_named]
        for operator in operators:
            if operator in _RISKY:
                raise NotUnderstood(_RISKY[operator])
            if operator in _SET:
                raise NotUnderstood("an expansion sets a variable")
        slices = ":" in operators
        for child in node.children:
            if slices and child.is_named and child.type != "variable_name" and not _INTEGER.fullmatch(text_of(child)):
                raise NotUnderstood("arithmetic may run what a variable holds")
            self.inside(child, state)
