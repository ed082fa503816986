"""Which grammar reads a file; and that no text makes one fail or stall. What it finds is in cases/chunk."""

from pathlib import Path

import pytest

from offline_agent.errors import IndexUnavailable
from offline_agent.retrieval.syntax import Languages

from .conftest import DECLARATIONS

LANGUAGES = Languages(DECLARATIONS)


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("a.py", "", "python"),
        ("A.PYI", "", "python"),
        ("a.tsx", "", "tsx"),
        ("a.mts", "", "typescript"),
        ("a.h", "int f(void);", "c"),
        ("a.h", "namespace a {\n}", "cpp"),
        ("a.h", "  public:\n", "cpp"),
        ("a.hh", "", "cpp"),
        ("bin/run", "#!/usr/bin/env -S bash -e\n", "bash"),
        ("bin/run", "#! /bin/sh", "bash"),
        ("bin/run", "#!/usr/bin/python3\n", "python"),
        ("bin/run", "#!", None),
        ("bin/run", "import os", None),
        ("dir.py/file", "", None),
        ("a.unknown", "#!/bin/sh", None),
    ],
)
def test_a_grammar_is_chosen_by_ending_first_line_and_content(path: str, text: str, name: str | None) -> None:
    grammar = LANGUAGES.grammar(path, text)
    assert (grammar and grammar.name) == name


def test_every_language_loads_its_queries() -> None:
    for name in (
        "python",
        "javascript",
        "typescript",
        "tsx",
        "go",
        "rust",
        "c",
        "cpp",
        "java",
        "c_sharp",
        "ruby",
        "php",
        "bash",
    ):
        grammar = LANGUAGES.named(name)
        assert grammar is not None
        assert grammar.read("file", "").definitions == []
    assert LANGUAGES.named("cobol") is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "(\n" * 90_000),
        ("a.py", "x = " + "[" * 100_000 + "]" * 100_000),
        ("a.py", "f(" * 30_000),
        ("a.cpp", "a\n---\n" * 50_000),
        ("a.ts", "a<b<\n" * 60_000),
        ("a.sh", "$(\n" * 60_000),
        ("a.php", "<?php " + "f(\n" * 60_000),
        ("a.js", "a)\n" * 90_000),
    ],
)
def test_no_text_stalls_a_grammar(path: str, text: str) -> None:
    grammar = LANGUAGES.grammar(path, text)
    assert grammar is not None
    assert (
        grammar.read(path, text).imports == []
    )  # within two seconds, where a query of some of these trees takes minutes


def test_what_an_unclosed_bracket_hides_is_found_by_its_line() -> None:
    grammar = LANGUAGES.named("python")
    assert grammar is not None
    hidden = "".join(
        f"def f{number}():\n    '''\n    def no(): in a string\n    '''\n    return 1\n\n" for number in range(50)
    )
    found = grammar.read("a.py", f"x = call(\n{hidden}")
    assert {span.name for span in found.definitions} >= {f"f{number}" for number in range(50)}


def test_declarations_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match="cannot be read"):
        Languages(tmp_path)
    (tmp_path / "queries").mkdir()
    entry = 'endings = [".x"]\nimports = "path"\nabove = []\nlines = "x"\n'
    (tmp_path / "languages.toml").write_text(
        f'[a]\npackage = "no_such_grammar"\n{entry}[b]\npackage = "tree_sitter_c"\n{entry}'
    )
    (tmp_path / "queries" / "a.scm").write_text("")
    (tmp_path / "queries" / "b.scm").write_text("(no_such_node) @reference")
    languages = Languages(tmp_path)
    with pytest.raises(IndexUnavailable, match="no_such_grammar is not installed"):
        languages.named("a")
    with pytest.raises(IndexUnavailable, match="does not fit its grammar"):
        languages.named("b")
