"""The steps of a task, as the model notes them: it remembers where it is, and the person sees it."""

import re
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field

from offline_agent.protocols import Workspace
from offline_agent.tools.cut import count
from offline_agent.tools.schema import spec_of
from offline_agent.types import ToolResult, Value

State = Literal["open", "doing", "done"]

_ITEM = re.compile(r"\s*(?:[-*]\s+)?(?:\d+[.)]\s+)?(?:\[(?P<mark>.?)\])?\s*(?P<text>.*)", re.DOTALL)
_STATES: dict[str, State] = {
    "x": "done",
    "X": "done",
    "✓": "done",
    "✔": "done",
    ">": "doing",
    "~": "doing",
    "-": "doing",
}
_SIGNS: dict[State, str] = {"open": "[ ]", "doing": "[>]", "done": "[x]"}


class Step(NamedTuple):
    text: str
    state: State

    def __str__(self) -> str:
        return f"{_SIGNS[self.state]} {self.text}"


class TodoList:
    """The steps of one session, in memory."""

    def __init__(self) -> None:
        self.steps: tuple[Step, ...] = ()

    def replace(self, items: tuple[str, ...]) -> None:
        """Each item is a step, with `[x]` before it where it is done and `[>]` where it is being done."""
        self.steps = tuple(step for item in items if (step := _step(item)).text)

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))


class TodoArguments(Value):
    """Note all steps, done ones as [x] step."""

    items: tuple[str, ...] = Field(max_length=30)


class Todo:
    """A Tool."""

    arguments: type[BaseModel] = TodoArguments
    spec = spec_of(TodoArguments, "todo")

    def __init__(self, todo: TodoList, workspace: Workspace) -> None:
        self._todo = todo
        self._workspace = workspace

    def run(self, arguments: TodoArguments) -> ToolResult:
        """Raises a GuardError."""
        self._workspace.permit("todowrite", "*", "keep a list of steps")
        self._todo.replace(arguments.items)
        steps = self._todo.steps
        done = sum(step.state == "done" for step in steps)
        following = next((step.text for step in steps if step.state != "done"), "")
        text = f"{count(len(steps), 'step')}, {done} done."
        return ToolResult(
            text=f"{text} Next: {following}" if following else text,
            ours=True,
            summary=f"todo: {done} of {len(steps)} done",
            shown=str(self._todo),
        )


def _step(item: str) -> Step:
    found = _ITEM.fullmatch(item)
    assert found is not None, "every part of it may be missing"
    return Step(" ".join(found["text"].split()), _STATES.get(found["mark"] or "", "open"))
