from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.agent.budget import SUMMARISE
from offline_agent.agent.hands import Hands
from offline_agent.agent.loop import Session
from offline_agent.agent.transcript import MemoryTranscript
from offline_agent.errors import ModelError, PromptTooLong
from offline_agent.events import Called, Compacted, Dropped, Event, Filled, Finished, Piece, Shown, Trimmed
from offline_agent.llm.scripted import Answer, ScriptedModel
from offline_agent.models import ModelCard
from offline_agent.settings import AskSettings
from offline_agent.types import (
    Chunk,
    Hit,
    IndexStatus,
    Message,
    SearchResult,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    Value,
)
from tests.agent.template import refusals

CARD = ModelCard(name="m", file="m.gguf", excerpt_lines=1000)
ANSWER_TOKENS = 512


def words(count: int) -> str:
    return "word " * count


class Hits:
    """A retriever whose every search finds excerpts of so many words, best first."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = sizes

    def search(self, query: str, limit: int) -> SearchResult:
        chunks = [
            Chunk(path=f"f{n}.py", start_line=1, end_line=9, text=words(size)) for n, size in enumerate(self._sizes)
        ]
        return SearchResult(hits=tuple(Hit(chunk=chunk, score=1.0) for chunk in chunks))

    def status(self) -> IndexStatus:
        return IndexStatus()


class Size(Value):
    size: int


class Writer:
    """A tool whose result has as many words as it is asked for."""

    arguments = Size
    spec = ToolSpec(
        name="write",
        description="Writes.",
        parameters={"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]},
    )

    def run(self, arguments: Size) -> ToolResult:
        return ToolResult(text=words(arguments.size))


class Nothing:
    """An audit that keeps nothing."""

    def add(self, kind: str, **body: object) -> None:
        pass


def call(*sizes: int) -> list[Piece | str]:
    calls = [ToolCall(id=f"{n:09}", name="write", arguments={"size": size}) for n, size in enumerate(sizes)]
    return ["Looking.", *(Called(call=one) for one in calls)]


class Talk:
    """A session with a model of so much context, and what it said."""

    def __init__(
        self,
        context: int,
        answers: Sequence[Answer],
        hits: Sequence[int] = (),
        max_tokens: int = ANSWER_TOKENS,
        tools: bool = True,
    ) -> None:
        self.model = ScriptedModel(answers, context=context)
        self.context = context
        self.events: list[Event] = []
        settings = AskSettings(max_tokens=max_tokens)
        self.session = Session(
            Hits(*hits),
            self.model,
            CARD,
            settings,
            MemoryTranscript(),
            Nothing(),
            hands=Hands(tools=[Writer()] if tools else []),
        )

    def ask(self, question: str) -> list[Event]:
        self.events = list(self.session.ask(question))
        return self.events

    def prompts_that_do_not_fit(self) -> list[int]:
        """Tokens of each request that, with the longest answer it may get, is more than the context."""
        asked = zip(self.model.prompts, self.model.tools, self.model.samplings, strict=True)
        sizes = [self.model.measure(prompt, tools) + sampling.max_tokens for prompt, tools, sampling in asked]
        return [size for size in sizes if size > self.context]


def of(events: Sequence[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def test_with_room_nothing_is_changed() -> None:
    talk = Talk(4096, ["One.", "Two."], hits=[50])
    for question in ("first", "second"):
        assert [event.type for event in talk.ask(question) if event.type in ("trimmed", "compacted", "dropped")] == []


def test_old_excerpts_go_first_and_all_at_once() -> None:
    talk = Talk(1200, [words(20)] * 4, hits=[200, 50])
    talk.ask("one")
    talk.ask("two")
    events = talk.ask("three")
    [trimmed] = of(events, Trimmed)
    assert isinstance(trimmed, Trimmed)
    assert trimmed.messages == 2
    assert trimmed.before > trimmed.after
    assert [m.content for m in talk.model.prompts[-1] if m.role == "user"][:2] == [
        f"[2 excerpts were here; search again if you need them]\n\nQuestion: {asked}" for asked in ("one", "two")
    ]
    assert "[5] f0.py" in talk.model.prompts[-1][-1].content


def test_results_of_earlier_steps_go_when_those_of_earlier_turns_are_gone() -> None:
    talk = Talk(1200, [call(400), call(400), "Done."])
    events = talk.ask("one")
    assert len(of(events, Trimmed)) == 1
    results = [m.content[:9] for m in talk.model.prompts[-1] if m.role == "tool"]
    assert results == ["[a result", "word word"]


def four_turns_and(summary: Answer) -> tuple[Talk, list[Event]]:
    """A conversation in which a summary is asked for, and the events of the turn that asks."""
    talk = Talk(1600, [*[words(300)] * 4, summary, "Fine."], max_tokens=300)
    for question in ("one", "two", "three", "four"):
        talk.ask(question)
    return talk, talk.ask("five")


def test_earlier_turns_are_summed_up_by_the_model_itself() -> None:
    talk, events = four_turns_and("We spoke of words [1].")
    [compacted] = of(events, Compacted)
    assert isinstance(compacted, Compacted)
    assert compacted.summary == "We spoke of words [1]."
    assert compacted.after < compacted.before
    assert [message.content for message in talk.model.prompts[-1][1:]] == [
        "[Earlier turns were here. What follows is your own summary of them.]",
        "We spoke of words [1].",
        "Question: five",
    ]


def test_the_request_for_a_summary_only_adds_to_the_conversation() -> None:
    talk, _ = four_turns_and("We spoke of words [1].")
    before, asked = talk.model.prompts[3:5]
    assert asked[: len(before)] == before
    assert asked[-1].content.startswith(SUMMARISE[:40])
    assert talk.model.tools[4] == talk.model.tools[3]


def test_a_summary_that_was_cut_says_so() -> None:
    cut = Finished(message=Message(role="assistant", content="We"), usage=Usage(stopped="length"))
    talk, _ = four_turns_and(["We spoke", cut])
    assert talk.model.prompts[-1][2].content == "We spoke [cut here]"


def test_a_turn_that_is_stopped_while_it_makes_room_keeps_what_was_said_before() -> None:
    talk = Talk(1600, [*[words(300)] * 4, "We spoke.", "Fine."], max_tokens=300)
    for question in ("one", "two", "three", "four"):
        talk.ask(question)
    turn = talk.session.ask("lost")
    while not isinstance(next(turn), Compacted):
        pass
    turn.close()
    talk.ask("five")
    assert [message.content for message in talk.model.prompts[-1][2:]] == ["We spoke.", "Question: five"]


@pytest.mark.parametrize("failing", ["", ModelError("gone"), words(2000)])
def test_without_a_summary_the_oldest_turns_go_and_it_is_said(failing: Answer) -> None:
    talk, events = four_turns_and(failing)
    assert of(events, Compacted) == []
    [dropped] = of(events, Dropped)
    assert isinstance(dropped, Dropped)
    assert dropped.turns > 0
    assert dropped.after <= 0.6 * 1600
    assert talk.model.prompts[-1][-1].content == "Question: five"


def test_a_question_that_is_too_long_comes_with_fewer_excerpts() -> None:
    talk = Talk(1000, ["Fine."], hits=[100, 100, 100, 100])
    events = talk.ask(words(350))
    [shown] = of(events, Shown)
    assert shown == Shown(excerpts=2, found=4)
    assert "[3]" not in talk.model.prompts[0][-1].content
    assert len(talk.session.context.citations) == 2


def test_what_never_fits_is_refused_with_numbers() -> None:
    talk = Talk(1000, ["Fine."], hits=[100])
    with pytest.raises(PromptTooLong, match=r"context is 1,000 tokens.*250 of them"):
        talk.ask(words(800))
    talk.ask("short")
    assert [message.role for message in talk.model.prompts[0]] == ["system", "user"]


def test_a_result_that_does_not_fit_is_cut_and_says_so() -> None:
    talk = Talk(1000, [call(5000), "Fine."], hits=[100])
    talk.ask("q")
    question, _, result = talk.model.prompts[-1][1:]
    assert question.content == "[1 excerpt was here; search again if you need it]\n\nQuestion: q"
    assert result.content.endswith("more characters were here; they do not fit. Ask for less at once.]")


def test_an_answer_is_never_longer_than_what_is_left() -> None:
    talk = Talk(1000, ["Fine."])
    talk.ask(words(500))
    assert talk.prompts_that_do_not_fit() == []
    assert talk.model.samplings[0].max_tokens < ANSWER_TOKENS


def test_thirty_turns_in_a_context_of_4096_tokens() -> None:
    """Excerpts, two searches a turn and answers of the size that real ones have."""
    answers: list[Answer] = []
    for turn in range(30):
        answers += [call(300), call(200, 100), words(60 + 17 * turn % 240)]
    # Where the script is asked for a summary, it gives what comes next: a call, which is none, or the words of an answer.
    talk = Talk(4096, answers * 2, hits=[250, 220, 200, 180, 150, 120])
    filled = []
    for turn in range(30):
        talk.ask(f"question number {turn} about something")
        assert talk.model.prompts[-1][-1].role in ("user", "tool")
        filled += [event.tokens for event in talk.events if isinstance(event, Filled)]
    assert talk.prompts_that_do_not_fit() == []
    assert max(filled) <= 4096
    assert [found for prompt in talk.model.prompts for found in refusals(prompt)] == []


SIZE = st.integers(0, 400)
CALLS = st.lists(st.integers(0, 3000), min_size=1, max_size=3).map(lambda sizes: call(*sizes))
ANSWERS = st.lists(SIZE.map(words) | CALLS | st.just(ModelError("gone")) | st.just(""), max_size=40)


@given(
    context=st.integers(32, 3000),
    max_tokens=st.integers(1, 2000),
    hits=st.lists(SIZE, max_size=8),
    questions=st.lists(SIZE, min_size=1, max_size=8),
    answers=ANSWERS,
)
def test_whatever_the_sizes_every_request_fits_and_is_in_order(
    context: int, max_tokens: int, hits: list[int], questions: list[int], answers: list[Answer]
) -> None:
    talk = Talk(context, answers, hits, max_tokens)
    for number, size in enumerate(questions):
        asked = f"q{number} {words(size)}".strip()
        before = len(talk.model.prompts)
        try:
            talk.ask(asked)
        except ModelError:  # PromptTooLong is one
            continue
        last = talk.model.prompts[-1]
        assert len(talk.model.prompts) > before
        assert any(m.role == "user" and m.content.endswith(f"Question: {asked}") for m in last)
    assert talk.prompts_that_do_not_fit() == []
    assert [found for prompt in talk.model.prompts for found in refusals(prompt)] == []
