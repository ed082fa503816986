"""What is read out of a question: golden cases as files, and what holds for any text."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.retrieval.query import Query, Shape

CASES = sorted((Path(__file__).parent / "cases" / "query").glob("*.case"))
SECTION = re.compile(r"^# --- (\w+) ---\n", re.MULTILINE)


def _shown(query: Query) -> dict[str, list[str]]:
    """What a case may show, by the title of its section."""
    wanted = {"tests": query.wants_tests, "docs": query.wants_docs, "vendored": query.wants_vendored}
    return {
        "shape": [query.shape],
        "title": [query.title],
        "gist": query.gist.splitlines(),
        "terms": [f"{weight:.2f} {term}" for term, weight in query.terms.items()],
        "names": list(query.names),
        "words": [" ".join(query.words)],
        "paths": list(query.paths),
        "frames": [f"{one.depth} {one.path}:{one.line} {one.name}".rstrip() for one in query.frames],
        "wants": [name for name, wants in wanted.items() if wants],
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_golden_cases(case: Path) -> None:
    """The question first, then sections with what is expected of it."""
    _, _, text, *sections = SECTION.split(case.read_text(encoding="utf-8"))
    shown = _shown(Query(text=text.removesuffix("\n")))
    for title, expected in zip(sections[::2], sections[1::2], strict=True):
        assert shown[title] == expected.splitlines(), title


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("", Shape.NAME),
        ("close", Shape.NAME),
        ("Session.close", Shape.NAME),
        ("`Session.close()`", Shape.NAME),
        ("get_auth HTTPAdapter", Shape.NAME),
        ("src/app.py", Shape.NAME),
        ("request context", Shape.QUESTION),
        ("get_auth in sessions", Shape.QUESTION),
        ("Where is get_auth?", Shape.QUESTION),
        ("word " * 50, Shape.QUESTION),
        ("word " * 51, Shape.REPORT),
        ("a b\n" * 6, Shape.QUESTION),
        ("a b\n" * 7, Shape.REPORT),
    ],
)
def test_shapes(text: str, shape: Shape) -> None:
    assert Query(text=text).shape is shape


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("see src/flask/app.py, or app.py.", ["src/flask/app.py", "app.py"]),
        ("`a/b.ts` (c.go) [d.rs](e.md) 'f.toml' \"g.rb\"", ["a/b.ts", "c.go", "d.rs", "e.md", "f.toml", "g.rb"]),
        (r"C:\work\a.cs and .\b.java", ["C:/work/a.cs", "./b.java"]),
        ("~/x/.pre-commit-config.yaml and @scope/index.mjs", ["~/x/.pre-commit-config.yaml", "@scope/index.mjs"]),
        ("a.pyx a.pyi", ["a.pyx", "a.pyi"]),
        ("a.python e.g. version 1.2.3, x.py/ is a directory", []),
        ("a.py a.py ./a.py", ["a.py", "./a.py"]),
        ("größe/maß.py", ["größe/maß.py"]),
    ],
)
def test_paths(text: str, paths: list[str]) -> None:
    assert list(Query(text=text).paths) == paths


@pytest.mark.parametrize(
    ("text", "wants"),
    [
        ("which test covers uploads", "tests"),
        ("the untested fixtures", "tests"),
        ("latest contest attested", ""),
        ("where are the docs of it", "docs"),
        ("an example, or the README", "docs"),
        ("the vendored urllib3", "vendored"),
        ("third-party code", "vendored"),
    ],
)
def test_what_is_asked_for(text: str, wants: str) -> None:
    assert _shown(Query(text=text))["wants"] == ([wants] if wants else [])


def test_in_a_report_only_the_title_asks() -> None:
    report = Query(text="Upload fails\n\n" + "I ran the tests and read the documentation.\n" * 10)
    assert not report.wants_tests
    assert not report.wants_docs
    assert not Query(text="Which test fails\n\n" + "so it is\n" * 10).wants_tests
    assert Query(text="Which test covers redirects?").wants_tests
    assert not Query(text="How are tests collected?").wants_tests


def test_a_title_has_letters_and_an_end() -> None:
    assert Query(text="# ---\n\n** Upload **\nmore").title == "Upload"
    assert Query(text="??\n!!").title == ""
    assert len(Query(text="word " * 500).title) == 300


def test_of_a_long_report_the_terms_said_most() -> None:
    terms = Query(text="common common common\n" * 10 + " ".join(f"{chr(97 + n % 26)}_{n}" for n in range(500))).terms
    assert len(terms) == 200
    assert next(iter(terms)) == "common"


def test_numbers_too_long_for_a_line_are_none() -> None:
    assert Query(text="a.py:" + "9" * 5000).frames == ()
    assert Query(text='File "a.py", line ' + "9" * 20).frames == ()
    assert [one.line for one in Query(text="a.py:123456789").frames] == [123_456_789]


# What makes patterns slow: long runs of what they begin with, and beginnings without an end.
PIECES = st.sampled_from(
    [
        *"aA1_./\\-~:`()é \n\t",
        *("aA1", "    ", "```", "<!--", "-->", "a.py", "a.py:1", "a.go:1 +0x1", "http://", "C:", ">>> "),
        *('File "', '", line 1', "at ", "at a(", ": in ", ".cs:line 1", ".php(1)"),
    ]
)


@settings(max_examples=60)
@given(st.lists(PIECES, max_size=30), st.integers(1, 100))
def test_any_text_is_read(pieces: list[str], times: int) -> None:
    query = Query(text=("".join(pieces) * times)[:20_000])
    _check(query)


@given(st.text())
def test_any_characters_are_read(text: str) -> None:
    _check(Query(text=text))


def _check(query: Query) -> None:
    _shown(query)
    assert sorted(frame.depth for frame in query.frames) == list(range(len(query.frames)))
    assert len(set(query.names)) == len(query.names)
    assert "" not in query.names
    assert all(weight > 0 for weight in query.terms.values())
    assert not set(query.names) & set(query.words)
