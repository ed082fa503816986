from offline_agent.agent.profiles import BUILD, EXPLORE, PLAN, PROFILES, suited
from offline_agent.models import ModelInfo
from offline_agent.types import ToolResult, ToolSpec, Value


class Nothing(Value):
    pass


class Named:
    """A tool of that name."""

    arguments = Nothing

    def __init__(self, name: str) -> None:
        self.spec = ToolSpec(name=name, description="", parameters={"type": "object", "properties": {}})

    def run(self, arguments: Nothing) -> ToolResult:
        return ToolResult()


def info(parameters: int) -> ModelInfo:
    return ModelInfo(name="m", path="", context=4096, parameters=parameters)


TOOLS = [Named(name) for name in ("write", "edit", "run", "read", "grep", "list", "glob", "search_code", "todo")]
CHANGING = {"edit", "write", "run"}


def names(tools: object) -> list[str]:
    assert isinstance(tools, tuple)
    return [tool.spec.name for tool in tools]


def test_only_build_changes_anything() -> None:
    assert set(names(BUILD.choose(TOOLS))) >= CHANGING
    assert not set(names(PLAN.choose(TOOLS))) & CHANGING
    assert not set(names(EXPLORE.choose(TOOLS))) & CHANGING


def test_tools_come_in_the_order_of_the_profile() -> None:
    assert names(EXPLORE.choose(TOOLS)) == ["list", "read", "search_code", "grep", "glob"]


def test_every_profile_has_its_text() -> None:
    assert all(profile.guidance for profile in PROFILES.values())


def test_small_models_write_whole_files() -> None:
    tools = BUILD.choose(TOOLS)
    assert "edit" not in names(suited(tools, info(1_500_000_000)))
    assert "write" in names(suited(tools, info(1_500_000_000)))
    assert names(suited(tools, info(7_000_000_000))) == names(tools)


def test_a_model_of_unknown_size_is_offered_both_ways() -> None:
    assert names(suited(BUILD.choose(TOOLS), info(0))) == names(BUILD.choose(TOOLS))


def test_a_small_model_keeps_edit_where_there_is_no_write() -> None:
    assert names(suited((Named("edit"),), info(1))) == ["edit"]
