"""Questions that a repository's own words ask for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.retrieval.quiz import Question, first_sentence, question_about, questions, sample
from offline_agent.retrieval.syntax import Languages
from offline_agent.types import Citation, Definition

from .conftest import DECLARATIONS

LANGUAGES = Languages(DECLARATIONS)


def definition(symbol: str = "Session.close", path: str = "a.py", line: int = 10) -> Definition:
    return Definition(path=path, symbol=symbol, kind="function", start_line=line, end_line=line + 20)


def asked(path: str, text: str) -> dict[str, list[tuple[str, int]]]:
    found = questions({path: text}, LANGUAGES)
    return {one.text: [(wanted.symbol, wanted.start_line) for wanted in one.wanted] for one in found}


@pytest.mark.parametrize(
    ("words", "question"),
    [
        ("Closes the adapters and the session.", "Which function closes the adapters and the session?"),
        ("Closes\n    the adapters,  all of them. And more.", "Which function closes the adapters, all of them?"),
        ("Return the adapters in use.", 'Which function is described as "Return the adapters in use"?'),
        ("Process the rows of a table.", 'Which function is described as "Process the rows of a table"?'),
        ("Rows of a table, e.g. of users.", 'Which function is described as "Rows of a table, e.g. of users"?'),
        ('Says "hello" to the world.', "Which function is described as \"Says 'hello' to the world\"?"),
        ("Sends a :class:`~web.Request` to :meth:`it <a.b>`.", "Which function sends a web.Request to it?"),
        ("close closes the adapters and the session.", "Which function closes the adapters and the session?"),
        ("Opens what Close had shut before.", ""),
        ("Too short.", ""),
        ("TODO: write what this is good for.", ""),
        ("word " * 60, ""),
        ("Has a bell\a in the middle of it.", ""),
        ("", ""),
    ],
)
def test_a_question_is_the_first_sentence_without_the_name(words: str, question: str) -> None:
    assert question_about(definition(), words) == question


def test_no_question_is_about_what_python_calls_by_itself() -> None:
    assert question_about(definition("Session.__init__"), "Opens the adapters and the session.") == ""


@given(st.text(max_size=300), st.from_regex(r"[A-Za-z_]\w{0,12}", fullmatch=True))
def test_no_question_tells_the_name(words: str, name: str) -> None:
    question = question_about(definition(name), words)
    assert name.lower() not in re.findall(r"\w+", question.lower())
    assert "\n" not in question


@given(st.text(max_size=300))
def test_a_first_sentence_is_of_the_words(words: str) -> None:
    sentence = first_sentence(words)
    assert len(sentence) <= 200
    assert "`" in words or sentence in " ".join(words.split())


def test_docstrings_of_python() -> None:
    text = '''"""Talks to servers over the network."""

import os


@decorated
class Session:
    """Keeps what several requests share."""

    @property
    def adapters(self):
        """Finds the adapter for an address."""

        def inner():
            """Waits until the server has answered."""

    async def close(self):
        "Lets go of the servers."


def undescribed(): ...
'''
    assert asked("web/session.py", text) == {
        "Which class keeps what several requests share?": [("Session", 7)],
        "Which function finds the adapter for an address?": [("Session.adapters", 11)],
        'Which function is described as "Waits until the server has answered"?': [("Session.adapters.inner", 14)],
        'Which function is described as "Lets go of the servers"?': [("Session.close", 17)],
    }


@pytest.mark.parametrize(
    ("path", "text", "symbol", "line"),
    [
        (
            "a.go",
            "package a\n\n// Close closes the adapters of a session.\nfunc (s *Session) Close() {}\n",
            "Session.Close",
            4,
        ),
        ("a.rs", "/// Closes the adapters of a session.\n#[inline]\npub fn shut() {}\n", "shut", 3),
        ("a.js", "/**\n * Closes the adapters of a session.\n * @param x any\n */\nfunction shut(x) {}\n", "shut", 5),
        ("A.java", "class A {\n  // Closes the adapters of a session.\n  void shut() {}\n}\n", "A.shut", 3),
        ("a.sh", "# Closes the adapters of a session.\nshut() {\n  :\n}\n", "shut", 2),
    ],
)
def test_comments_of_other_languages(path: str, text: str, symbol: str, line: int) -> None:
    assert asked(path, text) == {"Which function closes the adapters of a session?": [(symbol, line)]}


def test_what_is_described_in_the_same_words_is_as_right() -> None:
    one = 'def one():\n    """Closes the adapters of a session."""\n'
    found = questions({"a.py": one, "b.py": one.replace("one", "two")}, LANGUAGES)
    assert [[(wanted.path, wanted.symbol) for wanted in question.wanted] for question in found] == [
        [("a.py", "one"), ("b.py", "two")]
    ]


@pytest.mark.parametrize("text", ["def broken(:\n    '''Closes the adapters of a session.'''", "\0", "(" * 5000, ""])
def test_what_is_no_python_asks_nothing(text: str) -> None:
    assert asked("a.py", text) == {}


def test_no_long_text_takes_long() -> None:
    """Half a million colons take the expression for roles minutes, and as many blanks the one for marks."""
    for filler in (":", " ", "a "):
        words = filler * 500_000
        assert asked("a.py", f'def f():\n    """{words}"""\n') == {}
        assert asked("a.go", f"package a\n//x{words}x\nfunc f() {{}}\n") == {}


@given(st.text(max_size=200), st.sampled_from(["a.py", "a.go", "a.rs", "a.sh", "a.unknown"]))
def test_no_text_breaks_it(text: str, path: str) -> None:
    for question in questions({path: text}, LANGUAGES):
        for wanted in question.wanted:
            assert 1 <= wanted.start_line <= wanted.end_line


@pytest.mark.parametrize(
    ("place", "right"),
    [
        (Citation(path="a.py", start_line=8, end_line=12), True),
        (Citation(path="a.py", start_line=10, end_line=10), True),
        (Citation(path="a.py", start_line=20, end_line=30, symbol="Session.close"), True),
        (Citation(path="a.py", start_line=11, end_line=30, symbol="Session.open"), False),
        (Citation(path="a.py", start_line=40, end_line=50, symbol="Session.close"), False),
        (Citation(path="b.py", start_line=8, end_line=12, symbol="Session.close"), False),
    ],
)
def test_a_place_is_right_that_holds_the_definition_or_a_later_part_of_it(place: Citation, right: bool) -> None:
    assert Question(text="Which?", wanted=(definition(),)).answered_by(place) is right


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 99)), unique=True), st.integers(0, 12))
def test_a_sample_is_the_same_each_time_and_of_many_files(spots: list[tuple[str, int]], limit: int) -> None:
    every = [Question(text=f"{path} {line}", wanted=(definition(path=path, line=line + 1),)) for path, line in spots]
    chosen = sample(every, limit)
    assert chosen == sample(every[::-1], limit)
    assert len({one.text for one in chosen}) == len(chosen) == min(limit, len(every))
    assert len({one.wanted[0].path for one in chosen}) == min(limit, len({path for path, _ in spots}))
