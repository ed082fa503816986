"""The parts of a shell line that are no lists and no loops: commands with their words and redirections, assignments, tests."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from offline_agent.guard import variables
from offline_agent.guard.shell_commands import Commands
from offline_agent.guard.shell_expand import Expansion, text_of
from offline_agent.guard.shell_state import Outcome, State, same
from offline_agent.guard.shell_text import NotUnderstood
from offline_agent.guard.shell_words import Word

if TYPE_CHECKING:
    from tree_sitter import Node

_REDIRECTS = frozenset({"file_redirect", "herestring_redirect", "heredoc_redirect"})
_RESERVED = frozenset(
    {"!", "[[", "]]", "{", "}", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for"}
) | {
    "function",
    "if",
    "in",
    "select",
    "then",
    "until",
    "while",
}
_NUMERIC = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge"})
_NAMES_A_VARIABLE = frozenset({"-v", "-R"})


class Simple:
    """`call` judges the function that words name, and gives None where they name none."""

    def __init__(
        self, expansion: Expansion, commands: Commands, call: Callable[[Sequence[Word], State], Outcome | None]
    ) -> None:
        self._expansion = expansion
        self._commands = commands
        self._call = call

    def command(self, node: "Node", state: State, redirects: "Sequence[Node]" = ()) -> Outcome:
        parts = [*node.children, *(extra for redirect in redirects for extra in arguments_after(redirect))]
        parts.sort(key=lambda part: part.start_byte)
        targets = [*redirects, *(part for part in parts if part.type in _REDIRECTS)]
        assigned = [part for part in parts if part.type == "variable_assignment"]
        words = [
            word
            for part in parts
            if part.type != "variable_assignment"
            for each in (arguments_after(part) if part.type in _REDIRECTS else [part])
            for word in self._words(each, state)
        ]
        for assignment in assigned:
            self._assign(assignment, state, before_command=bool(words))
        for redirect in targets:
            self.redirect(redirect, state)
        if not words:
            return same(state)
        if words[0].plain and words[0].value in _RESERVED:
            raise NotUnderstood(f"{words[0].value!r} stands where it is no command")
        return self._call(words, state) or self._commands.simple(words, state)

    def _words(self, part: "Node", state: State) -> list[Word]:
        if part.type == "subshell":
            raise NotUnderstood("brackets stand where words should")
        target = part.children[0] if part.type == "command_name" else part
        if target.type == "word" and text_of(target).startswith("#"):
            raise NotUnderstood("a word begins like a comment")
        return self._expansion.words(target, state)

    def redirect(self, node: "Node", state: State) -> None:
        if node.type == "herestring_redirect":
            for child in node.children:
                self._expansion.inside(child, state)
        elif node.type == "heredoc_redirect":
            _check_heredoc(node)
            for child in node.children:
                if child.type == "heredoc_body":
                    self._expansion.inside(child, state)
                elif child.type in ("file_redirect", "herestring_redirect"):
                    self.redirect(child, state)
        else:
            self._to_file(node, state)

    def _to_file(self, node: "Node", state: State) -> None:
        operator = next(child.type for child in node.children if not child.is_named)
        targets = node.children_by_field_name("destination")
        if operator in ("<&-", ">&-"):
            return
        if not targets:
            raise NotUnderstood("a redirection leads nowhere")
        for word in self._expansion.words(targets[0], state) or [Word(text_of(targets[0]), None)]:
            self._commands.redirect(operator, word, state)

    # --- variables ---

    def _assign(self, node: "Node", state: State, *, before_command: bool = False) -> State:
        """The state after an assignment; a request, where its variable means more than its value."""
        target, value = field_of(node, "name"), node.child_by_field_name("value")
        if target.type == "subscript":
            self._expansion.subscript(target, state)
        name = text_of(target).partition("[")[0]
        if not name.isidentifier():
            raise NotUnderstood("an assignment names no variable")
        if value is not None and value.type == "array":
            for child in value.children:
                self._expansion.inside(child, state)
        word = self._expansion.word(value, state) if value is not None and value.type != "array" else None
        if value is not None and value.type != "array" and word is not None and word.value is not None:
            plain = not word.home and "~" not in text_of(value) and "{" not in text_of(value)
        else:
            plain = value is None
        if variables.is_dangerous(name) or (before_command and not variables.is_harmless(name)):
            self._commands.assignment(name, f"{name}={word.shown if word else text_of(value) if value else ''}")
        if variables.changes_reading(name):
            return state.lost()._replace(strange=True) if not before_command else state
        adds = any(child.type == "+=" for child in node.children)
        if target.type == "subscript" or adds or not plain or not variables.keeps_value(name):
            return state.without(name)
        return state.with_value(name, (word.value or "") if word else "")

    def assignment(self, node: "Node", state: State) -> Outcome:
        for child in node.children if node.type == "variable_assignments" else [node]:
            state = self._assign(child, state)
        return same(state)

    def declaration(self, node: "Node", state: State) -> Outcome:
        """`export A=1`: a command of its own; options such as -i change what assignments do from here on."""
        words = [Word(text_of(node.children[0]), text_of(node.children[0]))]
        after = state
        for child in node.children[1:]:
            if child.type == "variable_assignment":
                after = self._assign(child, after)
                text = text_of(child)
                words.append(Word(text, None if "$" in text or "`" in text else text))
            else:
                words += self._expansion.words(child, state)
        plain = words[0].shown in ("export", "local") and all(
            child.type == "variable_assignment" for child in node.children[1:]
        )
        self._commands.declared(words)
        return same(after if plain else after.forgetful()._replace(strange=True))

    def unset(self, node: "Node", state: State) -> Outcome:
        words = [Word(text_of(node.children[0]), text_of(node.children[0]))]
        for child in node.children[1:]:
            if "[" in text_of(child):
                raise NotUnderstood("the subscript of an array may run what a variable holds")
            words += self._expansion.words(child, state)
        self._commands.declared(words)
        return same(state.forgetful())

    def test(self, node: "Node", state: State) -> Outcome:
        self._check_test(node, state)
        return same(state)

    def _check_test(self, node: "Node", state: State) -> None:
        operator = next((text_of(child) for child in node.children if child.type == "test_operator"), "")
        if operator in _NAMES_A_VARIABLE:
            raise NotUnderstood("a test of a variable may run what its name holds")
        for child in node.children:
            if operator in _NUMERIC and child.is_named and child.type != "test_operator":
                self._check_number(child, state)
            if child.type.endswith("_expression"):
                self._check_test(child, state)
            elif child.is_named:
                self._expansion.inside(child, state)

    def _check_number(self, node: "Node", state: State) -> None:
        words = self._expansion.words(node, state)
        if not all(word.value is not None and word.value.lstrip("-").isdigit() for word in words):
            raise NotUnderstood("arithmetic may run what a variable holds")


def arguments_after(redirect: "Node") -> "list[Node]":
    """`cat > out x y`: the tree takes x and y for targets too."""
    if redirect.type == "heredoc_redirect":
        nested = [child for child in redirect.children if child.type == "file_redirect"]
        return redirect.children_by_field_name("argument") + [a for one in nested for a in arguments_after(one)]
    closes = any(child.type in ("<&-", ">&-") for child in redirect.children)
    return redirect.children_by_field_name("destination")[0 if closes else 1 :]


def _check_heredoc(node: "Node") -> None:
    start = next(child for child in node.children if child.type == "heredoc_start")
    end = next((child for child in node.children if child.type == "heredoc_end"), None)
    word = text_of(start)
    name = word[1:-1] if word[:1] in "'\"" and word[-1:] == word[:1] else word
    if not name.replace("_", "").isalnum() or end is None or text_of(end) != name:
        raise NotUnderstood("it is not plain where a here-document ends")


def field_of(node: "Node", name: str) -> "Node":
    found = node.child_by_field_name(name)
    if found is None:
        raise NotUnderstood(f"a {node.type.replace('_', ' ')} has no {name}")
    return found
