"""Asking the person: may this be done, and what only they know."""

from collections.abc import Callable, Sequence

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.input import Input
from prompt_toolkit.output import Output

from offline_agent.actions import Answer, Proposal
from offline_agent.cli.terminal import readable
from offline_agent.repl.render import diff_fragments, lasting_patterns, proposal_lines, visible

_ONCE, _ALWAYS, _NO = ("y", "yes"), ("a", "always"), ("n", "no")


class TerminalAsker:
    """An Asker at the terminal. `begin_line` has what comes next begin a line; `go_on` says, once something was allowed, what is
    waited for."""

    def __init__(
        self,
        begin_line: Callable[[], None],
        keyboard: Input | None = None,
        screen: Output | None = None,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        self._begin_line = begin_line
        self._go_on = go_on
        self._screen = screen
        self.shown = False
        """Whether a diff was shown since this was last set: nobody wants to see it again at once."""
        self._prompt: PromptSession[str] = PromptSession(input=keyboard, output=screen)

    def permit(self, proposal: Proposal) -> Answer:
        """Shows what is proposed, whole, and takes y, a, n, or a reason against it. Ctrl-C stops the turn, Ctrl-D is a no."""
        answer = self._permit(proposal)
        if answer.decision != "reject":
            self._go_on()
        return answer

    def _permit(self, proposal: Proposal) -> Answer:
        self._begin_line()
        self._show(diff_fragments(proposal.diff))
        for line in proposal_lines(proposal):
            self._show([("", line)])
        self.shown = self.shown or bool(proposal.diff)
        lasting = lasting_patterns(proposal)
        if lasting:
            self._show([("", f"  always would allow here: {', '.join(lasting)}")])
        while (said := self._read(self._question(bool(lasting)))) is not None:
            if said.lower() in _ONCE:
                return Answer(decision="once")
            if said.lower() in _ALWAYS and lasting:
                return Answer(decision="always")
            if said.lower() in _NO:
                break
            if len(said.split()) > 1 and said.split()[0].lower().strip(",.!") not in (*_ONCE, *_ALWAYS):
                return Answer(decision="reject", message=f"The user declined and said: {said}")
            self._show([("", "Type y or n alone, or some words on why not.")])
        return Answer(decision="reject")

    def ask(self, question: str, choices: Sequence[str]) -> str | None:
        """The person's words, or the choice whose number they typed."""
        self._begin_line()
        self._show([("bold", visible(question))])
        for number, choice in enumerate(choices, 1):
            self._show([("", f"  {number}. {visible(choice)}")])
        said = self._read("your answer: ")
        if said and said.isdecimal() and 1 <= int(said) <= len(choices):
            return choices[int(said) - 1]
        return said or None

    def _question(self, lasting: bool) -> str:
        always = ", a always in this repository" if lasting else ""
        return f"y once{always}, n no, or say why not: "

    def _read(self, question: str) -> str | None:
        """A line; None at the end of the keyboard."""
        try:
            return readable(self._prompt.prompt(question).strip())
        except EOFError:
            return None

    def _show(self, fragments: list[tuple[str, str]]) -> None:
        if fragments:
            print_formatted_text(FormattedText(fragments), output=self._screen)
