"""Who is asked, and what is written down, in the tests of the one door."""

from collections.abc import Callable, Sequence
from typing import Any

from offline_agent.actions import Answer, Proposal


class Person:
    """An Asker who gives `answers` one after the other, then says no. `meanwhile` happens before each."""

    def __init__(self, *answers: Answer, meanwhile: Callable[[], object] = lambda: None) -> None:
        self._answers = iter(answers)
        self._meanwhile = meanwhile
        self.asked: list[Proposal] = []

    def permit(self, proposal: Proposal) -> Answer:
        self.asked.append(proposal)
        self._meanwhile()
        return next(self._answers, Answer(decision="reject"))

    def ask(self, question: str, choices: Sequence[str]) -> str | None:
        raise AssertionError("nothing asks a question here")


class Notes:
    """An Audit in memory."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []

    def add(self, kind: str, **body: Any) -> None:
        self.notes.append({"kind": kind, **body})

    @property
    def kinds(self) -> list[str]:
        return [note["kind"] for note in self.notes]


ONCE, ALWAYS = Answer(decision="once"), Answer(decision="always")
EVERYTHING = 100 * (ONCE,)
"""What somebody says who does not look."""
