from collections.abc import Sequence

import pytest

from offline_agent.actions import Answer, Proposal
from offline_agent.tools.ask import AskArguments, AskUser
from offline_agent.tools.plain import PlainWorkspace


class Person:
    """An Asker who says one thing."""

    def __init__(self, words: str | None) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self._words = words

    def permit(self, proposal: Proposal) -> Answer:
        raise AssertionError("nothing needs leave here")

    def ask(self, question: str, choices: Sequence[str]) -> str | None:
        self.asked.append((question, tuple(choices)))
        return self._words


def test_an_answer_is_the_persons_word(workspace: PlainWorkspace) -> None:
    person = Person(" the second \n")
    result = AskUser(person, workspace).run(AskArguments(question="Which?", choices=("a", "b")))
    assert person.asked == [("Which?", ("a", "b"))]
    assert result.text == "The user answers: the second"
    assert result.summary == "ask_user Which?: the second"
    assert result.ours
    assert workspace.permitted == [("question", "*")]


@pytest.mark.parametrize("words", [None, "  "])
def test_nobody_answers(workspace: PlainWorkspace, words: str | None) -> None:
    result = AskUser(Person(words), workspace).run(AskArguments(question="Which?"))
    assert result.text.startswith("Nobody answers. Decide by yourself")
    assert not result.failed
