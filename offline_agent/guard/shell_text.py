"""A shell line becomes a syntax tree, or a reason why it is not understood.

tree-sitter-bash reads most of what bash reads, but the two are not the same program. What a person is shown must be what runs, so a
line is taken only where no doubt is left: no error in the tree, no byte of the line that no token accounts for, and no character
that a screen shows otherwise than a shell reads it.
"""

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

MOST_BYTES = 65536
MOST_LEVELS = 200  # of the tree; what people write has 30. Walking it takes a few frames of Python's stack a level
_MOST_NODES = 20_000

# Inside a token a continued line joins its halves, and tree-sitter and bash do not agree on which tokens may be halved.
_JOINED = re.compile(rb"(?<![ \t\n\\])(?:\\\\)*\\\n(?![ \t]|\Z)")
_BLANK = re.compile(rb"(?:[ \t\n]|\\\n)*")
_SPACE = re.compile(rb"(?:[ \t]|\\\n)*")
# A line feed ends these; the tree may go on after one that is followed by a continued line.
_ONE_LINE = frozenset(
    {"command", "declaration_command", "unset_command", "negated_command", "variable_assignments"}
) | {
    "file_redirect",
    "herestring_redirect",
    "redirected_statement",
}
_NOTHING = re.compile(rb"")
_ONE_WORD = frozenset({"concatenation", "simple_expansion", "brace_expression"})
_HIDDEN = {"Cc": "a control character", "Cf": "an invisible character", "Zs": "a space that is none"}
_HIDDEN |= dict.fromkeys(("Zl", "Zp"), "a line break that is none") | dict.fromkeys(("Cs",), "a byte that is not UTF-8")
_HIDDEN |= dict.fromkeys(("Co", "Cn"), "a character that no screen shows")
# What may stand between the tokens of these was no token: text of a string, and of a here-document.
_TEXTS = frozenset({"string", "heredoc_body"})
_STRINGS = frozenset({"string", "raw_string", "ansi_c_string", "translated_string", "regex", "extglob_pattern"})
_EXPANSIONS = frozenset(
    {"simple_expansion", "expansion", "command_substitution", "arithmetic_expansion", "brace_expression"}
)
_WORDS = _STRINGS | _EXPANSIONS | {"word", "number", "concatenation", "file_descriptor", "special_variable_name"}
# Words for bash, but only in these places.
_MARKS = {
    "test_command": ("[", "[[", "]", "]]"),
    "compound_statement": ("{", "}"),
    "negated_command": ("!",),
    "command": ("==", "=~"),
}
_DESCRIPTOR = re.compile(r"\d+|\{\w+\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+")
_LIVE = re.compile(r"(?:[^\\]|^)(?:\\\\)*(?:`|\$[({\[]|[<>]\()")
# Tokens whose text bash does not look into, or where shell_words.py looks itself.
_DEAD = frozenset({"raw_string", "ansi_c_string", "comment", "word", "heredoc_content", "heredoc_start"})


class NotUnderstood(Exception):
    """Ends the reading of a line; its text says why."""


def parse(line: str) -> "Node":
    """The root of a tree that accounts for the whole line. Raises NotUnderstood."""
    if fault := _fault(line):
        raise NotUnderstood(fault)
    data = line.encode("utf-8")
    root = _parser().parse(data).root_node
    if root.has_error:
        raise NotUnderstood("it is no shell line that can be read")
    _check(root, data)
    return root


def _fault(line: str) -> str:
    """Why a line is not even parsed; empty for nothing."""
    if len(line) > MOST_BYTES or len(line.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        return f"it is longer than {MOST_BYTES} bytes"
    for character in sorted(set(line) - {"\n", "\t", " "}):
        if (kind := unicodedata.category(character)) in _HIDDEN:
            return f"it has {_HIDDEN[kind]} (U+{ord(character):04X})"
    return "a line is continued in the middle of a word" if _JOINED.search(line.encode("utf-8")) else ""


@cache
def _parser() -> "Parser":
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def _check(root: "Node", data: bytes) -> None:
    """Every token in its order, with what is between them."""
    if not _BLANK.fullmatch(data, 0, root.start_byte) or not _BLANK.fullmatch(data, root.end_byte):
        raise NotUnderstood("it begins or ends with what no token accounts for")
    waiting, seen = [(root, 0, False)], 0
    word_ended, last_word = -1, ""
    while waiting:
        node, level, in_word = waiting.pop()
        children = node.children
        seen += 1
        if level > MOST_LEVELS or seen > _MOST_NODES:
            raise NotUnderstood("it is nested too deeply or too long")
        is_word = not in_word and _is_word(node)
        if node.type == "file_redirect" and node.start_byte == word_ended and _DESCRIPTOR.fullmatch(last_word):
            raise NotUnderstood("a redirection has no plain descriptor")
        if is_word:
            if node.start_byte == word_ended:
                raise NotUnderstood("two words stand together")
            word_ended, last_word = node.end_byte, (node.text or b"").decode("utf-8")
        if not children:
            _check_token(node, data)
        elif node.type not in _TEXTS:
            _check_gaps(node, children, data)
        waiting += [(child, level + 1, in_word or is_word) for child in reversed(children)]


def _is_word(node: "Node") -> bool:
    """Whether it is one word for bash, which ends only at a blank or an operator."""
    if node.is_named:
        return node.type in _WORDS
    parent = node.parent
    return node.type.isalpha() or node.type == "$" or (parent is not None and node.type in _MARKS.get(parent.type, ()))


def _check_gaps(node: "Node", children: "list[Node]", data: bytes) -> None:
    at = node.start_byte
    blank = _NOTHING if node.type in _ONE_WORD else _SPACE if node.type in _ONE_LINE else _BLANK
    for start, end in [*((child.start_byte, child.end_byte) for child in children), (node.end_byte, node.end_byte)]:
        if start < at or not blank.fullmatch(data, at, start):
            raise NotUnderstood(f"nothing accounts for {data[at:start].decode('utf-8', 'replace')!r}")
        at = end


def _check_token(node: "Node", data: bytes) -> None:
    """A token that would be expanded, but is taken for text, is a disagreement."""
    if not node.is_named and (node.text or b"").decode("utf-8") != node.type and node.type != "\n":
        raise NotUnderstood(f"{node.type!r} is something else")
    if node.type == "variable_name" and not _NAME.fullmatch((node.text or b"").decode("utf-8")):
        raise NotUnderstood("a variable has a name that is none")
    if node.type in _DEAD or not node.is_named:
        return
    if node.type == "heredoc_body" and _quoted(node):
        return
    if node.type == "file_descriptor" and not _DESCRIPTOR.fullmatch((node.text or b"").decode("utf-8")):
        raise NotUnderstood("a redirection has no plain descriptor")
    if _LIVE.search(data[node.start_byte : node.end_byte].decode("utf-8")):
        raise NotUnderstood(f"{node.type} holds what a shell may expand")


def _quoted(body: "Node") -> bool:
    """Whether the text of a here-document is taken as it is."""
    parent = body.parent
    start = next((child for child in parent.children if child.type == "heredoc_start"), None) if parent else None
    return start is not None and bool(set(start.text or b"") & set(b"'\"\\"))
