from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError

from offline_agent.actions import Command, Ran
from offline_agent.settings import SandboxSettings
from offline_agent.tools.outputs import MemoryOutputs
from offline_agent.tools.plain import PlainWorkspace
from offline_agent.tools.shell import Run, RunArguments
from offline_agent.types import ToolResult


class Rehearsed(PlainWorkspace):
    """Commands come to what was written down for them."""

    def __init__(self, root: Path, ran: Ran) -> None:
        super().__init__(root)
        self.asked: list[Command] = []
        self._ran = ran

    def run(self, command: Command, output: Callable[[str], None] | None = None) -> Ran:
        self.asked.append(command)
        return self._ran


def told(root: Path, ran: Ran, outputs: MemoryOutputs | None = None) -> ToolResult:
    return Run(Rehearsed(root, ran), outputs or MemoryOutputs()).run(RunArguments(command="make"))


def test_a_real_command(workspace: PlainWorkspace, outputs: MemoryOutputs) -> None:
    result = Run(workspace, outputs).run(RunArguments(command="printf 'a\\rb\\n\\033[31mred\\033[0m\\n'; exit 2"))
    assert result.text.startswith("Exit code 2, after ")
    assert result.text.endswith(" s.\nb\nred")
    assert result.summary.startswith("run printf")
    assert result.summary.rpartition(": ")[2].startswith("exit 2, ")
    assert result.shown == "b\nred"
    assert result.failed


def test_what_it_changed_is_named(root: Path) -> None:
    changed = tuple(f"f{number}" for number in range(12))
    result = told(root, Ran(exit_code=0, seconds=2.345, changed=changed))
    assert result.text == (
        "Exit code 0, after 2.3 s. Changed: f0, f1, f2, f3, f4, f5, f6, f7, f8, f9 and 2 more.\nIt wrote nothing."
    )
    assert result.summary == "run make: exit 0, 2.3 s"
    assert not result.failed


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ("time", "It took longer than 120 s and was ended, after 2 min 1 s."),
        ("memory", "It needed more memory than it may have and was ended"),
        ("processes", "It started more processes"),
        ("disk", "It filled more of the disk"),
        ("output", "It wrote more output"),
        ("user", "The user ended it"),
    ],
)
def test_what_ended_it_is_said(
    root: Path, ended: Literal["time", "memory", "processes", "disk", "output", "user"], words: str
) -> None:
    result = told(root, Ran(exit_code=137, seconds=121, ended=ended))
    assert result.text.startswith(words)
    assert result.summary == f"run make: ended ({ended}), 2 min 1 s"
    assert result.failed


def test_a_long_output_is_kept_whole_and_shown_in_part(root: Path, outputs: MemoryOutputs) -> None:
    output = "".join(f"line {number}\n" for number in range(1, 5001))
    result = told(root, Ran(exit_code=0, output=output, dropped=77), outputs)
    assert len(result.text) < 6500
    assert "line 1\n" in result.text
    assert "of 5001 are left out]" in result.text
    assert result.text.endswith(
        "line 5000\n[77 bytes more were not kept]\n[the whole of it can be read and searched as output:1]"
    )
    assert outputs.find("output:1") == f"{output}[77 bytes more were not kept]"
    assert result.shown.split("\n")[0] == "line 4981"


def test_one_line_without_end_is_kept_too(root: Path, outputs: MemoryOutputs) -> None:
    result = told(root, Ran(exit_code=0, output="x" * 100_000), outputs)
    assert len(result.text) < 700
    assert outputs.find("output:1") == "x" * 100_000
    assert result.text.endswith("can be read and searched as output:1]")


def test_a_short_output_is_not_kept(root: Path, outputs: MemoryOutputs) -> None:
    told(root, Ran(exit_code=0, output="ok\n"), outputs)
    assert outputs.find("output:1") is None


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 7), (3, 3), (999, 60)])
def test_how_long_it_may_take(root: Path, timeout: int | None, seconds: float) -> None:
    workspace = Rehearsed(root, Ran(exit_code=0))
    limits = SandboxSettings(seconds=7, longest_seconds=60)
    Run(workspace, MemoryOutputs(), limits).run(RunArguments(command="x", timeout=timeout))
    assert workspace.asked == [Command(line="x", seconds=seconds)]


@pytest.mark.parametrize(
    "arguments", [{}, {"command": ""}, {"command": "x", "timeout": 0}, {"command": "x", "cwd": "/"}]
)
def test_what_is_no_command(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RunArguments.model_validate(arguments)


def test_a_secret_that_would_be_cut_is_masked_before(workspace: PlainWorkspace, outputs: MemoryOutputs) -> None:
    run = Run(workspace, outputs, mask=lambda text: text.replace("hunter2hunter2", "[redacted:token#1]"))
    result = run.run(RunArguments(command="printf '%0495d%s\\n' 0 hunter2hunter2"))
    assert "hunter" not in result.text
    assert "hunter" not in result.shown
