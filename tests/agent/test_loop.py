from collections.abc import Callable
from pathlib import Path

import pytest

from offline_agent.agent.hands import Hands
from offline_agent.agent.loop import Session
from offline_agent.agent.outline import Outline
from offline_agent.agent.transcript import MemoryTranscript
from offline_agent.errors import IndexUnavailable, ModelDied
from offline_agent.events import (
    Acted,
    Answered,
    Called,
    Event,
    Filled,
    Finished,
    Misfired,
    Reading,
    Retried,
    Searched,
    Shown,
    Thought,
    Token,
)
from offline_agent.llm.scripted import ScriptedModel
from offline_agent.models import ModelCard
from offline_agent.settings import AskSettings, LogSettings, VaultSettings
from offline_agent.types import (
    Chunk,
    Hit,
    IndexStatus,
    Message,
    SearchResult,
    SessionContext,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    Value,
)
from offline_agent.vault.archive import Archive
from offline_agent.vault.plain import PlainVault
from tests.agent.template import refusals

CARD = ModelCard(name="m", file="m.gguf")
RECORDS = CARD.model_copy(update={"answers": "record"})


class OneHit:
    """A retriever that always finds the same function."""

    def search(self, query: str, limit: int) -> SearchResult:
        chunk = Chunk(path="a.py", start_line=4, end_line=5, symbol="f", text="def f():\n    pass\n")
        return SearchResult(hits=(Hit(chunk=chunk, score=1.0),))

    def status(self) -> IndexStatus:
        return IndexStatus()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(PlainVault(tmp_path), PlainVault.blob_key, VaultSettings(), LogSettings())


Open = Callable[..., Session]


@pytest.fixture
def session(archive: Archive) -> Open:
    def begin(model: ScriptedModel, card: ModelCard = CARD, outline: Outline | None = None) -> Session:
        transcript = archive.sessions.begin("/repo", "m")
        return Session(OneHit(), model, card, AskSettings(), transcript, archive.audit, outline)

    return begin


class Query(Value):
    query: str


class Finder:
    """A tool that finds one place, or fails where it is asked for `nowhere`."""

    arguments = Query
    spec = ToolSpec(
        name="find",
        description="Finds.",
        parameters={"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    )

    def __init__(self) -> None:
        self.asked: list[str] = []

    def run(self, arguments: Query) -> ToolResult:
        self.asked.append(arguments.query)
        if arguments.query == "nowhere":
            raise IndexUnavailable("The index is gone.")
        chunk = Chunk(path="b.py", start_line=7, end_line=8, symbol=arguments.query, text="def g(): ...\n")
        return ToolResult(text="Found:", hits=(Hit(chunk=chunk, score=1.0),))


def talk_with(model: ScriptedModel, earlier: SessionContext | None = None, steps: int = 8, **card: object) -> Session:
    """A session with the tool `find`, recorded in memory."""
    return Session(
        OneHit(),
        model,
        CARD.model_copy(update=card),
        AskSettings(steps=steps),
        MemoryTranscript(),
        Silence(),
        hands=Hands(tools=[Finder()]),
        earlier=earlier,
    )


class Silence:
    """An audit that keeps nothing."""

    def add(self, kind: str, **body: object) -> None:
        pass


def call(query: object = "g", name: str = "find", number: int = 1) -> Called:
    return Called(call=ToolCall(id=f"aaaaaaaa{number}", name=name, arguments={"query": query}))


def last(events: list[Event]) -> Answered:
    assert isinstance(events[-1], Answered)
    return events[-1]


def test_a_turn_searches_streams_and_answers(session: Open) -> None:
    events = list(session(ScriptedModel(["It is in [1]."])).ask("Where is f?"))
    assert isinstance(events[0], Searched)
    assert "".join(event.text for event in events if isinstance(event, Token)) == "It is in a.py:4-5."
    assert [str(citation) for citation in last(events).citations] == ["a.py:4-5"]


def test_a_record_is_shown_as_a_sentence(session: Open) -> None:
    events = list(session(ScriptedModel(["where f[1]"]), RECORDS).ask("Where is f?"))
    assert last(events).text == "`f` is defined at a.py:4-5."


def test_a_record_is_held_to_the_question_and_to_what_was_found(session: Open) -> None:
    model = ScriptedModel(["where f[1]", "hello"])
    talk = session(model, RECORDS)
    list(talk.ask("Where is `f`?"))
    assert 'cited ::= intent " " ("f[1] ")' in model.samplings[0].grammar.split("\n")
    events = list(talk.ask("hello"))
    assert not any(isinstance(event, Searched) for event in events)
    assert last(events).text.startswith("Hello. I am pocket")
    assert "Where is" not in str(model.prompts[1])


def test_a_record_calls_a_tool_and_its_result_is_the_answer() -> None:
    model = ScriptedModel(["search_code retries", "run pytest"])
    finder = Finder()
    finder.spec = Finder.spec.model_copy(update={"name": "search_code"})
    hands = Hands(tools=[finder], inspector=Censor())
    talk = Session(OneHit(), model, RECORDS, AskSettings(), MemoryTranscript(), Silence(), hands=hands)
    events = list(talk.ask("search for retries"))
    assert finder.asked == ["retries"]
    assert [event.failed for event in events if isinstance(event, Acted)] == [False]
    assert last(events).text.endswith("- b.py:7-8 retries")
    assert "".join(event.text for event in events if isinstance(event, Token)) == last(events).text
    assert model.tools == [()]  # it knows them
    events = list(talk.ask("run the tests"))
    assert not any(isinstance(event, Acted) for event in events)
    assert "run" in last(events).text
    assert not last(events).verified


def test_what_is_no_record_brings_the_search_results(session: Open) -> None:
    answered = last(list(session(ScriptedModel(["where f[7]"]), RECORDS).ask("Where is f?")))
    assert (answered.verified, [str(place) for place in answered.citations]) == (False, ["a.py:4-5"])


def test_the_next_turn_remembers(session: Open) -> None:
    model = ScriptedModel(["First answer.", "Second."])
    talk = session(model)
    list(talk.ask("first question"))
    list(talk.ask("second question"))
    question, answer = model.prompts[1][1:3]
    assert question.content.endswith("\n\nQuestion: first question")
    assert answer.content == "First answer."


def test_a_failed_turn_leaves_the_session_as_it_was(session: Open) -> None:
    model = ScriptedModel([ModelDied("gone"), "Fine."])
    talk = session(model)
    with pytest.raises(ModelDied):
        list(talk.ask("lost"))
    list(talk.ask("again"))
    assert "lost" not in str(model.prompts[1])


def test_leaving_a_turn_early_stops_the_model(session: Open) -> None:
    model = ScriptedModel(["one two three four"])
    turn = session(model).ask("q")
    while not isinstance(next(turn), Token):
        pass
    turn.close()
    assert model.stopped_early == 1


def test_what_is_said_is_recorded_as_it_is_said(session: Open, archive: Archive) -> None:
    turn = session(ScriptedModel(["It is in [1]."])).ask("Where is f?")
    next(turn)
    [info] = archive.sessions.recent()
    assert [message.content for message in archive.sessions.messages(info.id)] == ["Where is f?"]
    list(turn)
    answer = archive.sessions.messages(info.id)[1]
    assert (answer.content, str(answer.citations[0])) == ("It is in a.py:4-5.", "a.py:4-5")


def test_the_audit_names_the_model_once(session: Open, archive: Archive) -> None:
    talk = session(ScriptedModel(["One.", "Two."]))
    list(talk.ask("first"))
    list(talk.ask("second"))
    [record] = archive.audit.records()
    assert (record.kind, record.body["sha256"]) == ("model", "unknown")


MAPPED = CARD.model_copy(update={"map_tokens": 10})


def test_a_session_begins_with_a_map_that_never_changes(session: Open) -> None:
    asked: list[int] = []

    def outline(tokens: int) -> str:
        asked.append(tokens)
        return f"map number {len(asked)}"

    model = ScriptedModel(["One.", "Two."])
    talk = session(model, MAPPED, outline)
    list(talk.ask("first"))
    list(talk.ask("second"))
    assert asked == [10]
    assert model.prompts[0][0].role == "system"
    assert model.prompts[0][0].content.endswith("map number 1")
    assert model.prompts[0][0] == model.prompts[1][0]


def test_a_map_that_the_model_counts_as_too_long_is_asked_for_again(session: Open) -> None:
    model = ScriptedModel(["One."])
    list(session(model, MAPPED, lambda tokens: "word " * (2 * tokens)).ask("first"))
    assert model.prompts[0][0].content.endswith("word " * 10)


def test_a_map_that_never_fits_is_left_out(session: Open) -> None:
    model = ScriptedModel(["One."])
    list(session(model, MAPPED, lambda tokens: "word " * 50).ask("first"))
    assert "word" not in str(model.prompts[0])


def test_a_model_that_wants_no_map_costs_nothing(session: Open) -> None:
    asked: list[int] = []
    list(session(ScriptedModel(["One."]), CARD, lambda tokens: str(asked.append(tokens))).ask("first"))
    assert asked == []


def test_a_turn_does_not_fail_for_want_of_a_map(session: Open) -> None:
    def outline(tokens: int) -> str:
        raise IndexUnavailable("gone")

    model = ScriptedModel(["One."])
    assert last(list(session(model, MAPPED, outline).ask("first"))).text == "One."
    assert "outline" not in str(model.prompts[0])


# --- the conversation -------------------------------------------------------------------------------------------------


def test_what_was_shown_once_is_never_changed() -> None:
    written = Message(role="assistant", content="It is in [1].", tokens=(5, 6, 7))
    model = ScriptedModel(
        [["It is in [1].", Finished(message=written, usage=Usage(stopped="end"))], [call()], "In [3].", "Bye."]
    )
    talk = talk_with(model)
    for question in ("one", "two", "three"):
        list(talk.ask(question))
    for before, after in zip(model.prompts, model.prompts[1:], strict=False):
        assert after[: len(before)] == before
    assert model.prompts[1][2] is written
    assert all(tools == (Finder.spec,) for tools in model.tools)


def test_numbers_go_on_through_the_session() -> None:
    model = ScriptedModel(["It is in [1].", "In [1] and [2], not in [3]."])
    talk = talk_with(model)
    list(talk.ask("one"))
    answered = last(list(talk.ask("two")))
    assert model.prompts[1][3].content.startswith("[2] a.py:4-5 f")
    assert answered.text == "In a.py:4-5 and a.py:4-5, not in ."


def test_the_events_of_a_turn_come_in_order() -> None:
    pieces = [Reading(done=1, total=2), Thought(text="hm"), "Let me look.", call()]
    events = list(talk_with(ScriptedModel([pieces, "It is in [2]."])).ask("Where is g?"))
    kinds = [event.type for event in events if not isinstance(event, Token)]
    assert kinds == [
        "searched",
        "filled",
        "shown",
        "reading",
        "thought",
        "filled",
        "acting",
        "acted",
        "filled",
        "filled",
        "answered",
    ]
    assert last(events).text == "It is in b.py:7-8."


def test_a_turn_says_how_full_the_context_is() -> None:
    model = ScriptedModel(["One two."])
    fills = [event for event in talk_with(model).ask("q") if isinstance(event, Filled)]
    measured = model.measure(model.prompts[0], model.tools[0])
    assert [fill.tokens for fill in fills] == [measured, measured + 2]
    assert fills[0].context == 8192


def test_a_turn_says_how_many_excerpts_are_shown() -> None:
    events = list(talk_with(ScriptedModel(["One."]), excerpts=0).ask("q"))
    assert [event for event in events if isinstance(event, Shown)] == [Shown(excerpts=0, found=1)]


def test_a_turn_that_is_stopped_leaves_no_trace() -> None:
    model = ScriptedModel(["one two three four", "Fine."])
    talk = talk_with(model)
    turn = talk.ask("lost")
    while not isinstance(next(turn), Token):
        pass
    turn.close()
    list(talk.ask("again"))
    assert "lost" not in str(model.prompts[1])
    assert "[1] a.py" in str(model.prompts[1])


def test_a_model_that_remembers_no_turns_is_asked_each_question_as_the_first() -> None:
    model = ScriptedModel(["In [1].", "In [1]."])
    talk = talk_with(model, remembers_turns=False)
    list(talk.ask("first question"))
    assert last(list(talk.ask("second"))).text == "In a.py:4-5."
    assert "first question" not in str(model.prompts[1])
    assert model.tools == [(), ()]


def test_a_session_without_tools_says_nothing_of_them() -> None:
    model = ScriptedModel(["One."])
    talk = Session(
        OneHit(), model, CARD, AskSettings(tools=False), MemoryTranscript(), Silence(), hands=Hands(tools=[Finder()])
    )
    list(talk.ask("q"))
    assert model.tools == [()]


def test_what_takes_the_context_adds_up() -> None:
    talk = talk_with(ScriptedModel(["One.", "Two."]))
    assert talk.context_shares() == ()
    list(talk.ask("first"))
    list(talk.ask("second"))
    shares = dict(talk.context_shares())
    assert sum(shares.values()) == 8192
    assert all(tokens > 0 for tokens in shares.values())


# --- tools ------------------------------------------------------------------------------------------------------------


def test_a_call_is_run_and_its_result_can_be_cited() -> None:
    model = ScriptedModel([["Let me look.", call()], "It is in [2]."])
    events = list(talk_with(model).ask("Where is g?"))
    *_, asked, result = model.prompts[1]
    assert (asked.role, [one.id for one in asked.calls]) == ("assistant", ["aaaaaaaa1"])
    assert result == Message(role="tool", content="Found:\n\n[2] b.py:7-8 g\ndef g(): ...", call_id="aaaaaaaa1")
    [acted] = [event for event in events if isinstance(event, Acted)]
    assert (acted.summary, acted.failed) == ('find "g": 1 excerpt', False)
    assert [str(citation) for citation in last(events).citations] == ["b.py:7-8"]


def test_several_calls_are_run_in_order() -> None:
    model = ScriptedModel([[call("x", number=1), call("y", number=2)], "Done."])
    events = list(talk_with(model).ask("q"))
    assert [event.call.arguments["query"] for event in events if isinstance(event, Acted)] == ["x", "y"]
    assert [message.call_id for message in model.prompts[1][-2:]] == ["aaaaaaaa1", "aaaaaaaa2"]
    assert model.prompts[1][-1].content.startswith("Found:\n\n[3] ")


def test_what_a_tool_raises_the_model_is_told() -> None:
    model = ScriptedModel([[call("nowhere")], "I cannot look."])
    events = list(talk_with(model).ask("q"))
    assert model.prompts[1][-1].content == "find failed: The index is gone."
    assert [event.failed for event in events if isinstance(event, Acted)] == [True]
    assert last(events).text == "I cannot look."


def test_a_call_that_is_not_valid_goes_back_with_what_is_wrong() -> None:
    model = ScriptedModel([[call(query=["g"])], [call(name="delete")], "Sorry."])
    events = list(talk_with(model).ask("q"))
    first, second = [event.reason for event in events if isinstance(event, Retried)]
    assert first.startswith('The call of find was not run: query is ["g"], but: Input should be a valid string.')
    assert second == "There is no tool 'delete'. There is find."
    assert model.prompts[1][-1] == Message(role="tool", content=first, call_id="aaaaaaaa1")


def test_text_that_was_meant_as_a_call_goes_back_too() -> None:
    misfired = Misfired(text="<tool_call>{", reason="The arguments are no JSON object.")
    model = ScriptedModel([[misfired], [call(), misfired], "Sorry."])
    list(talk_with(model).ask("q"))
    assert [message.role for message in model.prompts[1][-2:]] == ["assistant", "user"]
    assert model.prompts[1][-1].content == "That was no valid tool call: The arguments are no JSON object."
    assert [message.role for message in model.prompts[2][-2:]] == ["assistant", "tool"]
    assert model.prompts[2][-1].content.endswith("no JSON object.")


def test_a_model_that_cannot_write_a_call_is_not_asked_for_ever() -> None:
    misfired = Misfired(text="<tool_call>{", reason="It is no JSON.")
    model = ScriptedModel([[misfired], [call(name="x")], [call(name="x")], "Fine."])
    talk = talk_with(model)
    answered = last(list(talk.ask("q")))
    assert "could not write a valid tool call" in answered.text
    assert not answered.verified
    list(talk.ask("again"))
    assert refusals(model.prompts[3]) == []


def test_a_turn_ends_after_so_many_steps() -> None:
    tool_calls = [[call()], [call()], "Fine."]
    model = ScriptedModel(tool_calls)
    talk = talk_with(model, steps=2)
    events = list(talk.ask("q"))
    assert last(events).text == "I stopped after 2 steps without an answer [ask.steps]."
    assert sum(isinstance(event, Acted) for event in events) == 1
    list(talk.ask("again"))
    assert refusals(model.prompts[2]) == []


# --- resuming ---------------------------------------------------------------------------------------------------------


def remembered(model: ScriptedModel) -> SessionContext:
    transcript = MemoryTranscript()
    talk = Session(OneHit(), model, CARD, AskSettings(), transcript, Silence())
    list(talk.ask("first"))
    assert transcript.context == talk.context
    return transcript.context


def written() -> list[str | Finished]:
    message = Message(role="assistant", content="In [1].", tokens=(5, 6))
    return ["In [1].", Finished(message=message, usage=Usage(stopped="end"))]


def test_a_session_goes_on_where_it_was() -> None:
    context = remembered(ScriptedModel([written()], path="a.gguf"))
    model = ScriptedModel(["In [1] and [2]."], path="a.gguf")
    talk = talk_with(model, earlier=context, map_tokens=10)
    assert last(list(talk.ask("second"))).text == "In a.py:4-5 and a.py:4-5."
    assert model.prompts[0][: len(context.messages)] == context.messages
    assert model.prompts[0][2].tokens == (5, 6)


def test_tokens_of_another_model_mean_nothing() -> None:
    context = remembered(ScriptedModel([written()], path="a.gguf"))
    model = ScriptedModel(["Yes."], path="b.gguf")
    list(talk_with(model, earlier=context).ask("second"))
    assert model.prompts[0][2] == Message(role="assistant", content="In [1].")


def test_a_greeting_is_neither_searched_for_nor_burdened_with_a_map(session: Open) -> None:
    model = ScriptedModel(["Hello.", "There."])
    talk = session(model, MAPPED, lambda tokens: "the map")
    events = list(talk.ask("hello"))
    assert not any(isinstance(event, Searched) for event in events)
    assert "the map" not in str(model.prompts[0])
    assert "a.py" not in str(model.prompts[0])
    list(talk.ask("Where is f?"))
    assert model.prompts[1][: len(model.prompts[0])] == model.prompts[0]
    assert model.prompts[1][-1].content.index("the map") < model.prompts[1][-1].content.index("[1] a.py")


def test_a_call_that_cannot_be_written_down_is_left_out_and_said() -> None:
    model = ScriptedModel([[call("\ud800"), call("g", number=2)], "Done."])
    talk = talk_with(model)
    events = list(talk.ask("Who?"))
    assert [event.call.id for event in events if isinstance(event, Acted)] == ["aaaaaaaa2"]
    [retried] = [event for event in events if isinstance(event, Retried)]
    assert retried.reason.endswith("its arguments are no text that can be written down.")
    kept = [one for message in talk.context.messages for one in message.calls]
    assert [one.id for one in kept] == ["aaaaaaaa2"]


def test_of_very_many_calls_at_once_some_are_run_and_each_is_answered() -> None:
    finder = Finder()
    model = ScriptedModel([[call(str(number), number=number) for number in range(100)], "Done."])
    many = Session(OneHit(), model, CARD, AskSettings(), MemoryTranscript(), Silence(), hands=Hands(tools=[finder]))
    assert last(list(many.ask("Who?"))).text == "Done."
    results = [message.content for message in model.prompts[-1] if message.role == "tool"]
    assert (len(finder.asked), len(results)) == (32, 100)
    assert results[-1] == "[not run: at most 32 calls at once, within the time]"


def test_when_the_time_is_over_no_further_call_is_run() -> None:
    now = [0.0]

    class Slow(Finder):
        def run(self, arguments: Query) -> ToolResult:
            now[0] += 61
            return super().run(arguments)

    slow = Slow()
    model = ScriptedModel([[call("g"), call("h", number=2), call("i", number=3)], "Never."])
    settings = AskSettings(minutes=2)
    transcript = MemoryTranscript()
    late = Session(
        OneHit(), model, CARD, settings, transcript, Silence(), hands=Hands(tools=[slow]), clock=lambda: now[0]
    )
    assert last(list(late.ask("Who?"))).stopped == "time"
    assert slow.asked == ["g", "h"]
    assert len(model.prompts) == 1


class Censor:
    def mask(self, text: str) -> str:
        return text.replace("hunter2", "[redacted:password#1]")

    def suspicion(self, text: str) -> str:
        return ""


def test_map_and_summaries_are_masked_too() -> None:
    model = ScriptedModel([[call("hunter2")], "Done."])
    hands = Hands(tools=[Finder()], inspector=Censor())
    card = CARD.model_copy(update={"map_tokens": 100})
    talk = Session(
        OneHit(), model, card, AskSettings(), MemoryTranscript(), Silence(), lambda tokens: "def f(p='hunter2')", hands
    )
    events = list(talk.ask("Who?"))
    assert "def f(p='[redacted:password#1]')" in model.prompts[0][0].content
    assert [event.summary for event in events if isinstance(event, Acted)] == [
        'find "[redacted:password#1]": 1 excerpt'
    ]
