"""Chunks: golden cases as files, and what holds for every text."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.models import EmbedderCard
from offline_agent.retrieval.chunk import Chunker
from offline_agent.retrieval.embed import directory_of
from offline_agent.retrieval.parsed import Parsed
from offline_agent.retrieval.syntax import Languages
from offline_agent.retrieval.tokens import WordCounter, WordPieceCounter
from offline_agent.settings import EmbedderSettings
from offline_agent.types import Chunk

from .conftest import DECLARATIONS

CASES = sorted((Path(__file__).parent / "cases" / "chunk").glob("*.case"))
LANGUAGES = Languages(DECLARATIONS)
SECTION = re.compile(r"^# --- (\w+) ---\n", re.MULTILINE)
SMALL = 64
"""Tokens: golden cases show splits without being long."""


def parse(path: str, text: str, max_tokens: int = SMALL) -> Parsed:
    return Chunker(WordCounter(max_tokens), LANGUAGES).chunk(path, text)


def chunk(path: str, text: str, max_tokens: int = SMALL) -> list[Chunk]:
    return list(parse(path, text, max_tokens).chunks)


@pytest.fixture(scope="module")
def counter() -> WordPieceCounter:
    catalogue = tomllib.loads((DECLARATIONS.parent / "models" / "catalogue.toml").read_text())
    card = EmbedderCard(name="all-MiniLM-L6-v2", **catalogue["embedders"]["all-MiniLM-L6-v2"])
    return WordPieceCounter(directory_of(card, EmbedderSettings()), card.max_tokens)


def _shown(parsed: Parsed) -> dict[str, list[str]]:
    """What a case may show, by the title of its section."""
    return {
        "chunks": [
            f"{one.start_line}-{one.end_line} {one.kind} {one.symbol}".rstrip()
            + (f" | {one.signature}" if one.signature else "")
            for one in parsed.chunks
        ],
        "text": [line for one in parsed.chunks for line in one.text.split("\n")],
        "definitions": [
            f"{one.start_line}-{one.end_line} {one.kind} {one.symbol} | {one.signature}" for one in parsed.definitions
        ],
        "references": [f"{count} {name}" for name, count in sorted(parsed.references.items())],
        "imports": list(parsed.imports),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_golden(case: Path) -> None:
    """A case is a line with the path, the text, and what is found in it under lines such as `# --- chunks ---`."""
    header, _, rest = case.read_bytes().decode().partition("\n")
    text, *sections = SECTION.split(rest)
    shown = _shown(parse(header.removeprefix("# path: ").strip(), text))
    assert sections
    for title, expected in zip(sections[::2], sections[1::2], strict=True):
        assert shown[title] == expected.splitlines()


LINES = st.sampled_from(
    [
        "",
        "   ",
        "\r",
        "def f(a, b):",
        "async def g():",
        "    def method(self):",
        "    @property",
        "@decorator",
        "class A(B):",
        "    class Inner:",
        "        return 1",
        "    x = {",
        "}",
        '    """',
        "'''",
        "if x:",
        "}",
        "func (t *Tree) Walk(depth int) error {",
        "impl<T> Tree<T> {",
        "template <typename T> class Tree : public Base<T> {",
        "  public static void main(String[] args) {",
        "namespace A\\B;",
        "module App",
        "end",
        "export const f = async (a) => {",
        "@overload",
        "def f(first_parameter: int, second_parameter: str, third_parameter: list[str], fourth_parameter: dict) -> None:",
        "[table]",
        "key: value",
        '  "key": {',
        "=======",
        "#!/bin/sh",
        "# Heading",
        "```",
        "a\x0cb",
        "\x0c",
        "a b c d e f g h i j k l m n o p q r s t u v w x y z",
        "ünïcödé = 'ß'",
        "\t)(",
        "word " * 200,
        "x" * 900,
    ]
)
TEXTS = st.one_of(st.lists(LINES, max_size=60).map("\n".join), st.text(max_size=300))
CODE = ["py", "pyi", "js", "jsx", "ts", "tsx", "go", "rs", "c", "h", "cpp", "java", "cs", "rb", "php", "sh"]
OTHERS = ["md", "rst", "toml", "ini", "yaml", "json", "txt", "ipynb"]
PATHS = st.sampled_from([*(f"dir/a.{ending}" for ending in CODE + OTHERS), "noending"])


@settings(max_examples=300, deadline=None)
@given(PATHS, TEXTS)
def test_chunks_cover_each_line_once_in_order_within_the_budget(path: str, text: str) -> None:
    """(A text here is never a notebook that can be read, so an `.ipynb` is a text too.)"""
    lines = text.split("\n")
    counter = WordCounter(SMALL)
    covered: list[int] = []
    for one in chunk(path, text):
        covered += [row for row in range(one.start_line, one.end_line + 1) if lines[row - 1].strip()]
        assert sum(counter.count(one.embedded_text.split("\n"))) + 2 <= SMALL
        span = "\n".join(lines[one.start_line - 1 : one.end_line])
        assert one.text == span or (one.start_line == one.end_line and one.text in span)
    wanted = [row for row, line in enumerate(lines, 1) if line.strip()]
    assert list(dict.fromkeys(covered)) == wanted
    too_long = {row for row in wanted if counter.count([lines[row - 1]])[0] > SMALL - 10}
    assert [row for row in covered if row not in too_long] == [row for row in wanted if row not in too_long]


@settings(max_examples=100, deadline=None)
@given(PATHS, TEXTS)
def test_what_the_real_embedder_reads_fits(counter: WordPieceCounter, path: str, text: str) -> None:
    for one in Chunker(counter, LANGUAGES).chunk(path, text).chunks:
        assert sum(counter.count([one.embedded_text])) + 2 <= counter.max_tokens


@given(PATHS, TEXTS)
def test_definitions_stand_where_they_say(path: str, text: str) -> None:
    last = text.count("\n") + 1
    parsed = parse(path, text)
    for one in parsed.definitions:
        assert 1 <= one.start_line <= one.end_line <= last
        assert one.name
        assert "\n" not in one.signature
        assert len(one.signature) <= 200
    assert all(len(name) > 1 and count > 0 for name, count in parsed.references.items())


def test_a_line_that_is_too_long_is_cut_without_loss() -> None:
    line = " ".join(f"word{number}" for number in range(500))
    pieces = chunk("data.txt", f"first\n{line}\nlast")
    assert "".join(piece.text for piece in pieces if piece.start_line == 2) == line
    assert {piece.end_line for piece in pieces if piece.start_line == 2} == {2}


def test_the_parts_of_a_long_definition_keep_its_symbol() -> None:
    body = "\n".join(f"    value_{number} = call(number, {number})" for number in range(60))
    parts = chunk("a.py", f"class A:\n  def long(self):\n{body}\n")[1:]
    assert len(parts) > 3
    assert {part.symbol for part in parts} == {"A.long"}


def test_the_parts_of_a_long_definition_carry_as_much_of_its_signature_as_there_is_room_for() -> None:
    names = ", ".join(f"parameter_{number}" for number in range(40))
    body = "\n".join(f"    value_{number} = call(number, {number})" for number in range(200))
    first, *rest = chunk("a.py", f"def long({names}):\n{body}\n", 256)
    assert first.signature == ""
    assert len({part.signature for part in rest}) == 1
    assert rest[0].signature.startswith("def long(parameter_0, parameter_1")
    assert sum(WordCounter().count([rest[0].signature])) <= 48


def test_a_lone_surrogate_is_replaced(counter: WordPieceCounter) -> None:
    [one] = Chunker(counter, LANGUAGES).chunk("a.py", "x = '\ud800'").chunks
    assert one.text == "x = '?'"


def test_definitions_nested_absurdly_deep_still_chunk() -> None:
    text = "\n".join(f"{' ' * depth}class C{depth}:" for depth in range(400)) + "\n" + " " * 400 + "x = 1\n"
    chunks = chunk("deep.py", text)
    assert chunks[-1].end_line == 401
    assert max(one.symbol.count(".") for one in chunks) < 30
