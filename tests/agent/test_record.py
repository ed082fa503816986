"""The language of records: what a grammar admits is what can be read, and llama.cpp understands every grammar."""

import re
import string

import llama_cpp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.agent.answer import answer
from offline_agent.agent.arguments import paths_in, runs_of
from offline_agent.agent.grammar import grammar
from offline_agent.agent.record import (
    TOOLS,
    Absent,
    Cited,
    Plain,
    Record,
    Request,
    Users,
    parse,
)
from offline_agent.llm.vocabulary import Vocabulary
from offline_agent.settings import find_declarations
from offline_agent.types import Chunk, Hit
from tests.agent.gbnf import texts_of


def chunk(symbol: str, line: int = 1) -> Chunk:
    return Chunk(
        path="src/a.py", start_line=line, end_line=line + 1, symbol=symbol, text=f"def {symbol}():\n    pass\n"
    )


CHUNKS = [chunk("Session.close"), chunk("open_it", 5), chunk("", 9)]
MARKS = "`'\"?!,;:.()[]{}|\\$#/-> \n\t\x08\x0c\x7f\u00e4\u2028"
QUESTIONS = st.lists(
    st.text(st.sampled_from(MARKS + "aZ_0"), max_size=6)
    | st.sampled_from(
        ["close", "open_it()", "`Session.close`", "src/a.py:3-9", "none", "uses", "grep", "|", "12", "\ud800"]
    ),
    max_size=5,
).map(" ".join)


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("where close[2]", Cited(2, "where", "close")),
        ("args operator[][1]", Cited(1, "args", "operator[]")),
        (" which[3] \n", Cited(3, "which")),
        ("uses Session::close", Users("Session::close")),
        ("where frobnicate none", Absent("frobnicate")),
        ("uses list", Users("list")),
        ("other", Plain("other")),
        ("list .", Request("list", (".",))),
        ("read a.py", Request("read", ("a.py",))),
        ("read a.py | 3 | 12", Request("read", ("a.py", "3", "12"))),
        ("grep TODO | src", Request("grep", ("TODO", "src"))),
        ("run cat a | wc -l", Request("run", ("cat a | wc -l",))),
        ("edit a.py | old | new | newer", Request("edit", ("a.py", "old", "new | newer"))),
        ("write a.py | x = 1 | 2", Request("write", ("a.py", "x = 1 | 2"))),
    ],
)
def test_records(text: str, record: Record) -> None:
    assert parse(text) == record


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "Hello", "hello there", "where close[0]", "where close[10]", "how close[1]", "close[\u0661] where",
        "where which[1] x",
        "where src/a.py:1-9 none", "uses a.py:3", "list", "list ", "edit a.py | old", "edit a.py |  | new", "read", "read a.py | x",
        "read a.py | \u0663", f"read a.py | {'9' * 5000}", "delete a.py", "|", "none", "uses",
    ],
)  # fmt: skip
def test_what_is_no_record(text: str) -> None:
    assert parse(text) is None


@given(st.text(max_size=60) | st.text(st.sampled_from("[1] |\nwhereusnodlistgp"), max_size=30))
def test_any_text_can_be_parsed(text: str) -> None:
    record = parse(text)
    if isinstance(record, Request):
        assert record.tool in TOOLS
        assert 1 <= len(record.arguments) <= len(TOOLS[record.tool])


# --- the grammar ---


def test_the_grammar_admits_what_can_be_true() -> None:
    admitted = texts_of(grammar("Where is `close`? See 3 in src/b.py", CHUNKS))
    named = {text.strip() for text in admitted if re.search(r"close(\[|$)|close.* none$", text)}
    assert named >= {"where close[1]", "what close[1]", "args close[1]", "uses close"}
    assert not named & {"where close none", "where close[2]", "where close[3]"}
    assert {"hello", "code", "other", "run pytest"} <= admitted
    assert "list ." not in admitted  # `close` is asked about
    assert {
        "read src/b.py",
        "read src/b.py | 3",
        "read src/b.py | 3 | 3",
        "grep close | src/b.py",
        "glob close`",
    } & admitted
    assert not {"which[1] ", "where frobnicate none", "read src/c.py", "grep open"} & admitted


def test_what_is_described_may_be_any_excerpt() -> None:
    admitted = texts_of(grammar("Which code ends it all?", CHUNKS))
    assert {text for text in admitted if text.startswith("which[")} == {"which[1] ", "which[2] ", "which[3] "}


def test_nothing_is_asked_and_nothing_found() -> None:
    assert texts_of(grammar("", [])) == {"hello", "code", "other", "list .", "run pytest"}


@settings(deadline=None)
@given(QUESTIONS)
def test_what_the_grammar_admits_is_a_record_that_can_be_answered(question: str) -> None:
    hits = [Hit(chunk=each, score=1.0) for each in CHUNKS]
    for text in sorted(texts_of(grammar(question, CHUNKS)))[::7]:
        record = parse(text)
        assert record is not None, text
        if isinstance(record, Cited):
            assert answer(record, hits).verified, text


@given(QUESTIONS)
def test_a_span_is_a_run_of_words(question: str) -> None:
    written = question.encode("utf-8", "replace").decode()
    rules = grammar(question, [])
    assert set(runs_of(written)) == (texts_of(rules, "span") if written.split() else set())


@given(st.lists(st.text(st.sampled_from(string.ascii_letters + "`'\".,:?!"), min_size=1, max_size=4), max_size=6))
def test_arguments_come_back_as_they_were_taken(words: list[str]) -> None:
    """No argument of two swallows a part of the other."""
    rules = grammar(" ".join(words), [])
    for rule, tool in (("tool-edit", "edit"), ("tool-grep", "grep")):
        for text in sorted(texts_of(rules, rule))[::11] if f"\n{rule} ::=" in rules else ():
            record = parse(text)
            if not isinstance(record, Request):  # `grep none` says that there is no `grep`
                assert text in ("where grep none", "uses grep")
                continue
            assert record.tool == tool
            assert set(record.arguments) <= set(runs_of(" ".join(words))) | set(paths_in(" ".join(words)))


@pytest.mark.parametrize("question", ["replace a | b by c in x.py", "grep a | b"])
def test_what_could_be_split_in_two_ways_cannot_be_asked_for(question: str) -> None:
    admitted = texts_of(grammar(question, CHUNKS))
    assert not any(
        text.startswith(("edit ", "grep ")) and text not in ("where grep none", "uses grep") for text in admitted
    )
    assert f"run {question}" in admitted


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ("Read `src/shop/cart.py:12-14`, please", "src/shop/cart.py"),
        ("What is in ./... ?", "./..."),
        ("show 'a b.txt' and 'c.txt'", "c.txt"),
        ("read Makefile.", "Makefile"),
        ("list src/", "src/"),
        ("list .", "."),
    ],
)
def test_paths_in_a_question(question: str, path: str) -> None:
    assert path in paths_in(question)


def test_a_pasted_file_makes_no_endless_grammar() -> None:
    rules = grammar("What is " + " ".join(f"word_{number}" for number in range(5000)), CHUNKS)
    assert len(rules) < 50_000


# --- llama.cpp ---


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    path = find_declarations() / "models" / "pocket.gguf"
    return Vocabulary(llama_cpp.llama_model_load_from_file(str(path).encode(), parameters))


@pytest.mark.parametrize(
    "question",
    [
        "", "?", '"', "\\", "a\\", "`'\"", "\\n \\x41 \\u0041 \\\\", "Wörter Größe 日本語 🎉 \u2028x \xad\u200b", "a\nb\r\nc\td",
        "\x00 \x01\x1f \x7f a\x08b \x0b\x0c\x85", "$scope.$apply $ a$b", "/etc/passwd ./... C:\\src src/a.py:12-14", "half \ud800",
        "]] [^a] (b) {3} ::= | #c", "x::y operator+ a->b operator[]", "lines 3 to \u0663 999999999999", "close " * 5000, "x" * 9000,
        " ".join(f"name_{number}" for number in range(3000)),
    ],
    ids=lambda question: ascii(question[:12]),
)  # fmt: skip
def test_llama_understands_every_grammar(question: str, vocabulary: Vocabulary) -> None:
    """`LlamaGrammar.from_string` of llama-cpp-python keeps the text and compiles nothing: the sampler does."""
    for chunks in ([], CHUNKS, [chunk('a"b\\'), chunk("Größe"), *CHUNKS * 4]):
        text = grammar(question, chunks).encode()
        sampler = llama_cpp.llama_sampler_init_grammar(vocabulary.pointer, text, b"root")
        assert sampler, text[:500]
        llama_cpp.llama_sampler_free(sampler)
