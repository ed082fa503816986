import re
from functools import partial
from pathlib import Path

import pytest
from pydantic import ValidationError

from offline_agent.actions import Entry
from offline_agent.errors import Denied, GuardError
from offline_agent.protocols import Tool
from offline_agent.tools.outputs import MemoryOutputs
from offline_agent.tools.plain import PlainWorkspace
from offline_agent.tools.read import ListArguments, ListDirectory, ReadArguments, ReadFile, listing
from offline_agent.types import ToolResult


class Guarded(PlainWorkspace):
    """One that has a file which may not be read."""

    def entries(self, path: str) -> tuple[Entry, ...]:
        return (*super().entries(path), Entry(path=".env", kind="file", size=12, denied=True))


@pytest.fixture
def tool(workspace: PlainWorkspace, outputs: MemoryOutputs) -> ReadFile:
    return ReadFile(workspace, outputs)


def read(tool: Tool, **arguments: object) -> ToolResult:
    result = tool.run(tool.arguments.model_validate(arguments))
    assert isinstance(result, ToolResult)
    return result


def test_a_file_stands_under_a_header_as_it_is(tool: ReadFile) -> None:
    result = read(tool, path="README.md")
    assert result.text == "README.md lines 1-3 of 3\n# Shop\n\nSells things."
    assert (result.summary, result.ours, result.failed) == ("read README.md 1-3", False, False)


@pytest.mark.parametrize(
    ("start", "end", "header"),
    [
        (1, None, "long.txt lines 1-400 of 1000 (go on with start=401)"),
        (900, None, "long.txt lines 900-1000 of 1000"),
        (990, 2000, "long.txt lines 990-1000 of 1000"),
        (5, 5, "long.txt lines 5-5 of 1000"),
    ],
)
def test_a_range(tool: ReadFile, root: Path, start: int, end: int | None, header: str) -> None:
    (root / "long.txt").write_text("".join(f"{number}\n" for number in range(1, 1001)))
    rows = read(tool, path="long.txt", start=start, end=end).text.split("\n")
    assert rows[0] == header
    assert rows[1] == str(start)


def test_what_is_too_much_for_one_reading_says_where_to_go_on(tool: ReadFile, root: Path) -> None:
    (root / "wide.txt").write_text("".join(f"{number} {'x' * 3000}\n" for number in range(100)))
    rows = read(tool, path="wide.txt", end=100).text.split("\n")
    assert rows[0] == f"wide.txt lines 1-{len(rows) - 1} of 100 (go on with start={len(rows)})"
    assert rows[1].endswith(" [... 1,002 more characters of this line]")
    assert sum(map(len, rows)) < 25_000


@pytest.mark.parametrize(("start", "end"), [(4, None), (3, 2), (900, 1000)])
def test_lines_that_are_not_there(tool: ReadFile, start: int, end: int | None) -> None:
    result = read(tool, path="README.md", start=start, end=end)
    assert result.text.startswith("README.md has 3 lines: there are no lines")
    assert result.failed


def test_an_empty_file(tool: ReadFile, root: Path) -> None:
    (root / "empty").touch()
    assert read(tool, path="empty").text == "empty is empty."


def test_a_kept_output_is_read_by_range_and_one_that_is_gone_is_an_error(
    tool: ReadFile, outputs: MemoryOutputs
) -> None:
    name = outputs.keep("one\ntwo\nthree\n")
    assert read(tool, path=name, start=2, end=2).text == "output:1 lines 2-2 of 3\ntwo"
    with pytest.raises(GuardError, match="There is no output:7 any more"):
        read(tool, path="output:7")


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("src/shp.py", "src/shop.py"),
        ("shop.py", "src/shop.py"),
        ("lib/CART.py", "src/cart.py"),
        ("/test_shop.py", "tests/test_shop.py"),
    ],
)
def test_a_path_that_is_not_there_names_what_is_near(
    tool: ReadFile, workspace: PlainWorkspace, path: str, near: str
) -> None:
    absolute = str(workspace.root) + path if path.startswith("/") else path
    with pytest.raises(GuardError, match=f"There is no .*Near: {near}"):
        read(tool, path=absolute)


def test_nothing_is_near_what_is_denied(tool: ReadFile) -> None:
    with pytest.raises(Denied) as caught:
        read(tool, path="../README.md")
    assert "Near" not in str(caught.value)


def test_a_directory_is_listed(tool: ReadFile) -> None:
    assert read(tool, path="src").text == "src: 2 entries\ncart.py 69 B\nshop.py 96 B"


def test_what_is_no_text_says_what_it_is(tool: ReadFile, root: Path) -> None:
    (root / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    with pytest.raises(GuardError, match=r"logo\.png is a PNG image of 9 bytes, not text"):
        read(tool, path="logo.png")


def test_a_listing_has_kinds_and_says_what_is_denied(root: Path) -> None:
    (root / "link").symlink_to("README.md")
    result = read(ListDirectory(Guarded(root)))
    assert result.text == (".: 5 entries\nREADME.md 22 B\nlink (a symbolic link)\nsrc/\ntests/\n.env 12 B (denied)")
    assert result.summary == "list .: 5 entries"


def test_a_long_listing_is_cut(root: Path, workspace: PlainWorkspace) -> None:
    (root / "many").mkdir()
    for number in range(203):
        (root / "many" / f"{number:03}").touch()
    rows = listing(workspace, "many").text.split("\n")
    assert rows[-1] == "[... 3 more; find them with glob]"
    assert len(rows) == 202


def test_a_directory_that_is_not_there(workspace: PlainWorkspace) -> None:
    with pytest.raises(GuardError, match="cannot be listed"):
        ListDirectory(workspace).run(ListArguments(path="gone"))


@pytest.mark.parametrize(
    "arguments", [{}, {"path": "a", "start": 0}, {"path": "a", "lines": 3}, {"path": "a", "end": "x"}]
)
def test_what_is_no_reading(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ReadArguments.model_validate(arguments)


def test_a_part_of_a_secret_is_masked_as_the_whole_is(root: Path, workspace: PlainWorkspace) -> None:
    (root / "notes.md").write_text("the key:\nBEGIN\nabc\ndef\nEND\n")
    mask = partial(re.sub, r"(?s)(?<=BEGIN\n).*(?=\nEND)", "[redacted:key#1]\n")
    shown = ReadFile(workspace, MemoryOutputs(), mask).run(ReadArguments(path="notes.md", start=3, end=4))
    assert shown.text == "notes.md lines 3-4 of 5\n[redacted:key#1]\n"
