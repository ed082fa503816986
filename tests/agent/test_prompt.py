from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from offline_agent.agent.prompt import build_prompt, excerpt, fitted, question_in, question_text, system_prompt
from offline_agent.models import ModelCard
from offline_agent.types import Chunk, Hit

CARD = ModelCard(name="m", file="m.gguf", excerpts=3, excerpt_lines=2, excerpt_tokens=100)


def hit(number: int, lines: int = 3) -> Hit:
    text = "".join(f"    line {line}\n" for line in range(lines))
    return Hit(
        chunk=Chunk(path=f"f{number}.py", start_line=1, end_line=lines, symbol=f"s{number}", text=text),
        score=1 / number,
    )


def count(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_an_excerpt_is_dedented_and_short() -> None:
    assert excerpt(2, hit(7), max_lines=2) == "[2] f7.py:1-3 s7\nline 0\nline 1"


def test_the_layout_that_pocket_was_trained_on() -> None:
    card = CARD.model_copy(update={"system_prompt": False, "remembers_turns": False})
    prompt = build_prompt("Where is s1?", [hit(1), hit(2)], card, count)
    assert [message.role for message in prompt.messages] == ["user"]
    assert prompt.messages[0].content == (
        "[1] f1.py:1-3 s1\nline 0\nline 1\n\n[2] f2.py:1-3 s2\nline 0\nline 1\n\nQuestion: Where is s1?"
    )


def test_secrets_are_masked_in_excerpts_and_not_in_the_question() -> None:
    card = CARD.model_copy(update={"system_prompt": False})
    prompt = build_prompt(
        "Where is line 0?", [hit(1)], card, count, mask=lambda text: text.replace("line 0", "[redacted]")
    )
    assert prompt.messages[0].content == "[1] f1.py:1-3 s1\n[redacted]\nline 1\n\nQuestion: Where is line 0?"


def test_no_hits_leave_the_question() -> None:
    assert build_prompt("hello", [], CARD, count).messages[-1].content == "Question: hello"


def test_excerpts_stay_within_number_and_budget() -> None:
    hits = [hit(number) for number in range(1, 6)]
    assert len(build_prompt("q", hits, CARD, count).hits) == 3
    tight = CARD.model_copy(update={"excerpt_tokens": 15})
    assert len(build_prompt("q", hits, tight, count).hits) == 2
    assert len(build_prompt("q", hits, CARD.model_copy(update={"excerpt_tokens": 1}), count).hits) == 1


def test_the_system_prompt_is_short() -> None:
    # No tokenizer splits English prose much finer than four characters; 300 tokens are what the design allows.
    assert len(system_prompt()) / 4 < 300


def test_a_map_ends_the_system_text_or_begins_the_first_message() -> None:
    with_system = build_prompt("q", [hit(1)], CARD, count, "a.py\n  def f()  1").messages
    assert with_system[0].role == "system"
    assert with_system[0].content.endswith("\n\na.py\n  def f()  1")
    without = build_prompt("q", [], CARD.model_copy(update={"system_prompt": False}), count, "a.py").messages
    assert [message.role for message in without] == ["user"]
    assert without[0].content.endswith("a.py\n\nQuestion: q")


def test_a_map_takes_an_eighth_of_a_small_context() -> None:
    assert fitted(CARD.model_copy(update={"map_tokens": 1024}), 2048).map_tokens == 256


def test_excerpts_that_stay_in_the_conversation_take_less_of_it() -> None:
    card = CARD.model_copy(update={"excerpt_tokens": 2500})
    assert fitted(card, 3000).excerpt_tokens == 1000
    assert fitted(card.model_copy(update={"remembers_turns": False}), 3000).excerpt_tokens == 1500


TEXT = st.text(st.sampled_from("ab \n")) | st.sampled_from(
    ["Question: ", "\n\nQuestion: ", "Question: x\n\nQuestion: y"]
)


@given(st.lists(TEXT), TEXT)
def test_a_question_is_found_again_whatever_is_quoted_before_it(before: list[str], question: str) -> None:
    found = question_in(question_text(before, question))
    assert found is not None
    assert found[1] == f"Question: {question}"
    assert question_in(question_text([found[0]], question)) == found


def test_a_text_without_a_question() -> None:
    assert question_in("Is this a Question: or not?") is None
