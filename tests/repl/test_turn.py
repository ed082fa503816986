"""What a turn puts on the screen, event by event."""

from collections.abc import Iterator

import pytest

from offline_agent.events import (
    Acted,
    Acting,
    Answered,
    Compacted,
    Dropped,
    Event,
    Filled,
    Reading,
    Retried,
    Searched,
    Shown,
    Thought,
    Token,
    Trimmed,
    Warned,
)
from offline_agent.repl.render import context_line, note_of, searched_line, shares_lines, toolbar, visible
from offline_agent.repl.turn import TurnView
from offline_agent.types import SearchResult, ToolCall

ACTED = Acted(call=ToolCall(id="aaaaaaaa1", name="find", arguments={}), summary='find "g": 1 excerpt')
FILLED = Filled(tokens=340, context=1000)


class Paper:
    """A Screen that keeps what was written and said, a line each, and what was waited for."""

    def __init__(self) -> None:
        self.text = ""
        self.waits: list[str] = []

    def write(self, text: str) -> None:
        self.text += text

    def say(self, text: str, style: str = "") -> None:
        self.text += f"({text})\n"

    def wait(self, text: str) -> None:
        self.waits.append(text)


def shown(*events: Event, seconds: float = 0.0) -> tuple[Paper, TurnView]:
    """The paper after these events, each so long after the one before."""
    paper = Paper()
    view = TurnView(paper, clock=ticks(seconds).__next__)
    for event in events:
        view.show(event)
    return paper, view


def ticks(seconds: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += seconds


def test_an_answer_and_the_line_under_it() -> None:
    paper, view = shown(
        Searched(result=SearchResult()),
        Shown(excerpts=2, found=5),
        Token(text="It is "),
        Token(text="here."),
        FILLED,
        Answered(text=""),
    )
    assert paper.text == "It is here.\n(2 of 0 search results by words and symbols)\n"
    assert view.filled == FILLED


def test_what_was_done_stands_in_lines_of_its_own() -> None:
    paper, _ = shown(Token(text="Let me look."), FILLED, ACTED, Token(text="Here."), FILLED)
    assert paper.text == 'Let me look.\n(find "g": 1 excerpt)\nHere.\n'


def test_what_a_tool_shows_stands_under_what_it_did() -> None:
    acting = Acting(call=ACTED.call, summary='find "g"')
    paper, _ = shown(acting, ACTED.model_copy(update={"shown": "-old\n+new"}))
    assert paper.waits == ['find "g" ...']
    assert paper.text == '(find "g": 1 excerpt)\n(  -old)\n(  +new)\n'


def test_what_cannot_be_seen_is_written_out() -> None:
    assert visible("rm \u202ecod\x1b[2K\u200b") == "rm <U+202E>cod<U+001B>[2K<U+200B>"


def test_thoughts_are_folded() -> None:
    paper, view = shown(Thought(text="One two"), Thought(text=" three."), Token(text="Yes."), seconds=6.0)
    assert paper.waits == ["thinking ... 2 words", "thinking ... 3 words"]
    assert paper.text == "(thought for 12 s (/thinking shows it))\nYes."
    assert view.thoughts == "One two three."


def test_thoughts_of_two_steps_stand_apart() -> None:
    _, view = shown(Thought(text="One."), ACTED, Thought(text="Two."))
    assert view.thoughts == "One.\n\nTwo."


def test_reading_is_explained_when_it_takes_long() -> None:
    events = [Reading(done=done, total=4096) for done in (512, 1024, 1536)]
    assert shown(*events, seconds=0.1)[0].waits == []
    assert shown(*events, seconds=0.6)[0].waits == ["reading the prompt: 1,536 of 4,096 tokens"]


def test_each_request_is_read_anew() -> None:
    reading = Reading(done=1, total=2)
    assert shown(reading, Token(text="x"), reading, seconds=0.6)[0].waits == []


@pytest.mark.parametrize(
    ("event", "note"),
    [
        (Warned(text="in what read returned: orders."), "warning: in what read returned: orders."),
        (Retried(reason="It is no JSON."), "no valid tool call; the model was told and tries again: It is no JSON."),
        (
            Trimmed(messages=2, before=3000, after=900),
            "to make room, old excerpts and results were taken out of the model's view (3,000 -> 900 tokens)",
        ),
        (
            Dropped(turns=1, before=30, after=9),
            "to make room, the oldest turn is no longer shown to the model (30 -> 9 tokens)",
        ),
        (
            Compacted(summary="We spoke.\nOf words.", before=30, after=9),
            "to make room, earlier turns were replaced by the model's own summary (30 -> 9 tokens):\n  We spoke.\n  Of words.",
        ),
        (Token(text="x"), ""),
    ],
)
def test_what_a_person_is_told(event: Event, note: str) -> None:
    assert note_of(event) == note


def test_a_long_summary_is_shown_in_part() -> None:
    lines = note_of(Compacted(summary="line\n" * 14, before=2, after=1)).splitlines()
    assert (len(lines), lines[-1]) == (12, "  (4 more lines)")


def test_the_toolbar_says_how_full_the_context_is() -> None:
    assert context_line(FILLED) == "context 34 %"
    assert context_line(FILLED.model_copy(update={"estimated": True})) == "context ~34 %"
    assert toolbar("shop", "m", None, FILLED) == " shop | m | context 34 % | index: starting "


def test_the_shares_of_the_context_add_up() -> None:
    assert shares_lines([("tools", 250), ("free", 750)]) == ["      250   25 %  tools", "      750   75 %  free"]


def test_no_fewer_results_than_found_are_not_mentioned() -> None:
    assert searched_line(SearchResult(), Shown(excerpts=5, found=5)) == "0 search results by words and symbols"
