"""A question to the person, where there is one."""

from pydantic import BaseModel, Field

from offline_agent.protocols import Asker, Workspace
from offline_agent.tools.cut import brief
from offline_agent.tools.schema import spec_of
from offline_agent.types import ToolResult, Value


class AskArguments(Value):
    """Ask the user what only they know."""

    question: str = Field(min_length=1)
    choices: tuple[str, ...] = Field(default=(), max_length=6)


class AskUser:
    """A Tool."""

    arguments: type[BaseModel] = AskArguments
    spec = spec_of(AskArguments, "ask_user")

    def __init__(self, asker: Asker, workspace: Workspace) -> None:
        self._asker = asker
        self._workspace = workspace

    def run(self, arguments: AskArguments) -> ToolResult:
        """Raises a GuardError."""
        self._workspace.permit("question", "*", "ask a question")
        answer = self._asker.ask(arguments.question, arguments.choices)
        what = f"ask_user {brief(arguments.question)}"
        if answer is None or not answer.strip():
            text = "Nobody answers. Decide by yourself what is most likely wanted, go on, and say at the end what you assumed."
            return ToolResult(text=text, ours=True, summary=f"{what}: no answer")
        # The person's words are no data that was read: they may tell the model what to do.
        return ToolResult(text=f"The user answers: {answer.strip()}", ours=True, summary=f"{what}: {brief(answer)}")
