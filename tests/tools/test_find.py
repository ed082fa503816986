import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.errors import GuardError
from offline_agent.tools.find import Glob, GlobArguments, Grep, GrepArguments
from offline_agent.tools.match import Matcher, NoPattern, OutOfTime
from offline_agent.tools.outputs import MemoryOutputs
from offline_agent.tools.pattern import BadPattern, NamePattern
from offline_agent.tools.plain import PlainWorkspace
from offline_agent.types import ToolResult

HOSTILE = r"(a|aa)+$"
NAMES = st.lists(st.sampled_from(["a", "b", "ab", "src", "x.py", "y.ts"]), min_size=1, max_size=4).map("/".join)


@pytest.fixture
def grep(workspace: PlainWorkspace, outputs: MemoryOutputs) -> Grep:
    return Grep(workspace, outputs)


def found(tool: Grep, pattern: str, path: str = ".", ignore_case: bool = False) -> ToolResult:
    return tool.run(GrepArguments(pattern=pattern, path=path, ignore_case=ignore_case))


def test_matches_stand_under_their_file_with_their_lines(grep: Grep) -> None:
    result = found(grep, r"def \w+\(item")
    assert result.text == "src/shop.py\n1: def price(item):\n5: def total(items):"
    assert result.summary == r"grep def \w+\(item: 2 matches in 1 file"


def test_a_path_and_the_case(grep: Grep) -> None:
    assert found(grep, "SHOP", "README.md", ignore_case=True).text == "README.md\n1: # Shop"
    nothing = found(grep, "SHOP", "src")
    assert nothing.text == "No line of 2 text files under src matches 'SHOP'."
    assert nothing.ours


def test_a_line_begins_and_ends_by_itself(grep: Grep) -> None:
    assert found(grep, r"^\s*return .*\)$", "src/shop.py").text == "src/shop.py\n6: return sum(map(price, items))"
    assert found(grep, r"things\.\Z", "README.md").text == "README.md\n3: Sells things."


def test_a_kept_output_is_searched(grep: Grep, outputs: MemoryOutputs) -> None:
    name = outputs.keep("ok\nerror: no disk\n")
    assert found(grep, "error", name).text == "output:1\n2: error: no disk"


def test_many_matches_are_counted_and_no_file_hides_the_others(grep: Grep, root: Path) -> None:
    for name in "abcdef":
        (root / f"{name}.log").write_text("hit\n" * 50)
    result = found(grep, "hit")
    rows = result.text.split("\n")
    assert len([row for row in rows if row.endswith(": hit")]) == 100
    assert "[... 20 more in this file]" in rows
    assert rows[-1] == "[100 of 300 matches in 6 files are shown; name a path, or use a narrower pattern]"


def test_a_long_line_is_cut_round_the_match(grep: Grep, root: Path) -> None:
    (root / "data.json").write_text("x" * 5000 + "needle" + "y" * 5000)
    row = found(grep, "needle").text.split("\n")[1]
    assert "needle" in row
    assert len(row) < 220


def test_what_is_no_text_is_passed_over(grep: Grep, root: Path) -> None:
    (root / "program").write_bytes(b"\x7fELF\x00needle")
    assert found(grep, "needle").text == "No line of 4 text files matches 'needle'."


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("foo(", "missing ) at character 5"), ("[a", "unterminated"), ("(" * 5000 + ")" * 5000, "too deeply nested")],
)
def test_what_is_no_regular_expression(grep: Grep, pattern: str, reason: str) -> None:
    result = found(grep, pattern)
    assert result.failed
    assert reason in result.text
    assert "To find it letter by letter, search for" in result.text


def test_the_literal_form_that_is_offered_finds_it(grep: Grep, root: Path) -> None:
    (root / "odd.txt").write_text("call foo( now\n")
    offered = re.search(r"search for '(.*)'\.$", found(grep, "foo(").text)
    assert offered
    assert "1: call foo( now" in found(grep, offered[1].replace("\\\\", "\\")).text


def test_a_hostile_pattern_ends_with_the_time(workspace: PlainWorkspace, outputs: MemoryOutputs, root: Path) -> None:
    (root / "a.txt").write_text("a" * 100 + "b\n")
    result = found(Grep(workspace, outputs, seconds=0.05), HOSTILE, "a.txt")
    assert "[stopped after 0.05 s and 1 file: name a path, or use a simpler pattern]" in result.text
    assert result.failed


class Silent(PlainWorkspace):
    """One that has no files where there are none, and does not complain."""

    def files(self, under: str = ".") -> Iterator[str]:
        with suppress(GuardError):
            yield from super().files(under)


def test_a_search_where_nothing_is_names_what_is_near(root: Path, outputs: MemoryOutputs) -> None:
    with pytest.raises(GuardError, match=r"no file at or below shop\.py .*Near: src/shop\.py"):
        found(Grep(Silent(root), outputs), "x", "shop.py")
    with pytest.raises(GuardError, match="no file at or below lib"):
        globbed(Silent(root), "lib/*.py")


def test_a_path_that_is_not_there_names_what_is_near(grep: Grep) -> None:
    with pytest.raises(GuardError, match=r"There is no shop\.py.*Near: src/shop\.py"):
        found(grep, "x", "shop.py")


@given(st.text("ab(?:|)*+.^$\\Zd \n", max_size=10), st.text("ab\n", max_size=20))
def test_the_whole_text_tells_of_every_line(pattern: str, text: str) -> None:
    """The shortcut over the whole text finds what a search line by line finds."""
    try:
        matcher, by_line = (Matcher(pattern, False, 5.0) for _ in range(2))
    except NoPattern:
        return
    by_line._whole = False
    assert matcher.lines(text) == by_line.lines(text)


def test_no_time_is_not_all_the_time() -> None:
    with pytest.raises(OutOfTime):
        Matcher("x", False, 0).lines("a\n" * 10)


def globbed(workspace: PlainWorkspace, pattern: str) -> ToolResult:
    return Glob(workspace).run(GlobArguments(pattern=pattern))


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("*.md", ["README.md"]),
        ("*.py", ["src/cart.py", "src/shop.py", "tests/test_shop.py"]),
        ("src/*.py", ["src/cart.py", "src/shop.py"]),
        ("/src/*.py", ["src/cart.py", "src/shop.py"]),
        ("./src/c*", ["src/cart.py"]),
        ("tests/../src/c*", ["src/cart.py"]),
        ("**/test_*.py", ["tests/test_shop.py"]),
        ("**/*.{md,txt}", ["README.md"]),
        ("{src,tests}/*shop.py", ["src/shop.py", "tests/test_shop.py"]),
        ("src", ["src/cart.py", "src/shop.py"]),
        ("src/", ["src/cart.py", "src/shop.py"]),
        ("[Rr]eadme*", []),
        ("!*.md", []),
    ],
)
def test_names_by_pattern(workspace: PlainWorkspace, pattern: str, paths: list[str]) -> None:
    result = globbed(workspace, pattern)
    assert [row for row in result.text.split("\n") if "No file" not in row] == paths


def test_an_absolute_pattern_below_the_root(workspace: PlainWorkspace) -> None:
    assert globbed(workspace, f"{workspace.root}/src/c*").text == "src/cart.py"


def test_nothing_found_says_where_was_looked(workspace: PlainWorkspace) -> None:
    result = globbed(workspace, "src/**/*.ts")
    assert result.text == "No file under src has a path like 'src/**/*.ts'. Ignored files are not looked at."
    assert result.ours


def test_a_pattern_that_leads_out_is_refused(workspace: PlainWorkspace) -> None:
    result = globbed(workspace, "../*.py")
    assert "leads out of the repository" in result.text
    assert result.failed


def test_a_directory_that_is_not_there(workspace: PlainWorkspace) -> None:
    with pytest.raises(GuardError, match="There is no lib"):
        globbed(workspace, "lib/*.py")


def test_many_names_are_cut(workspace: PlainWorkspace, root: Path) -> None:
    for number in range(205):
        (root / f"{number}.log").touch()
    rows = globbed(workspace, "*.log").text.split("\n")
    assert rows[-1] == "[200 of 205 files are shown; use a narrower pattern]"
    assert len(rows) == 201


@given(NAMES)
def test_every_path_is_found_by_itself_and_below_where_the_search_begins(path: str) -> None:
    for pattern in (path, f"/{path}", f"./{path}", f"**/{path}"):
        names = NamePattern(pattern, Path("/r"))
        assert names.matches(path)
        assert names.under == "." or path.startswith(names.under)


@given(st.text("ab*?[]{},/.!#\\", min_size=1, max_size=12))
def test_any_pattern_is_understood_or_refused(pattern: str) -> None:
    with suppress(BadPattern):
        NamePattern(pattern, Path("/r")).matches("a/b")


@pytest.mark.parametrize("pattern", ["(?R)", "(a?(?1)?)"])
def test_a_pattern_that_calls_itself_ends(grep: Grep, pattern: str) -> None:
    assert found(grep, pattern).failed


def test_a_pattern_with_very_many_braces_is_refused(workspace: PlainWorkspace) -> None:
    assert Glob(workspace).run(GlobArguments(pattern="{a,b}" * 3000)).failed


def test_a_pattern_with_braces_to_its_limit_is_tried(workspace: PlainWorkspace) -> None:
    assert not Glob(workspace).run(GlobArguments(pattern="{a,b}" * 190)).failed


def test_a_pattern_that_would_take_for_ever_is_refused(root: Path) -> None:
    pattern = NamePattern("*a" * 80 + "*b", root, seconds=0)
    with pytest.raises(BadPattern, match="too many stars"):
        pattern.matches("a" * 255)


def test_no_pattern_finds_out_what_is_hidden(root: Path, workspace: PlainWorkspace, outputs: MemoryOutputs) -> None:
    (root / "deploy.py").write_text("def deploy(token='hunter2'):\n    return token\n")
    masked = Grep(workspace, outputs, mask=lambda text: text.replace("hunter2", "[redacted:token#1]"))
    assert found(masked, "hunt").text == found(masked, "huns").text.replace("huns", "hunt")
    assert "deploy.py\n1: def deploy(token='[redacted:token#1]'):" in found(masked, "deploy").text
