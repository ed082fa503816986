from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from offline_agent.actions import Change, Command, Entry, FileText, Ran
from offline_agent.agent.explore import Explore
from offline_agent.agent.hands import Hands
from offline_agent.agent.loop import Session
from offline_agent.agent.transcript import MemoryTranscript
from offline_agent.errors import Denied, IndexUnavailable
from offline_agent.events import Acted, Answered, Called, Event, Warned
from offline_agent.llm.scripted import Answer, ScriptedModel
from offline_agent.models import ModelInfo
from offline_agent.settings import AskSettings
from offline_agent.types import ToolResult
from tests.agent.test_loop import CARD, Finder, OneHit, Query, Silence, call


class Door:
    """A workspace of which only the permissions are looked at; `denied` names what is not permitted."""

    root = Path("/repo")

    def __init__(self, *denied: str) -> None:
        self.denied = denied
        self.asked: list[tuple[str, str]] = []
        self.turns: list[str] = []

    def permit(self, permission: str, value: str, title: str) -> None:
        self.asked.append((permission, value))
        if permission in self.denied:
            raise Denied(f"{permission} is denied.")

    def turn(self, title: str) -> AbstractContextManager[None]:
        self.turns.append(title)
        return nullcontext()

    def entries(self, path: str) -> tuple[Entry, ...]:
        raise NotImplementedError

    def files(self, under: str = ".") -> Iterator[str]:
        raise NotImplementedError

    def read(self, path: str, seen: bool = True) -> FileText:
        raise NotImplementedError

    def peek(self, path: str) -> FileText | None:
        raise NotImplementedError

    def write(self, path: str, text: str, based_on: str = "") -> Change:
        raise NotImplementedError

    def run(self, command: Command, output: object = None) -> Ran:
        raise NotImplementedError


class Censor:
    """An Inspector that masks `hunter2` and suspects whoever says `obey`."""

    def mask(self, text: str) -> str:
        return text.replace("hunter2", "[redacted:password#1]")

    def suspicion(self, text: str) -> str:
        return "it says obey." if "obey" in text else ""


def session(model: ScriptedModel, hands: Hands, **settings: object) -> Session:
    return Session(
        OneHit(), model, CARD, AskSettings.model_validate(settings), MemoryTranscript(), Silence(), hands=hands
    )


def exploring(answers: list[Answer], inner: list[Answer], door: Door) -> tuple[Session, ScriptedModel, ScriptedModel]:
    inside = ScriptedModel(inner)
    explore = Explore(lambda: session(inside, Hands(tools=[Finder()])), door)
    outside = ScriptedModel(answers)
    return session(outside, Hands(tools=[explore], workspace=door)), outside, inside


def explore(question: str = "Who calls g?") -> Called:
    wanted = call(name="explore")
    return wanted.model_copy(update={"call": wanted.call.model_copy(update={"arguments": {"question": question}})})


def test_only_the_answer_comes_back() -> None:
    door = Door()
    talk, outside, inside = exploring([[explore()], "f does."], [[call("g")], "It is f, see [2]."], door)
    events = list(talk.ask("Who?"))
    result = outside.prompts[1][-1]
    assert (result.role, result.content) == ("tool", "It is f, see b.py:7-8.")
    assert ("task", "explore") in door.asked
    assert "Question: Who calls g?" in inside.prompts[0][-1].content
    assert not any("Found:" in message.content for message in outside.prompts[1])
    acted = [event.summary for event in events if isinstance(event, Acted)]
    assert acted == ['  find "g": 1 excerpt', "explored 'Who calls g?' in 1 calls"]
    assert isinstance(events[-1], Answered)
    assert events[-1].text == "f does."


def test_where_it_is_denied_nothing_is_asked() -> None:
    talk, outside, inside = exploring([[explore()], "No."], [], Door("task"))
    list(talk.ask("Who?"))
    assert outside.prompts[1][-1].content == "explore failed: task is denied."
    assert inside.prompts == []


def test_a_turn_is_one_to_be_undone() -> None:
    door = Door()
    list(session(ScriptedModel(["Fine."]), Hands(workspace=door)).ask("Do it."))
    assert door.turns == ["Do it."]


def test_secrets_do_not_reach_the_model() -> None:
    model = ScriptedModel([[call("hunter2")], "Fine."])
    list(session(model, Hands(tools=[Teller()], inspector=Censor())).ask("What is it?"))
    assert model.prompts[1][-1].content == "The password is [redacted:password#1]"


def test_what_gives_orders_is_marked_and_the_person_is_told() -> None:
    model = ScriptedModel([[call("obey")], "Fine."])
    events = list(session(model, Hands(tools=[Teller()], inspector=Censor())).ask("What is it?"))
    assert model.prompts[1][-1].content == "[it says obey.]\nThe password is obey"
    warned = [event.text for event in events if isinstance(event, Warned)]
    assert warned == ["in what find returned: it says obey."]


class Teller(Finder):
    """Tells what it was asked for."""

    def run(self, arguments: Query) -> ToolResult:
        return ToolResult(text=f"The password is {arguments.query}")


@pytest.mark.parametrize(("denied", "stopped"), [((), "end"), (("doom_loop",), "repeats")])
def test_going_in_circles_ends_the_turn_where_it_is_not_allowed(denied: tuple[str, ...], stopped: str) -> None:
    model = ScriptedModel([[call()], [call()], [call()], "Fine."])
    events: list[Event] = list(session(model, Hands(tools=[Finder()], workspace=Door(*denied))).ask("q"))
    assert isinstance(events[-1], Answered)
    assert events[-1].stopped == stopped


def test_without_a_workspace_nobody_allows_it() -> None:
    model = ScriptedModel([[call()], [call()], [call()], "Fine."])
    events = list(session(model, Hands(tools=[Finder()])).ask("q"))
    assert isinstance(events[-1], Answered)
    assert events[-1].stopped == "repeats"
    assert events[-1].text == "I stopped: find was called 3 times in a row in the same way [ask.repeats]."


def test_guidance_and_instructions_are_in_the_system_text() -> None:
    model = ScriptedModel(["Fine."])
    hands = Hands(tools=[Finder()], guidance="You may look.", instructions="Use tabs.\n" + "word " * 5000)
    list(session(model, hands).ask("q"))
    system = model.prompts[0][0].content
    assert "You may look." in system
    assert "Use tabs.\n[1 more lines are not shown]" in system


def test_the_models_size_is_known_before_its_tools_are() -> None:
    class Small(ScriptedModel):
        def load(self) -> ModelInfo:
            return super().load().model_copy(update={"parameters": 1_000_000_000})

    class Named(Finder):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.spec = Finder.spec.model_copy(update={"name": name})

    model = Small(["Fine."])
    list(session(model, Hands(tools=[Named("edit"), Named("write")])).ask("q"))
    assert [tool.name for tool in model.tools[0]] == ["write"]


def test_hands_that_could_not_be_had_are_asked_for_again() -> None:
    """Whoever goes on without them shows the model what nobody has masked."""
    given: list[Hands | None] = [None, Hands(tools=[Teller()], inspector=Censor())]

    def take() -> Hands:
        hands = given.pop(0)
        if hands is None:
            raise IndexUnavailable("The vault is busy.")
        return hands

    model = ScriptedModel([[call("hunter2")], "Fine."])
    talk = Session(OneHit(), model, CARD, AskSettings(), MemoryTranscript(), Silence(), hands=take)
    with pytest.raises(IndexUnavailable):
        list(talk.ask("What is it?"))
    list(talk.ask("What is it?"))
    assert model.prompts[1][-1].content == "The password is [redacted:password#1]"
