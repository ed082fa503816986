"""Records as sentences: nothing in them is not from a hit, and what does not hold is not said."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.agent.answer import TEXTS, answer, users
from offline_agent.agent.record import Request, Users, parse
from offline_agent.types import Chunk, Hit

CLOSE = Chunk(
    path="src/a.py",
    start_line=3,
    end_line=9,
    symbol="Session.close",
    kind="function",
    text='''    async def close(
        self, sep="(", *, limits: dict[str, int] = {},
    ) -> dict[str, int]:
        r"""Close what is open: at once. And more."""
        return {}
''',
)
REST = CLOSE.model_copy(
    update={"start_line": 10, "end_line": 12, "text": "        more()\n", "signature": "async def close("}
)
OPEN = Chunk(
    path="src/b.py", start_line=1, end_line=2, symbol="open_it", kind="function", text="def open_it():\n    return 1\n"
)
NOTE = Chunk(path="README.md", start_line=40, end_line=44, text="Close it with care.\n")
TOP = NOTE.model_copy(update={"start_line": 1, "end_line": 5, "text": "# Shop\n"})
HITS = [Hit(chunk=each, score=1.0) for each in (CLOSE, OPEN, NOTE, TOP)]


def hits_of(*chunks: Chunk) -> list[Hit]:
    return [Hit(chunk=each, score=1.0) for each in chunks]


def code(path: str, text: str, symbol: str = "", start: int = 1) -> Chunk:
    return Chunk(path=path, start_line=start, end_line=start + text.count("\n"), symbol=symbol, text=text)


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ("where Session.close[1]", "`Session.close` is defined at src/a.py:3-9."),
        ("what close[1]", "`Session.close` (src/a.py:3-9): Close what is open: at once."),
        ("args close[1]", '`Session.close` takes `(self, sep="(", *, limits: dict[str, int] = {})` (src/a.py:3-9).'),
        ("which[1]", "src/a.py:3-9 has `Session.close`: Close what is open: at once.\nOther results: `open_it` (src/b.py:1-2)."),
        ("what open_it[2]", "`open_it` (src/b.py:1-2): it has no docstring; it begins `def open_it():`."),
        ("args open_it[2]", "`open_it` takes `()` (src/b.py:1-2)."),
        ("other", TEXTS["other"]),
    ],
)  # fmt: skip
def test_a_record_becomes_a_sentence(record: str, text: str) -> None:
    answered = answer(parse(record), HITS)
    assert (answered.text, answered.verified) == (text, True)


@pytest.mark.parametrize(
    "record",
    ["where close[2]", "where close[3]", "where close[9]", "where clos[1]", "where close none", "which[7]", "", "x"],
)
def test_what_does_not_hold_is_not_said(record: str) -> None:
    answered = answer(parse(record), HITS)
    assert not answered.verified
    assert answered.text.startswith("I am not sure. The search results")


def test_an_excerpt_without_a_symbol_stands_for_itself() -> None:
    assert answer(parse("which[3]"), HITS).text.startswith("README.md:40-44 fits best.")


def test_a_later_part_of_a_definition_stands_for_its_beginning() -> None:
    answered = answer(parse("what close[1]"), hits_of(REST, CLOSE, OPEN))
    assert answered.text == "`Session.close` (src/a.py:3-9): Close what is open: at once."


def test_a_later_part_alone_does_not_say_that_the_definition_begins_there() -> None:
    answered = answer(parse("where close[1]"), hits_of(REST))
    assert answered.text == "`Session.close` is defined in src/a.py; src/a.py:10-12 is a part of it."


def test_two_definitions_of_one_name_are_both_told() -> None:
    again = OPEN.model_copy(update={"start_line": 8, "end_line": 9})
    other = OPEN.model_copy(update={"path": "c.py"})
    answered = answer(parse("where open_it[2]"), hits_of(OPEN, again, other))
    assert answered.text.startswith("`open_it` is defined at src/b.py:8-9.\nThe name could also mean: ")
    assert {str(place) for place in answered.citations} == {"src/b.py:1-2", "src/b.py:8-9", "c.py:1-2"}


@pytest.mark.parametrize(
    ("path", "text", "symbol"),
    [
        ("a.sh", "run() {\n  echo\n}\n", "run"),
        ("a.md", "# Started\n", "Started"),
        ("a.py", "class run:\n    x = 1\n", "run"),
    ],
)  # fmt: skip
def test_what_lists_no_arguments_is_not_said_to_take_its_first_line(path: str, text: str, symbol: str) -> None:
    answered = answer(parse(f"args {symbol}[1]"), hits_of(code(path, text, symbol)))
    assert f"`{symbol}` names no arguments where it begins: " in answered.text
    assert answered.verified


def test_an_absent_name_is_said_to_be_absent_and_what_is_near_is_told() -> None:
    answered = answer(parse("where frobnicate none"), HITS)
    assert answered.text.startswith(
        "I do not know `frobnicate`: nothing that the search found is called so. The search"
    )
    assert not answered.verified
    near = answer(parse("where open_its none"), HITS)
    assert near.text.endswith("Near it: `open_it` (src/b.py:1-2).")
    assert [str(place) for place in near.citations] == ["src/b.py:1-2"]


@pytest.mark.parametrize("record", ["where x[1]", "where x none", "which[1]"])
def test_nothing_found(record: str) -> None:
    assert "found nothing" in answer(parse(record), []).text


PLACES = re.compile(r"[\w./-]+\.\w+:\d+(?:-\d+)?")
WRITTEN = st.text(max_size=40) | st.lists(
    st.sampled_from(["close", "[1]", "[2]", "[9]", " ", "where", "what", "args", "which", "none", "uses", "x.py:1-9", "Session."])
).map("".join)  # fmt: skip


@given(WRITTEN, st.permutations([CLOSE, REST, OPEN, NOTE, TOP]))
def test_no_words_of_a_model_can_cite_what_was_not_found(text: str, chunks: list[Chunk]) -> None:
    record = parse(text)
    if isinstance(record, Request):  # its result is a tool's
        return
    answered = answer(record, hits_of(*chunks))
    known = {each.location for each in chunks}
    assert {str(citation) for citation in answered.citations} <= known
    assert set(PLACES.findall(answered.text)) <= known


@given(st.from_regex(r"[a-z$][\w$.]{0,6}", fullmatch=True), st.lists(st.text(max_size=30), max_size=4), st.booleans())
def test_every_line_that_is_told_has_the_name(name: str, texts: list[str], joined: bool) -> None:
    name = name.rstrip(".") or "x"
    lines = [f"{text} {name}({text}" if joined else text for text in texts]
    chunks = [code(f"{at}.py", line, start=7) for at, line in enumerate(lines)]
    by_path = {each.path: each.text.split("\n") for each in chunks}
    answered = users(name, hits_of(*chunks))
    if answered.verified:
        for place in answered.citations:
            assert name.rpartition(".")[2] in by_path[place.path][place.start_line - 7]


# --- who uses it ---

CALLS = [
    ("a.py", "def close(a):\n    return close(a - 1)\n", 2),
    ("a.py", "@deco\nasync def close(\n    a,\n):\n    await close(a)\n", 5),
    ("a.py", "class Session:\n    def close(self):\n        pass\n", 0),
    ("a.py", "class A:\n    close: int = 1\n    close = 2\n", 0),
    ("a.py", "x = [\n    close(1),\n]\n", 2),
    ("a.py", "class B(close):\n    pass\n", 1),
    ("a.py", "# close it\nif x:\n    close()\n", 3),
    ("a.py", "import os\nfrom a import close\n\nclose(close)\n", 4),
    ("a.py", "return close\n", 1),
    ("a.py", "\x0c\nx = close()\n", 2),
    ("a.js", "function close(a) {\n  return close(a)\n}\n", 2),
    ("a.js", "class A {\n  close(a) {\n    this.close(a)\n  }\n}\n", 3),
    ("a.js", "class A {\n  static async close(a) {\n  }\n}\n", 0),
    ("a.js", "const close = async (a) => {\n  if (close(a)) {\n  }\n}\n", 2),
    ("a.js", "  close(() => {\n  })\n", 1),
    ("a.ts", "interface A {\n  close(a: number): void;\n}\n", 0),
    ("a.ts", "export const close: F = (a) => close(a);\n", 1),
    ("a.go", "func (s *Server) close() error {\n\treturn s.close()\n}\n", 2),
    ("a.go", "type close struct {\n}\nvar x close\n", 3),
    ("a.go", "if err := close(x); err != nil {\n}\n", 1),
    ("a.go", "\tdefer close(x)\n", 1),
    ("a.rs", "pub fn close<T>(a: T) -> u8 {\n    match close(a) {\n    }\n}\n", 2),
    ("a.c", "static int close(int fd);\nint\nclose(int fd)\n{\n    close(fd);\n}\n", 5),
    ("a.c", "struct close {\n  int a;\n};\nstruct close *p;\n", 4),
    ("a.c", "    else close(fd);\n", 1),
    ("a.cpp", "void Session::close() const {\n  return;\n}\n", 0),
    ("a.cpp", "  Session::close(x);\n", 1),
    ("a.java", "  public void close() throws IOException, Other {\n    super.close();\n  }\n", 2),
    ("a.java", "  abstract void close(int a);\n", 0),
    ("a.cs", "  public int close() => 3;\n  int y = close();\n", 2),
    ("a.rb", "def close(a)\n  puts close(a) { |x| x }\nend\n", 2),
    ("a.rb", "close(1) { |x| x }\n", 1),
    ("a.php", "<?php\nfunction close($a) {\n  return $this->close($a);\n}\n", 3),
    ("a.sh", "close() {\n  echo\n}\nclose 1\n", 4),
]


@pytest.mark.parametrize(("path", "text", "line"), CALLS)
@pytest.mark.parametrize("symbol", ["close", "Session.close", ""])
def test_calls_are_told_and_definitions_are_not(path: str, text: str, line: int, symbol: str) -> None:
    answered = users("close", hits_of(code(path, text, symbol, start=11)))
    assert [place.start_line - 10 for place in answered.citations if answered.text.count("used here")] == [line] * (
        line > 0
    )


def test_the_head_of_a_definition_is_no_use_whatever_it_looks_like() -> None:
    text = "exports.close = wrapped((a) => {\n  close(a)\n})\n"
    chunk = code("a.js", text, "close").model_copy(update={"kind": "function"})
    assert [place.start_line for place in users("close", hits_of(chunk)).citations] == [2]


def test_code_comes_before_imports_before_prose_and_each_line_once() -> None:
    chunks = [
        code("a.md", "Call close() here.\n"),
        code("b.py", "# close\n"),
        code("c.py", "from x import close\n"),
        code("d.py", "def f():\n    close()\n", "f"),
        code("d.py", "    close()\n", start=2),
        code("e.py", "closed()\n"),
    ]
    assert users("Session.close", hits_of(*chunks)).text.split("\n")[1:] == [
        "- d.py:2 in `f`: close()",
        "- c.py:1: from x import close",
        "- a.md:1: Call close() here.",
        "- b.py:1: # close",
    ]


def test_many_users_are_counted() -> None:
    answered = users("f", hits_of(*(code(f"{number}.py", "f()\n") for number in range(11))))
    assert len(answered.citations) == 8
    assert answered.text.endswith("and 3 more: `grep f` shows every line.")


def test_nobody_uses_it() -> None:
    answered = users("close", hits_of(CLOSE.model_copy(update={"text": "def close(self):\n    pass\n"})))
    assert answered.text == "Nothing that the search found uses `Session.close`, which is defined at src/a.py:3-9."
    assert users("frobnicate", HITS).text.startswith("I do not know `frobnicate`: nothing that the search found")
    assert "found nothing" in users("frobnicate", []).text


def test_users_are_a_record_of_their_own() -> None:
    assert not answer(Users("close"), HITS).verified
