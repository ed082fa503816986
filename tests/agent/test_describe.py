"""What is said of a definition: golden cases as files, cut by the real chunker, and what holds for every text."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.agent.describe import docstring_summary, first_line, signature
from offline_agent.agent.scan import language_of
from offline_agent.retrieval.chunk import Chunker
from offline_agent.retrieval.syntax import Languages
from offline_agent.retrieval.tokens import WordCounter
from offline_agent.types import Chunk

ROOT = Path(__file__).parents[2]
DECLARED = tomllib.loads((ROOT / "index" / "languages.toml").read_text(encoding="utf-8"))
CASES = sorted(path for path in (ROOT / "tests" / "cases" / "describe").iterdir() if path.suffix != ".expected")
LANGUAGES = Languages(ROOT / "index")
WHOLE = 400
"""Tokens: no definition of a case is cut."""


def chunks(path: str, text: str, max_tokens: int = WHOLE) -> list[Chunk]:
    return [one for one in Chunker(WordCounter(max_tokens), LANGUAGES).chunk(path, text).chunks if one.symbol]


def one(text: str, path: str = "x.py", symbol: str = "f", signature: str = "") -> Chunk:
    return Chunk(path=path, start_line=1, end_line=1, symbol=symbol, signature=signature, kind="function", text=text)


def described(path: str, text: str) -> str:
    """A definition is its symbol, its signature and, where it has one, its summary; a blank line lies between two."""
    blocks = ([each.symbol, signature(each), docstring_summary(each)] for each in chunks(path, text))
    return "\n\n".join("\n    ".join(filter(None, block)) for block in blocks) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_golden(case: Path, line_end: str) -> None:
    text = case.read_text(encoding="utf-8").replace("\n", line_end)
    assert described(case.name, text) == case.with_suffix(".expected").read_text(encoding="utf-8")


def test_every_language_that_is_indexed_has_a_case_and_is_known_by_its_endings() -> None:
    assert set(DECLARED) | {"jsx"} == {case.stem for case in CASES}
    for case in CASES:
        for ending in DECLARED.get(case.stem, {"endings": [".jsx"]})["endings"]:
            assert language_of(f"a{ending}", "") == language_of(case.name, "")


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("class A(B):\n    'One.'\n", "One."),
        ('def f(): return ":"', ""),
        ('def f(x=")"):\n    """\n    Over\n    two lines\n    """\n', "Over two lines"),
        ('def f():\n    """Cut off in the mid', "Cut off in the mid"),
        ('def f():\n\t"""\\\n\tWith tabs.\n\t"""\n', "With tabs."),
        ('def f():\n    """Read it.\n    Really', "Read it."),
        ('def f():\n    """1. Open it, etc. and close it... or not.  Then', "1. Open it, etc. and close it... or not."),
        ('def f():\n    """.. deprecated:: 3.1\n    """', ""),
        ('def f():\n    """Works on Python 3. And 4."""', "Works on Python 3."),
        ('def f():\n    """See :rfc:`3490` and :attr:`.a`. No."""', "See RFC 3490 and `.a`."),
        ('def f():\n    f"""No docstring."""', ""),
        ('def f(\n    a,\n    b="""no docstring"""', ""),
        ('@wraps(g, text="def f(): (")\ndef f():\n    "Wraps."', "Wraps."),
        ("func main() {\n}\n", ""),
        ("", ""),
    ],
)
def test_docstrings(text: str, summary: str) -> None:
    assert docstring_summary(one(text, path="x")) == summary


@pytest.mark.parametrize(
    ("path", "text", "summary"),
    [
        ("a.go", "// No.\n\n// f is one.\nfunc f() {}", "f is one."),
        ("a.go", "// f is cut off, e.g.", "f is cut off, e.g."),
        ("a.js", "/** Cut off", "Cut off"),
        ("a.js", "const x = 1; // x\nfunction f() {}", ""),
        ("a.js", "/** Of x. */\nconst x = 1;\nfunction f() {}", ""),
        ("a.js", "/** */\nfunction f() {}", ""),
        ("a.ts", "/**\n * @internal\n * Inside.\n */\nfunction f() {}", "Inside."),
        ("a.ts", "/** Is `a?` or {@inheritDoc x} this? Or */\nfunction f() {}", "Is `a?` or  this?"),
        ("a.rs", "/// # Safety\n/// None.\nfn f() {}", ""),
        ("a.rs", '/// One.\n#[a(b = "{")]\n/// Two.\nfn f() {}', "One."),
        ("a.rs", "/// One\n#[a]\n/// two.\nfn f() {}", "One two."),
        ("a.cs", "/// <summary>\n/// <para>One <c>x&lt;y</c>\n/// </para> two.\nint f() {}", "One x<y"),
        ("a.cs", "/// <inheritdoc/>\nint f() {}", ""),
        ("a.c", "/**\n * \\param a first\n *   of two\n *\n * Adds. */\nint f(int a) {}", "Adds."),
        ("a.c", "/*=====\n * Title\n *=====\n * More */\nint f(int a) {}", "Title"),
        ("a.py", "# A comment.\ndef f(): ...", ""),
    ],
)
def test_doc_comments(path: str, text: str, summary: str) -> None:
    assert docstring_summary(one(text, path=path)) == summary


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.py", "def f(\n    a: int,\n    b: str = g(1, 2),\n    c: di", "(a: int, b: str = g(1, 2), \u2026)"),
        ("a.py", "def f(\n    aaa", "def f("),
        ("a.py", "@d(\n  x=(1))\n\tdef\tf(\ta,\r\n\tb):", "(a, b)"),
        ("a.py", "@f(1)\ndef f(a): return f(2)", "(a)"),
        ("a.py", "x = 1", "x = 1"),
        ("a.js", "run(() => {\n  function f(a) {", "(a)"),
        ("a.js", "const f = (a) => { return f(1, 2); }", "(a)"),
        ("a.js", "f = function* g(a) { }", "(a)"),
        ("a.js", "class A { f (a = /\\)/) { } }", "(a = /\\)/)"),
        ("a.java", "@f(1)\nint f(int a) { }", "(int a)"),
        ("a.cpp", "f<int> f<std::vector<int>>(int a) { }", "(int a)"),
        ("a.c", "void (*f(int a, void (*g)(int)))(int) { }", "(int a, void (*g)(int))"),
        ("a.go", "func (f f) f(f f) {}", "(f f)"),
        ("a.sh", "f() { (cd x); }", "f() { (cd x); }"),
        ("a.rb", "def f\n  (1)\nend", "def f"),
        ("a.unknown", "", ""),
    ],
)
def test_signatures(path: str, text: str, expected: str) -> None:
    assert signature(one(text, path=path)) == expected


def test_an_operator_that_has_lost_its_star() -> None:
    assert signature(one("T& operator*(int a) { }", path="a.cpp", symbol="A.operator")) == "(int a)"


def test_a_later_part_of_a_definition_knows_its_beginning() -> None:
    later = one('    """No docstring."""\n    f(1)  # f\n', signature="def f(a, b: int = (1, 2)) -> str:")
    assert (signature(later), docstring_summary(later)) == ("(a, b: int = (1, 2))", "")
    assert first_line(later) == "def f(a, b: int = (1, 2)) -> str:"


def test_a_beginning_that_was_cut_is_not_completed_by_a_call() -> None:
    later = one("    return f(1);\n}", path="a.java", signature="@Retry(times = 3) public")
    assert signature(later) == "@Retry(times = 3) public"
    whole = later.model_copy(update={"text": "    int f(int a) {\n      return f(1);\n}"})
    assert signature(whole) == "(int a)"


def test_a_beginning_that_ends_inside_the_parameters_says_so() -> None:
    assert signature(one("    pass", signature="def f(first, second: int, thi")) == "(first, second: int, \u2026)"


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("a.py", "@d\n\nasync def f(a):  # why\n    pass", "async def f(a):"),
        ("a.c", "/* f() */\nint\nf(a)\n  int a;\n{", "f(a)"),
        ("a.rs", "/// f\n#[f]\npub fn f() {", "pub fn f() {"),
        ("a.java", "/** f */\n@F\nint f() {", "int f() {"),
        ("a.go", "// only words", "// only words"),
        ("tool", "#!/bin/sh\n# Works.\nf () {\n  :\n}", "f () {"),
    ],
)
def test_first_lines(path: str, text: str, line: str) -> None:
    assert first_line(one(text, path=path)) == line


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_part_of_a_definition_says_nothing_that_the_whole_does_not(case: Path) -> None:
    text = case.read_text(encoding="utf-8")
    for whole in chunks(case.name, text):
        for length in range(0, len(whole.text), 7):
            part = whole.model_copy(update={"text": whole.text[:length]})
            said = signature(part)
            assert "\n" not in said + docstring_summary(part) + first_line(part)
            if said.startswith("(") and not said.endswith("\u2026)"):
                assert said == signature(whole)


PIECES = st.sampled_from(
    [
        "f", "def f", "class f", "func ", "fn f", "(", ")", "[", "]", "{", "}", "<", ">", "->", "=>", "=", ":", ";", ",", "@", "#",
        "#[", "/*", "/**", "*/", "//", "///", "'", '"', '"""', "`", "\\", "\n", "\r\n", " ", "\t", "\0", "@param ", "<summary>",
        ":class:`", "{@link ", "e.g. ", "A. ", "async ", "const f = ", "\ud800", "\u2028", "é",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60)


@given(
    text=TEXTS,
    header=st.just("") | TEXTS,
    path=st.sampled_from([case.name for case in CASES] + ["x", ""]),
    symbol=st.sampled_from(["f", "A.f", "A.operator()", "", ".", "A.=="]) | st.text(max_size=5),
    kind=st.sampled_from(["function", "class", "module"]),
)
def test_any_text_is_described_on_lines_of_their_own(text: str, header: str, path: str, symbol: str, kind: str) -> None:
    chunk = Chunk.model_construct(
        path=path, start_line=1, end_line=1, symbol=symbol, signature=header, kind=kind, text=text
    )
    assert all("\n" not in said for said in (signature(chunk), docstring_summary(chunk), first_line(chunk)))


@pytest.mark.parametrize("path", [case.name for case in CASES])
@pytest.mark.parametrize("piece", ["f<", "(", "f(", "/*", "'", '"', "`", "{", ":f", "= /", "e.g. ", "\\", "/// <a "])
def test_a_chunk_of_brackets_takes_no_time(path: str, piece: str) -> None:
    chunk = one(piece * 500, path=path)
    assert isinstance(signature(chunk) + docstring_summary(chunk) + first_line(chunk), str)
