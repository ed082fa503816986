"""All tools together: what every first request pays for them."""

import json
from pathlib import Path

import pytest

from offline_agent.agent.explore import Explore
from offline_agent.llm.describe import functions
from offline_agent.tools.outputs import MemoryOutputs
from offline_agent.tools.plain import PlainWorkspace
from offline_agent.tools.set import READING, toolset
from offline_agent.tools.todo import TodoList
from offline_agent.types import ToolSpec
from scripts.bench import toolset as bench

from .test_ask import Person
from .test_recall import Shelf

NAMES = ["list", "read", "search_code", "grep", "glob", "edit", "write", "run", "todo", "ask_user"]
MOST_CHARACTERS = 2500
"""Of all schemas as the Hermes template has them: 696 tokens of the benchmark's vocabulary of 49,152; 700 is what they may cost."""


@pytest.fixture
def specs(tmp_path: Path) -> tuple[ToolSpec, ...]:
    tools = toolset(PlainWorkspace(tmp_path), Shelf(), Person(None), MemoryOutputs(), TodoList())
    return tuple(tool.spec for tool in tools)


def test_the_ten_tools_in_their_order(specs: tuple[ToolSpec, ...]) -> None:
    assert [spec.name for spec in specs] == NAMES
    assert set(READING) < set(NAMES)


def test_the_benchmark_measures_these_tools(specs: tuple[ToolSpec, ...]) -> None:
    assert bench.toolset() == (*specs, Explore.spec)
    assert list(bench.BY_NAME) == [*NAMES, "explore"]


def test_every_tool_says_what_it_is_for_in_few_words(specs: tuple[ToolSpec, ...]) -> None:
    assert all(0 < len(spec.description) < 60 for spec in specs)


def test_the_whole_set_is_short(specs: tuple[ToolSpec, ...]) -> None:
    written = "".join(f"{json.dumps(one)}\n" for one in functions(specs, fenced=True))
    assert len(written) <= MOST_CHARACTERS


def test_arguments_that_are_not_known_are_refused(specs: tuple[ToolSpec, ...]) -> None:
    for arguments in bench.ARGUMENTS:
        assert arguments.model_config["extra"] == "forbid", arguments
