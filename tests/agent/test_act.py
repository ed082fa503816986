from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from offline_agent.agent.act import Outcome, Toolbox, called, can_be_told, summary_of, taken
from offline_agent.types import ToolCall, ToolResult, ToolSpec, Value


class Arguments(Value):
    path: str
    mode: Literal["fast", "slow"] = "fast"
    limit: int = Field(default=1, ge=1, le=10)
    depth: int = Field(default=1, ge=0)


class Tool:
    arguments = Arguments
    spec = ToolSpec(
        name="do",
        description="",
        parameters={
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "mode": {"type": "string", "enum": ["fast", "slow"]},
                "limit": {"type": "integer", "minimum": 1, "maximum": 10},
                "depth": {"type": "integer", "minimum": 0},
            },
            "required": ["path"],
        },
    )

    def run(self, arguments: Arguments) -> ToolResult:
        return ToolResult(text=f"{arguments.path} {arguments.limit}")


TAKEN = (
    "do takes path (string), mode (fast or slow, may be left out), limit (integer, 1 to 10, may be left out), "
    "depth (integer, at least 0, may be left out)."
)


def call(name: str = "do", **arguments: object) -> ToolCall:
    return ToolCall(id="aaaaaaaa1", name=name, arguments=arguments)


def acted(toolbox: Toolbox, wanted: ToolCall) -> Outcome:
    act = toolbox.act(wanted)
    while True:
        try:
            next(act)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


def test_a_valid_call_is_run_and_numbers_in_quotes_are_numbers() -> None:
    outcome = acted(Toolbox([Tool()]), call(path="a.py", limit="3"))
    assert (outcome.understood, outcome.result.text) == (True, "a.py 3")


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({}, "path is missing"),
        ({"path": "a", "speed": 1}, "speed is no argument of it"),
        ({"path": "a", "limit": 50}, "limit is 50, but: Input should be less than or equal to 10"),
        ({"path": "a", "mode": "x"}, "mode is \"x\", but: Input should be 'fast' or 'slow'"),
    ],
)
def test_a_fault_names_the_field_and_what_is_allowed(arguments: dict[str, object], wrong: str) -> None:
    outcome = acted(Toolbox([Tool()]), call(**arguments))
    assert not outcome.understood
    assert outcome.result == ToolResult(text=f"The call of do was not run: {wrong}. {TAKEN}", failed=True)


def test_a_tool_that_does_not_exist() -> None:
    assert acted(Toolbox([Tool()]), call("undo")).result.text == "There is no tool 'undo'. There is do."
    assert acted(Toolbox(), call()).result.text.endswith("There are none: answer in words.")


def test_a_tool_without_arguments() -> None:
    assert taken(ToolSpec(name="rest", description="", parameters={"type": "object"})) == "no arguments"


@given(
    st.text(),
    st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner)),
    st.text(),
)
def test_a_summary_is_one_short_line_whatever_was_called(name: str, value: object, text: str) -> None:
    line = summary_of(call(name, value=value), ToolResult(text=text))
    assert len(line.splitlines()) <= 1
    assert len(line) <= 2 * 80 + 2


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.booleans())))
def test_whatever_the_arguments_the_model_is_told_something(arguments: dict[str, object]) -> None:
    outcome = acted(Toolbox([Tool()]), ToolCall(id="aaaaaaaa1", name="do", arguments=arguments))
    assert outcome.result.text
    assert len(outcome.result.text) < 1000 or outcome.understood


class Broken(Tool):
    """It meets what nobody thought of."""

    def run(self, arguments: Arguments) -> ToolResult:
        raise {"memory": MemoryError(), "depth": RecursionError("hunter2")}.get(arguments.path, OSError("hunter2"))


@pytest.mark.parametrize(("path", "kind"), [("memory", "MemoryError"), ("depth", "RecursionError"), ("x", "OSError")])
def test_a_fault_of_ours_is_told_and_not_what_it_quotes(path: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    outcome = acted(Toolbox([Broken()]), call(path=path))
    assert outcome.result.failed
    assert outcome.result.text == f"do failed in a way that is not meant ({kind}). Try it in another way."
    assert f"do broke: {kind} at act in line" in caplog.text
    assert "hunter2" not in caplog.text


class Interrupted(Tool):
    def run(self, arguments: Arguments) -> ToolResult:
        raise KeyboardInterrupt


def test_the_person_s_ctrl_c_is_no_fault() -> None:
    with pytest.raises(KeyboardInterrupt):
        acted(Toolbox([Interrupted()]), call(path="a"))


class Foreign(Tool):
    """It read a name that is no UTF-8."""

    def run(self, arguments: Arguments) -> ToolResult:
        return ToolResult(text="a\udcff.py", summary="\udcff", shown="\udcff")


def test_names_that_are_not_utf_8_can_be_told() -> None:
    outcome = acted(Toolbox([Foreign()]), call(path="a"))
    assert outcome == Outcome(ToolResult(text="a?.py", summary="?", shown="?"), "?")


def nested(levels: int) -> object:
    value: object = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "told"),
    [("\ud800", False), (10**5000, False), (nested(2000), False), (nested(20), True), ("é", True)],
    ids=["half a character", "a long number", "deep", "flat", "plain"],
)
def test_what_could_not_be_shown_to_a_model_again(value: object, told: bool) -> None:
    wanted = call(path=value)
    assert can_be_told(wanted) == told
    assert called(wanted).startswith("do ")
