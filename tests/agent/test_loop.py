from collections.abc import Callable
from pathlib import Path

import pytest

from offline_agent.agent.loop import Outline, Session
from offline_agent.errors import IndexUnavailable, ModelDied
from offline_agent.llm.scripted import ScriptedModel
from offline_agent.settings import AskSettings, LogSettings, VaultSettings
from offline_agent.types import Answered, Chunk, Event, Hit, IndexStatus, ModelCard, Searched, SearchResult, Token
from offline_agent.vault.archive import Archive
from offline_agent.vault.plain import PlainVault

CARD = ModelCard(name="m", file="m.gguf")


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


def last(events: list[Event]) -> Answered:
    assert isinstance(events[-1], Answered)
    return events[-1]


def test_a_turn_searches_streams_and_answers(session: Open) -> None:
    events = list(session(ScriptedModel(["It is in [1]."])).ask("Where is f?"))
    assert isinstance(events[0], Searched)
    assert "".join(event.text for event in events if isinstance(event, Token)) == "It is in a.py:4-5."
    assert [str(citation) for citation in last(events).citations] == ["a.py:4-5"]


def test_a_record_is_shown_as_a_sentence(session: Open) -> None:
    events = list(
        session(ScriptedModel(["f[1] where"]), CARD.model_copy(update={"answers": "record"})).ask("Where is f?")
    )
    assert last(events).text == "`f` is defined at a.py:4-5."


def test_the_next_turn_remembers(session: Open) -> None:
    model = ScriptedModel(["First answer.", "Second."])
    talk = session(model)
    list(talk.ask("first question"))
    list(talk.ask("second question"))
    assert [message.content for message in model.prompts[1][1:3]] == ["first question", "First answer."]


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
    next(turn), next(turn)
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
