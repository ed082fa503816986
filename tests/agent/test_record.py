import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.agent.record import ABOUT, docstring_summary, read_record, record_grammar, signature
from offline_agent.types import Chunk, Hit

CLOSE = Chunk(
    path="src/a.py",
    start_line=3,
    end_line=9,
    symbol="Session.close",
    kind="function",
    text='''    @deco(x=":")
    async def close(
        self, sep="(", *, limits: dict[str, int] = {},
        b=1,
    ) -> dict[str, int]:
        # why
        r"""Close what is open: at once. And more.

        Not this.
        """
        return {}
''',
)
OPEN = Chunk(
    path="src/b.py", start_line=1, end_line=2, symbol="open_it", kind="function", text="def open_it():\n    return 1\n"
)
HITS = [Hit(chunk=CLOSE, score=2.0), Hit(chunk=OPEN, score=1.0)]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ("Session.close[1] where", "`Session.close` is defined at src/a.py:3-9."),
        ("close[1] what", "`Session.close` (src/a.py:3-9): Close what is open: at once."),
        (
            "close()[1] args",
            '`Session.close` takes `(self, sep="(", *, limits: dict[str, int] = {}, b=1)` (src/a.py:3-9).',
        ),
        ("Session.close[1] which", "src/a.py:3-9 has `Session.close`: Close what is open: at once."),
        ("open_it[2] what", "`open_it` (src/b.py:1-2): it has no docstring; it begins `def open_it():`."),
        ("open_it[2] args", "`open_it` takes `()` (src/b.py:1-2)."),
    ],
)
def test_a_record_becomes_a_sentence(record: str, text: str) -> None:
    answered = read_record(record, HITS)
    assert answered.text == text
    assert answered.verified
    assert len(answered.citations) == 1


@pytest.mark.parametrize(
    "record", ["close[2] where", "close[3] where", "close[0] where", "clos[1] where", "close none", "", "close[1] how"]
)
def test_what_does_not_agree_with_the_chunks_is_not_said(record: str) -> None:
    answered = read_record(record, HITS)
    assert not answered.verified
    assert answered.text.startswith("I am not sure. The search results")


def test_a_later_part_of_a_definition_stands_for_its_beginning() -> None:
    rest = CLOSE.model_copy(update={"start_line": 10, "end_line": 12, "text": "        more()\n"})
    answered = read_record("close[1] what", [Hit(chunk=rest, score=3.0), *HITS])
    assert answered.text == "`Session.close` (src/a.py:3-9): Close what is open: at once."


def test_an_absent_name_is_said_to_be_absent() -> None:
    answered = read_record("frobnicate none", HITS)
    assert answered.text.startswith("None of the excerpts I was shown defines `frobnicate`.")
    assert not answered.verified


def test_other_questions_get_told_what_this_is() -> None:
    assert read_record("other", HITS).text == ABOUT


def test_nothing_found() -> None:
    assert "found nothing" in read_record("x[1] where", []).text


@given(st.text(max_size=60), st.booleans())
def test_no_words_of_a_model_can_cite_what_was_not_found(text: str, prefix: bool) -> None:
    answered = read_record(("close[1] " if prefix else "") + text, HITS)
    assert {str(citation) for citation in answered.citations} <= {CLOSE.location, OPEN.location}


@given(st.text(alphabet="def class():,'\"#[]{}\n f=\\", max_size=80))
def test_any_text_has_a_signature_and_a_summary(text: str) -> None:
    chunk = Chunk(path="x", start_line=1, end_line=1, symbol="f", text=text)
    assert isinstance(signature(chunk) + docstring_summary(chunk), str)


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("class A(B):\n    'One.'\n", "One."),
        ('def f(): return ":"', ""),
        ('def f(x=")"):\n    """\n    Over\n    two lines\n    """\n', "Over two lines"),
        ('def f():\n    """Cut off in the mid', "Cut off in the mid"),
        ("func main() {\n}\n", ""),
    ],
)
def test_docstring_summaries(text: str, summary: str) -> None:
    assert docstring_summary(Chunk(path="x", start_line=1, end_line=1, symbol="f", text=text)) == summary


def test_the_grammar_admits_what_can_be_true() -> None:
    assert record_grammar("Where is session.close() defined?", HITS).split("\n") == [
        'root ::= other | cited intent | absent " none"',
        'other ::= "other"',
        'cited ::= "Session.close[1] " | "close[1] " | "open_it[2] "',
        'intent ::= "where" | "what" | "args" | "which"',
        'absent ::= "Where" | "is" | "session.close" | "defined"',
    ]


def test_the_grammar_without_hits_or_words() -> None:
    assert record_grammar("?", []).split("\n") == [
        'root ::= other | absent " none"',
        'other ::= "other"',
        'absent ::= "it"',
    ]
