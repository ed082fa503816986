"""A turn inside a turn: an agent that only reads finds something out, and only its answer comes back.

What it read on the way stays out of the conversation that asked, which would else be full after some files.
"""

from collections.abc import Callable, Generator
from contextlib import closing

from pydantic import BaseModel, Field

from offline_agent.agent.loop import Session
from offline_agent.events import Acted, Answered, Event, Reading, Retried, Thought, Warned
from offline_agent.protocols import Workspace
from offline_agent.types import ToolResult, ToolSpec, Value


class ExploreArguments(Value):
    """Have a helper find something out by reading many files."""

    question: str = Field(min_length=1)


class Explore:
    """A Tool. `begin` opens a session with the tools of the `explore` agent, and a transcript of its own."""

    arguments: type[BaseModel] = ExploreArguments
    spec = ToolSpec(
        name="explore",
        description=" ".join((ExploreArguments.__doc__ or "").split()),
        parameters={"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
    )

    def __init__(self, begin: Callable[[], Session], workspace: Workspace) -> None:
        self._begin = begin
        self._workspace = workspace

    def run(self, arguments: ExploreArguments) -> Generator[Event, None, ToolResult]:
        """What it does on the way comes as events. Raises Denied, and what its turn raises."""
        self._workspace.permit("task", "explore", f"explore: {arguments.question}")
        answered, calls = Answered(text=""), 0
        with closing(self._begin().ask(arguments.question)) as events:
            for event in events:
                if isinstance(event, Acted):
                    calls += 1
                    yield event.model_copy(update={"summary": f"  {event.summary}", "shown": ""})
                elif isinstance(event, Reading | Thought | Retried | Warned):
                    yield event
                elif isinstance(event, Answered):
                    answered = event
        if not answered.verified:
            return ToolResult(text=f"It came to no answer. {answered.text}", failed=True)
        return ToolResult(text=answered.text, summary=f"explored {arguments.question!r} in {calls} calls")
