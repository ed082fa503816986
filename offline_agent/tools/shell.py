"""Running a command, and saying what came of it in a few thousand characters."""

import math
from collections.abc import Callable

from pydantic import BaseModel, Field

from offline_agent.actions import Command, Ran
from offline_agent.protocols import Outputs, Workspace
from offline_agent.settings import SandboxSettings
from offline_agent.tools.cut import brief, head_and_tail
from offline_agent.tools.schema import spec_of
from offline_agent.tools.screen import screened
from offline_agent.types import ToolResult, Value

_MOST = 6000  # characters of output: some 1,500 tokens
_WIDEST = 500  # characters of a line
_CHANGED = 10
"""Names of files that are listed."""
_SHOWN = 20
"""Lines at the end that a person is shown."""
_UNSEEN = "; what it changed could not all be recorded, so /undo may miss some of it"
_ENDED = {
    "time": "it took longer than {seconds:g} s and was ended",
    "memory": "it needed more memory than it may have and was ended",
    "processes": "it started more processes than it may and was ended",
    "disk": "it filled more of the disk than it may and was ended",
    "output": "it wrote more output than it may and was ended",
    "user": "the user ended it",
}


class RunArguments(Value):
    """Run a shell command. timeout in seconds."""

    command: str = Field(min_length=1)
    timeout: int | None = Field(default=None, ge=1)


class Run:
    """A Tool. `limits` say how long a command may take that names no time, and the most that it may name. `mask` takes secrets out
    of an output before any of it is cut: half a secret looks like none."""

    arguments: type[BaseModel] = RunArguments
    spec = spec_of(RunArguments, "run")

    def __init__(
        self,
        workspace: Workspace,
        outputs: Outputs,
        limits: SandboxSettings | None = None,
        mask: Callable[[str], str] = str,
    ) -> None:
        self._workspace = workspace
        self._outputs = outputs
        self._limits = limits or SandboxSettings()
        self._mask = mask

    def run(self, arguments: RunArguments) -> ToolResult:
        """Raises a GuardError."""
        seconds = min(arguments.timeout or self._limits.seconds, self._limits.longest_seconds)
        ran = self._workspace.run(Command(line=arguments.command, seconds=seconds))
        output = self._mask(screened(ran.output).rstrip("\n"))
        ending = _ENDED[ran.ended].format(seconds=seconds) if ran.ended != "itself" else f"exit code {ran.exit_code}"
        rows = [f"{ending[0].upper()}{ending[1:]}, after {_seconds(ran.seconds)}.", *_changes(ran)]
        return ToolResult(
            text="\n".join([" ".join(rows), self._capped(output, ran.dropped) or "It wrote nothing."]),
            failed=ran.ended != "itself" or ran.exit_code != 0,
            summary=f"run {brief(arguments.command)}: {_outcome(ran)}, {_seconds(ran.seconds)}{_UNSEEN if ran.unseen else ''}",
            shown="\n".join(output.split("\n")[-_SHOWN:]),
        )

    def _capped(self, output: str, dropped: int) -> str:
        """What the model is shown of the output. What is longer is kept, to be read by range."""
        if dropped:
            output += f"\n[{dropped:,} bytes more were not kept]"
        shown = head_and_tail(output, _MOST, _WIDEST)
        if shown == output:
            return output
        return f"{shown}\n[the whole of it can be read and searched as {self._outputs.keep(output)}]"


def _changes(ran: Ran) -> list[str]:
    if not ran.changed:
        return []
    more = f" and {len(ran.changed) - _CHANGED} more" if len(ran.changed) > _CHANGED else ""
    return [f"Changed: {', '.join(ran.changed[:_CHANGED])}{more}."]


def _outcome(ran: Ran) -> str:
    return f"exit {ran.exit_code}" if ran.ended == "itself" else f"ended ({ran.ended})"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{math.floor(seconds / 60)} min {seconds % 60:.0f} s"
