"""All tools of a session."""

from collections.abc import Callable

from offline_agent.protocols import Asker, Outputs, Retriever, Tool, Workspace
from offline_agent.settings import SandboxSettings
from offline_agent.tools.ask import AskUser
from offline_agent.tools.edit import Edit, Write
from offline_agent.tools.find import Glob, Grep
from offline_agent.tools.read import ListDirectory, ReadFile
from offline_agent.tools.recall import SearchCode
from offline_agent.tools.shell import Run
from offline_agent.tools.todo import Todo, TodoList

READING = ("list", "read", "search_code", "grep", "glob")
"""The names of those that change nothing, run nothing and ask nobody."""


def toolset(
    workspace: Workspace,
    retriever: Retriever,
    asker: Asker,
    outputs: Outputs,
    todo: TodoList,
    limits: SandboxSettings | None = None,
    mask: Callable[[str], str] = str,
) -> tuple[Tool, ...]:
    """The ten tools, in the order a model is told of them. `limits` say how long commands may take; `mask` takes secrets out of
    what was read, before a part of it is chosen."""
    return (
        ListDirectory(workspace),
        ReadFile(workspace, outputs, mask),
        SearchCode(retriever),
        Grep(workspace, outputs, mask=mask),
        Glob(workspace),
        Edit(workspace, mask),
        Write(workspace),
        Run(workspace, outputs, limits, mask),
        Todo(todo, workspace),
        AskUser(asker, workspace),
    )
