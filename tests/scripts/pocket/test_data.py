"""What training expects can be written: every record parses, and the grammar of its question admits it."""

import random
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from tokenizers import Tokenizer

from offline_agent.agent.grammar import grammar
from offline_agent.agent.naming import named_by
from offline_agent.agent.record import TOOLS, Absent, Cited, Plain, Request, Users, parse
from scripts.pocket import data
from scripts.pocket.chunks import FULL, SHORT, Chunk, ChunkWriter, Library, as_chunk, render
from scripts.pocket.data import ROW_KINDS, ROWS, Arrays, Codec, Writer
from scripts.pocket.extract import Span
from scripts.pocket.questions import Question, answer
from scripts.pocket.words import Words
from tests.scripts.pocket.gbnf import admits

Asked = tuple[Question, list[Chunk], str]


def asked(spans: list[Span], held_out: bool, contexts: int) -> Iterator[Asked]:
    """Questions of every kind with the chunks that are shown and the record that training expects."""
    writer = Writer(spans, spans, seed=3, held_out=held_out, varied=True)
    for _ in range(contexts):
        chunks = writer.chunks(FULL)
        for question in (writer.question(kind, chunks) for kind in ROW_KINDS):
            yield question, [] if question.bare else chunks, answer(question, chunks)


@pytest.fixture(scope="module", params=[False, True], ids=["training", "held_out"])
def questions(spans: list[Span], request: pytest.FixtureRequest) -> list[Asked]:
    return list(asked(spans, request.param, contexts=60))


def test_every_record_parses_to_what_was_asked(questions: list[Asked]) -> None:
    for question, shown, text in questions:
        match parse(text):
            case Request(tool, arguments):
                assert (tool, arguments) == (question.intent, question.arguments)
            case Plain(kind):
                assert kind == question.intent
            case Users(name):
                assert (name, "uses") == (question.name, question.intent)
            case Absent(name):
                assert name == question.name
                assert not named_by(name, shown)
            case Cited(number, "which"):
                assert shown[number - 1] == question.target
            case Cited(number, intent, name):
                assert (intent, name) == (question.intent, question.name)
                assert number - 1 in named_by(name, shown)
            case other:
                pytest.fail(f"{text!r} is {other}")


def test_the_grammar_of_a_question_admits_what_training_expects(questions: list[Asked]) -> None:
    """But for some: a stray word or a description can hold what the grammar takes for the name that is asked about."""
    refused = [
        (question.text, text, question.intent)
        for question, shown, text in questions
        if not admits(grammar(question.text, shown), text)
    ]
    assert len(refused) <= 0.02 * len(questions), refused
    assert not [each for each in refused if each[2] in TOOLS], refused


def test_the_grammar_of_a_question_refuses_other_names_other_numbers_and_other_words() -> None:
    shown = [Chunk("a.py", 1, 2, "Session.close", ("def close(self):",), "", "method")]
    admitted = grammar("Where is close, in src?", shown)
    for text in ("where close[1] ", "uses close", "hello", "list src", "grep close | src"):
        assert admits(admitted, text), text
    for text in (
        "where close[2]",
        "where open[1]",
        "where close none",
        "close[1]",
        "close[1] where",
        "grep close | tests",
        "",
    ):
        assert not admits(admitted, text), text


def test_every_kind_is_asked_and_requests_repeat_their_words(questions: list[Asked]) -> None:
    assert {question.intent for question, _, _ in questions} >= {
        "where",
        "what",
        "args",
        "uses",
        "which",
        "hello",
        "code",
        "other",
    }
    for question, _, _ in questions:
        if question.intent in TOOLS and " => " not in question.core and question.arguments != (".",):
            assert all(argument in question.text for argument in question.arguments), question


def test_the_same_seed_gives_the_same_data(spans: list[Span], words: Tokenizer) -> None:
    def packed(seed: int) -> Arrays:
        return data.pack(Writer(spans, spans, seed, held_out=False, varied=True), Codec(words), 6, FULL)

    first, second, third = packed(1), packed(1), packed(2)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["rows"], third["rows"])


def test_arrays_hold_the_text_of_the_prompt(spans: list[Span], words: Tokenizer) -> None:
    arrays = data.pack(Writer(spans, spans, seed=4, held_out=False), Codec(words), 8, SHORT)
    assert arrays["rows"].shape[:2] == (8, ROWS)
    for context in range(8):
        length = arrays["context_length"][context]
        ahead = words.decode(arrays["context"][context, :length].tolist(), skip_special_tokens=False)
        assert ahead.startswith("<|user|>\n[1] ")
        assert ahead.endswith("\n\nQuestion:")
        for row, (end, whole) in zip(arrays["rows"][context], arrays["spans"][context], strict=True):
            text = words.decode(row[:whole].tolist(), skip_special_tokens=False)
            question, record = text[: -len("<|end|>")].split("<|end|>\n<|assistant|>\n")
            assert parse(record), text
            assert question.startswith((" ", "<|user|>\nQuestion: "))
            assert words.decode(row[end:whole].tolist(), skip_special_tokens=False) == f"{record}<|end|>"
            assert not row[whole:].any()


def test_contexts_are_as_big_as_their_stage_says(spans: list[Span]) -> None:
    chunks = Writer(spans, spans, seed=5, held_out=False).chunks
    sizes = Counter(len(chunks(SHORT)) for _ in range(100))
    assert set(sizes) == {1, 2, 3, 4}
    for _ in range(50):
        shown = chunks(FULL)
        assert any(chunk.symbol for chunk in shown)
        assert max(len(chunk.lines) for chunk in shown) <= FULL.lines
        assert render(shown).count("\n\n[") == len(shown) - 1


@pytest.mark.parametrize("seed", range(20))
def test_a_disguise_keeps_what_calls_what(spans: list[Span], seed: int) -> None:
    """Whoever called the subject by its name still does by its new one."""
    rng = random.Random(seed)
    writer = ChunkWriter(Library(spans, rng), Words(spans, rng), rng, held_out=False)
    subject = next(span for span in spans if span.symbol == "JSONEncoder.encode")
    chunks = [as_chunk(span, 10) for span in [subject, *writer.library.callers["encode"]]]
    callers = [chunk for chunk in chunks[1:] if ".encode(" in "\n".join(chunk.lines)]
    disguised = writer.disguise([chunks[0], *callers])
    name = disguised[0].symbol.rpartition(".")[2]
    assert f"def {name}(" in "\n".join(disguised[0].lines)
    assert len(disguised) > 1
    assert all(f".{name}(" in "\n".join(chunk.lines) for chunk in disguised[1:])


def test_random_numbers_come_from_the_seed_alone(spans: list[Span]) -> None:
    random.seed(1)
    first = list(asked(spans, False, 3))
    random.seed(2)
    assert list(asked(spans, False, 3)) == first
