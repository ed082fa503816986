import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.bundle.bootstrap.names import fault_among, fault_of, shown

FINE = [
    "a",
    "install.pyz",
    "models/qwen-0.5b/q4_k_m.gguf",
    "wheels/a-1.0+cpu-py3-none-any.whl",
    "models/n/modèle 漢.gguf",
    ".x/..y",
    "console/com10",
]


@pytest.mark.parametrize("name", FINE)
def test_fine_names(name: str) -> None:
    assert fault_of(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        *["", "/", "/etc/passwd", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a/.."],
        *["a\\b", "..\\a", "C:a", "a:b", "a?", "a*", 'a"', "a<", "a|b"],
        *["a\0b", "a\nb", "a\x1b[2J", "a\x7f", "a\u202eb", "a\u200b", "\ud800", "a\u00a0", "\ue000"],
        *["e\u0301", "\u212b", "\u1100\u1161"],  # not composed; two characters for one letter
        *["con", "CON.txt", "a/nul", "Aux.tar.gz", "com1", "LPT9.x", "com\u00b9", "conin$", "nul .txt"],
        *["a.", "a ", " a", "a./b", "a /b"],
        *["x" * 256, "é" * 128, "/".join(["x" * 200] * 6)],
    ],
)
def test_names_that_mean_something_else_somewhere(name: str) -> None:
    assert fault_of(name)


@given(st.text(max_size=40))
def test_a_fine_name_is_a_path_below(name: str) -> None:
    if fault_of(name) == "":
        path = PurePosixPath(name)
        assert not path.is_absolute()
        assert str(path) == name
        assert not set(path.parts) & {"..", "."}
        assert unicodedata.normalize("NFC", name) == name
        assert "\\" not in name


def test_names_that_go_together() -> None:
    assert fault_among(["a/b", "a/c", "b", "ab"]) == ""


@pytest.mark.parametrize(
    "names",
    [
        ["a", "a"],
        ["a", "A"],
        ["a/b", "A/c"],
        ["a", "a/b"],
        ["a/b", "a/b/c"],
        ["a", "a-b", "a/b"],
        ["straße", "STRASSE"],
        ["\ufb01", "fi"],  # a ligature
        ["models/k/x", "models/\u212a/y"],  # the sign for kelvin
    ],
)
def test_names_that_are_one_on_some_file_systems(names: list[str]) -> None:
    assert fault_among(names)
    assert fault_among(reversed(names))


def test_a_terminal_gets_nothing_that_it_obeys() -> None:
    assert shown("a\x1b[2J\ud800") == "'a\\x1b[2J\\ud800'"
    assert shown("é") == "é"
