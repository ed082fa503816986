"""Statements of a shell line, in the order in which they run: what each asks for, and what is known after it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from offline_agent.actions import Request
from offline_agent.guard import variables
from offline_agent.guard.paths import Located
from offline_agent.guard.shell_commands import Commands
from offline_agent.guard.shell_expand import Expansion, text_of
from offline_agent.guard.shell_simple import Simple, arguments_after, field_of
from offline_agent.guard.shell_state import Outcome, State, joined, same
from offline_agent.guard.shell_text import NotUnderstood, parse
from offline_agent.guard.shell_words import Word, literal

if TYPE_CHECKING:
    from tree_sitter import Node

_MOST_STEPS = 3000  # statements gone through, those of a loop again each time
_MOST_ROUNDS = 16  # of a loop over words that are known
_MOST_INSIDE = 6  # lines within lines: sh -c "sh -c ..."
_SEPARATORS = frozenset(
    {
        ";",
        "&",
        ";;",
        ";&",
        ";;&",
        "\n",
        "{",
        "}",
        "(",
        ")",
        "$(",
        "$`",
        "`",
        "<(",
        ">(",
        "do",
        "done",
        "then",
        "else",
        "``",
    }
)


class Judge:
    """For one line. `requests` are what it asks for so far."""

    def __init__(self, root: Path, locate: Callable[[str], Located]) -> None:
        self._expansion = Expansion(str(root), self._substituted)
        self._commands = Commands(root, locate, self._nested)
        self._simple = Simple(self._expansion, self._commands, self._call)
        self._functions: dict[str, list[Node]] = {}
        self._running: list[str] = []
        self._steps = 0
        self._inside = 0

    @property
    def requests(self) -> tuple[Request, ...]:
        return self._commands.requests

    def line(self, root: "Node", state: State) -> Outcome:
        return self._sequence(root.children, state)

    def _nested(self, line: str, state: State) -> Outcome:
        """A line within the line. One that is not understood is a request of its own."""
        self._inside += 1
        try:
            if self._inside > _MOST_INSIDE:
                raise NotUnderstood("lines are nested too deeply")
            return self.line(parse(line), state)
        except NotUnderstood as doubt:
            self._commands.doubt(line, str(doubt))
            return same(state.lost()._replace(strange=True))
        finally:
            self._inside -= 1

    def _substituted(self, node: "Node", state: State) -> None:
        """A substitution runs in a shell of its own."""
        redirects = [child for child in node.children if child.type == "file_redirect"]
        for redirect in redirects:
            self._simple.redirect(redirect, state)
        if text_of(node).startswith("`") and b"\\" in (node.text or b""):
            raise NotUnderstood("backslashes within backquotes mean something else")
        self._sequence([child for child in node.children if child not in redirects], state)

    # --- lists ---

    def _sequence(self, nodes: "Sequence[Node]", state: State) -> Outcome:
        outcome = same(state)
        for at, node in enumerate(nodes):
            after = nodes[at + 1] if at + 1 < len(nodes) else None
            if node.type == "comment":
                continue
            if not node.is_named:
                if node.type not in _SEPARATORS:
                    raise NotUnderstood(f"{node.type!r} stands where a command should")
                continue
            before = outcome.either
            outcome = self._statement(node, before)
            if after is not None and after.type == "&":
                outcome = same(before)
        return outcome

    def _statement(self, node: "Node", state: State) -> Outcome:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise NotUnderstood("too much happens in it to be judged")
        handler = _STATEMENTS.get(node.type)
        if handler is None:
            raise NotUnderstood(f"a {node.type.replace('_', ' ')} stands where a command should")
        return handler(self, node, state)

    def _list(self, node: "Node", state: State) -> Outcome:
        """`a && b || c`, which the tree nests to the left."""
        steps: list[tuple[str, Node]] = []
        while node.type == "list":
            left, operator, right = _without_comments(node)
            steps.append((operator.type, right))
            node = left
        outcome = self._statement(node, state)
        for operator_type, right in reversed(steps):
            if operator_type == "&&":
                then = self._statement(right, outcome.success)
                outcome = Outcome(then.success, joined(outcome.failure, then.failure))
            elif operator_type == "||":
                then = self._statement(right, outcome.failure)
                outcome = Outcome(joined(outcome.success, then.success), then.failure)
            else:
                raise NotUnderstood(f"{operator_type!r} joins two commands")
        return outcome

    def _pipeline(self, node: "Node", state: State) -> Outcome:
        for child in _without_comments(node):
            if child.is_named:
                self._statement(child, state)
            elif child.type not in ("|", "|&"):
                raise NotUnderstood(f"{child.type!r} joins two commands")
        return same(state)

    def _negated(self, node: "Node", state: State) -> Outcome:
        outcome = self._statement(node.children[-1], state)
        return Outcome(outcome.failure, outcome.success)

    def _subshell(self, node: "Node", state: State) -> Outcome:
        self._sequence(node.children, state)
        return same(state)

    def _compound(self, node: "Node", state: State) -> Outcome:
        if node.children[0].type == "((":
            self._expansion.arithmetic(node, state)
            return same(state)
        return self._sequence(node.children, state)

    # --- choices and loops ---

    def _if(self, node: "Node", state: State) -> Outcome:
        condition, branches, at = [], [], 0
        children = node.children
        while children[at].type != "then":
            condition += [children[at]] if children[at].type not in ("if", "elif") else []
            at += 1
        body = [child for child in children[at + 1 :] if child.type not in ("elif_clause", "else_clause", "fi")]
        rest = [child for child in children[at + 1 :] if child.type in ("elif_clause", "else_clause")]
        tested = self._sequence(condition, state)
        branches.append(self._sequence(body, tested.success).either)
        other = tested.failure
        for clause in rest:
            if clause.type == "else_clause":
                branches.append(self._sequence(clause.children, other).either)
                return same(_all(branches))
            inner = [child for child in clause.children if child.type != "elif"]
            then = next(i for i, child in enumerate(inner) if child.type == "then")
            tested = self._sequence(inner[:then], other)
            branches.append(self._sequence(inner[then + 1 :], tested.success).either)
            other = tested.failure
        return same(_all([*branches, other]))

    def _case(self, node: "Node", state: State) -> Outcome:
        value = node.child_by_field_name("value")
        if value is not None:
            self._expansion.inside(value, state)
        branches = [state]
        for item in node.children:
            if item.type != "case_item":
                continue
            closing = next(i for i, child in enumerate(item.children) if child.type == ")")
            for pattern in item.children[:closing]:
                self._expansion.inside(pattern, state)
            # `;&` goes on with the next branch: each is judged with what any before it may have left.
            branches.append(self._sequence(item.children[closing + 1 :], _all(branches)).either)
        return same(_all(branches))

    def _while(self, node: "Node", state: State) -> Outcome:
        body = next(child for child in node.children if child.type == "do_group")
        condition = [child for child in node.children if child is not body and child.type not in ("while", "until")]
        condition = [child for child in condition if child.id != body.id]

        def once(before: State) -> State:
            tested = self._sequence(condition, before)
            return joined(tested.either, self._sequence(body.children, tested.either).either)

        return same(self._repeated(once, state))

    def _for(self, node: "Node", state: State) -> Outcome:
        name = text_of(field_of(node, "variable"))
        body = field_of(node, "body")
        nodes = node.children_by_field_name("value")
        words = [
            one for value in nodes for word in self._expansion.words(value, state) for one in self._globbed(word, state)
        ]
        values = [word.value for word in words if word.value is not None and not word.pattern and not word.home]
        if variables.is_dangerous(name):  # also where the words are not known: they may be anything then
            self._commands.assignment(name, f"{name}={' '.join(word.shown for word in words)}")
        chooses = node.children[0].type == "select" or not any(child.type == "in" for child in node.children)
        if chooses or len(values) != len(words) or len(values) > _MOST_ROUNDS or not variables.keeps_value(name):
            return same(self._repeated(lambda before: self._round(body, before.without(name)), state))
        for value in values:
            state = self._round(body, state.with_value(name, value))
        return same(state)

    def _globbed(self, word: Word, state: State) -> list[Word]:
        found = self._commands.matching(word, state) if word.pattern else ()
        return [literal(path) for path in found] if found else [word]

    def _round(self, body: "Node", state: State) -> State:
        return joined(state, self._statement(body, state).either)

    def _repeated(self, once: Callable[[State], State], state: State) -> State:
        """A loop: what one round changed is not known in the next."""
        after = joined(state, once(state))
        if after == state:
            return state
        moved = after.directories != state.directories
        vague = after.forgetful()._replace(directories=None if moved else state.directories)
        return joined(vague, once(vague))

    def _c_for(self, node: "Node", state: State) -> Outcome:
        raise NotUnderstood("arithmetic changes a variable")

    # --- functions ---

    def _function(self, node: "Node", state: State) -> Outcome:
        """Its body is judged here, whatever calls it and whenever, and again where it is called."""
        name = text_of(field_of(node, "name"))
        redirect = node.child_by_field_name("redirect")
        if redirect is not None:
            raise NotUnderstood("a function has a redirection of its own")
        body = field_of(node, "body")
        self._functions.setdefault(name, []).append(body)
        self._statement(body, state.forgetful())
        self._commands.function(name)
        return same(state)

    def _call(self, words: Sequence[Word], state: State) -> Outcome | None:
        name = words[0].value or ""
        if name not in self._functions:
            return None
        if name in self._running:
            raise NotUnderstood(f"the function {name} calls itself")
        self._running.append(name)
        after = _all([self._statement(body, state).either for body in self._functions[name]])
        self._running.pop()
        # Where it was defined in a shell of its own, or is defined no more, the name is that of a program.
        as_program = self._commands.simple(words, state).either
        return same(joined(joined(state, after), as_program).forgetful())

    # --- redirections of whatever stands before them ---

    def _redirected(self, node: "Node", state: State) -> Outcome:
        body, redirects = node.child_by_field_name("body"), node.children_by_field_name("redirect")
        heredocs = [one for one in redirects if one.type == "heredoc_redirect"]
        if body is None:
            outcome = same(state)
            if any(arguments_after(one) for one in redirects):
                raise NotUnderstood("words stand after a redirection")
            for redirect in redirects:
                self._simple.redirect(redirect, state)
        elif body.type == "command":
            outcome = self._simple.command(body, state, redirects)
        else:
            if any(arguments_after(one) for one in redirects):
                raise NotUnderstood("words stand after a redirection")
            for redirect in redirects:
                self._simple.redirect(redirect, state)
            outcome = self._statement(body, state)
        for heredoc in heredocs:
            outcome = self._after_heredoc(heredoc, outcome)
        return outcome

    def _after_heredoc(self, node: "Node", outcome: Outcome) -> Outcome:
        """`cat <<E | sh`, `cat <<E && ls`: what follows on the same line is inside the redirection."""
        for child in node.children:
            if child.type == "pipeline":
                self._pipeline(child, outcome.either)
            elif child.is_named and child.type in _STATEMENTS:
                then = self._statement(child, outcome.either)
                outcome = same(joined(outcome.either, then.either))
        return outcome


def _without_comments(node: "Node") -> "list[Node]":
    return [child for child in node.children if child.type != "comment"]


def _all(states: Sequence[State]) -> State:
    whole = states[0]
    for state in states[1:]:
        whole = joined(whole, state)
    return whole


_Handler = Callable[[Judge, "Node", State], Outcome]
_STATEMENTS: dict[str, _Handler] = {
    "program": lambda judge, node, state: judge._sequence(node.children, state),
    "do_group": lambda judge, node, state: judge._sequence(node.children, state),
    "list": Judge._list,
    "pipeline": Judge._pipeline,
    "negated_command": Judge._negated,
    "subshell": Judge._subshell,
    "compound_statement": Judge._compound,
    "if_statement": Judge._if,
    "case_statement": Judge._case,
    "while_statement": Judge._while,
    "for_statement": Judge._for,
    "c_style_for_statement": Judge._c_for,
    "function_definition": Judge._function,
    "command": lambda judge, node, state: judge._simple.command(node, state),
    "redirected_statement": Judge._redirected,
    "variable_assignment": lambda judge, node, state: judge._simple.assignment(node, state),
    "variable_assignments": lambda judge, node, state: judge._simple.assignment(node, state),
    "declaration_command": lambda judge, node, state: judge._simple.declaration(node, state),
    "unset_command": lambda judge, node, state: judge._simple.unset(node, state),
    "test_command": lambda judge, node, state: judge._simple.test(node, state),
}
