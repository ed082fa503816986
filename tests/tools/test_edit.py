from pathlib import Path

import pytest
from pydantic import ValidationError

from offline_agent.errors import Denied, EditError, GuardError
from offline_agent.tools.edit import Edit, EditArguments, Replacement, Write, WriteArguments
from offline_agent.tools.plain import PlainWorkspace
from offline_agent.types import ToolResult


def edited(workspace: PlainWorkspace, path: str, *edits: tuple[str, str]) -> ToolResult:
    pairs = [{"old": old, "new": new} for old, new in edits]
    return Edit(workspace).run(EditArguments.model_validate({"path": path, "edits": pairs}))


def written(workspace: PlainWorkspace, path: str, content: str) -> ToolResult:
    return Write(workspace).run(WriteArguments(path=path, content=content))


def test_several_edits_one_after_the_other(workspace: PlainWorkspace, root: Path) -> None:
    result = edited(
        workspace, "src/shop.py", ("price(item)", "cost(item)"), ("map(price", "map(cost"), ("cost * 2", "cost * 3")
    )
    assert (root / "src/shop.py").read_text() == (
        "def cost(item):\n    return item.cost * 3\n\n\ndef total(items):\n    return sum(map(cost, items))\n"
    )
    assert result.text == "src/shop.py is changed: 3 lines added, 3 removed."
    assert result.summary == "edit src/shop.py +3 -3"
    assert result.shown.startswith("--- a/src/shop.py\n+++ b/src/shop.py\n")
    assert result.ours


def test_what_was_repaired_is_said(workspace: PlainWorkspace, root: Path) -> None:
    old = "1: class Cart:\n2:     def add(self, item):"
    result = edited(workspace, "src/cart.py", (old, old.replace("Cart", "Basket")))
    assert result.text.endswith("1 line added, 1 removed (line numbers were left out).")
    assert (root / "src/cart.py").read_text().startswith("class Basket:\n    def add(self, item):\n")


def test_all_or_nothing_and_every_fault_is_said_at_once(workspace: PlainWorkspace, root: Path) -> None:
    before = (root / "src/shop.py").read_bytes()
    misspelt = ("return sum(map(prices, items))", "x")
    result = edited(workspace, "src/shop.py", ("item.cost * 2", "item.cost"), misspelt, ("zzzz", "y"), ("items", "i"))
    assert (root / "src/shop.py").read_bytes() == before
    assert result.failed
    assert result.text == (
        "Nothing was written to src/shop.py, and none of the edits was applied.\n"
        "Edit 2: its old is not in the file. Nearest is:\n"
        "4: \n"
        "5: def total(items):\n"
        "6:     return sum(map(price, items))\n"
        "Edit 3: its old is not in the file.\n"
        "Edit 4: its old stands there 2 times (lines 5, 6); give more of the lines round the one that is meant.\n"
        "Edit 1 would apply.\n"
        "Send all of them again, with old copied from the file, without line numbers."
    )
    assert result.summary == "edit src/shop.py: 3 of 4 edits do not apply"


def test_one_edit_that_fails(workspace: PlainWorkspace) -> None:
    result = edited(workspace, "README.md", ("Sells thing.", "x"))
    assert result.summary == "edit README.md: its old is not in the file. Nearest is:"
    assert "3: Sells things." in result.text


def test_line_ends_and_encoding_stay(workspace: PlainWorkspace, root: Path) -> None:
    (root / "win.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\nthree\n")
    edited(workspace, "win.txt", ("one\r\ntwo", "one\ndeux\ntwo"))
    assert (root / "win.txt").read_bytes() == b"\xef\xbb\xbfone\r\ndeux\r\ntwo\r\nthree\n"


def test_nothing_replaced_by_something_makes_a_file_but_never_replaces_one(
    workspace: PlainWorkspace, root: Path
) -> None:
    made = edited(workspace, "new/a.py", ("", "x = 1"))
    assert made.text == "new/a.py is created: 1 line added, 0 removed."
    assert (root / "new/a.py").read_text() == "x = 1\n"
    again = edited(workspace, "new/a.py", ("", "x = 2\n"))
    assert "its old is empty" in again.text
    assert (root / "new/a.py").read_text() == "x = 1\n"


def test_a_file_that_is_not_there_or_not_ours(workspace: PlainWorkspace) -> None:
    with pytest.raises(GuardError, match=r"There is no shop\.py\. Near: src/shop\.py"):
        edited(workspace, "shop.py", ("a", "b"))
    with pytest.raises(Denied):
        edited(workspace, "../a.py", ("", "b"))


def test_a_file_that_changes_between_reading_and_writing_is_left_alone(root: Path) -> None:
    class Busy(PlainWorkspace):
        """Somebody saves the file while the edit is worked out."""

        def write(self, path: str, text: str, based_on: str = ""):  # type: ignore[no-untyped-def]
            (self.root / path).write_text("theirs\n")
            return super().write(path, text, based_on)

    with pytest.raises(EditError, match="Nothing was written"):
        edited(Busy(root), "README.md", ("Shop", "Market"))
    assert (root / "README.md").read_text() == "theirs\n"


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "a"},
        {"path": "a", "edits": []},
        {"path": "a", "edits": [{"old": "x"}]},
        {"path": "a", "edits": [{"old": "x", "new": "y", "all": 1}]},
    ],
)
def test_what_is_no_edit(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EditArguments.model_validate(arguments)


def test_a_file_is_written_whole_and_ends_in_a_line_feed(workspace: PlainWorkspace, root: Path) -> None:
    result = written(workspace, "docs/use.md", "# Use\r\n\r\nRun it.")
    assert (root / "docs/use.md").read_bytes() == b"# Use\n\nRun it.\n"
    assert result.text == "docs/use.md is created: 3 lines added, 0 removed."
    assert result.summary == "write docs/use.md +3 -0"


def test_an_empty_file_is_one_too(workspace: PlainWorkspace, root: Path) -> None:
    assert written(workspace, "src/__init__.py", "").text == "src/__init__.py is created: 0 lines added, 0 removed."
    assert (root / "src/__init__.py").read_bytes() == b""


def test_a_file_that_was_read_is_replaced(workspace: PlainWorkspace, root: Path) -> None:
    workspace.read("README.md")
    assert written(workspace, "README.md", "# Market\n").summary == "write README.md +1 -3"
    assert written(workspace, "README.md", "# Market\n").text == "README.md is like that already. Nothing was changed."


def test_what_is_no_text_is_not_written(workspace: PlainWorkspace, root: Path) -> None:
    result = written(workspace, "a.bin", "a\0b")
    assert result.failed
    assert "NUL" in result.text
    assert not (root / "a.bin").exists()


def test_a_mask_never_takes_the_place_of_a_secret(workspace: PlainWorkspace, root: Path) -> None:
    """The model was shown the mask; the file has the secret."""
    (root / "conf.py").write_text("KEY = 'AKIAABCDEFGHIJKLMNOP'\nDEBUG = True\n")
    workspace.read("conf.py")
    whole = written(workspace, "conf.py", "KEY = '[redacted:aws-key#1]'\nDEBUG = False\n")
    part = edited(workspace, "conf.py", ("DEBUG = True", "DEBUG = False\nOLD = '[redacted:aws-key#1]'"))
    for result in (whole, part):
        assert result.failed
        assert "[redacted:aws-key#1], which stands for a secret that you are not shown" in result.text
    assert (root / "conf.py").read_text() == "KEY = 'AKIAABCDEFGHIJKLMNOP'\nDEBUG = True\n"


def test_a_mask_that_is_in_the_file_may_stay_there(workspace: PlainWorkspace, root: Path) -> None:
    (root / "doc.md").write_text("It shows [redacted:aws-key#1].\n")
    assert not edited(workspace, "doc.md", ("It shows", "You see")).failed
    assert not edited(workspace, "doc.md", ("You see [redacted:aws-key#1].", "[redacted:aws-key#1] is seen.")).failed


def test_the_content_of_a_file_travels_raw() -> None:
    assert Write.spec.body == "content"


def test_what_is_near_is_quoted_without_secrets(root: Path, workspace: PlainWorkspace) -> None:
    (root / "deploy.py").write_text("def deploy(token='hunter2'):\n    return token\n")
    edit = Edit(workspace, lambda text: text.replace("hunter2", "[redacted:token#1]"))
    arguments = EditArguments(path="deploy.py", edits=(Replacement(old="def deploy(tokn):", new="x"),))
    assert "1: def deploy(token='[redacted:token#1]'):" in edit.run(arguments).text
