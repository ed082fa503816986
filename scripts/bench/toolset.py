"""The program's own tools, as the benchmark of the model runtime tells a model of them."""

from pydantic import BaseModel

from offline_agent.agent.explore import Explore
from offline_agent.tools.ask import AskUser
from offline_agent.tools.edit import Edit, Write
from offline_agent.tools.find import Glob, Grep
from offline_agent.tools.read import ListDirectory, ReadFile
from offline_agent.tools.recall import SearchCode
from offline_agent.tools.shell import Run
from offline_agent.tools.todo import Todo
from offline_agent.types import ToolSpec

_TOOLS = (ListDirectory, ReadFile, SearchCode, Grep, Glob, Edit, Write, Run, Todo, AskUser, Explore)
ARGUMENTS: tuple[type[BaseModel], ...] = tuple(tool.arguments for tool in _TOOLS)
BY_NAME = {tool.spec.name: tool.arguments for tool in _TOOLS}


def toolset() -> tuple[ToolSpec, ...]:
    return tuple(tool.spec for tool in _TOOLS)
