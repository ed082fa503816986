"""Tool call -> result. A call that is not understood becomes one sentence for the model: what is wrong, and what is allowed."""

import json
import logging
import traceback
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from offline_agent.errors import AgentError
from offline_agent.events import Event
from offline_agent.protocols import Tool
from offline_agent.types import ToolCall, ToolResult, ToolSpec

log = logging.getLogger(__name__)

_DEEPEST = 60  # lists and objects within each other; what writes and reads calls stops at some hundred
_SHOWN = 80  # characters of a call in its summary, of a value in a sentence


@dataclass(frozen=True)
class Outcome:
    """`understood` is false for a call that could not be run at all; `result` then holds the sentence for the model. `summary` is
    one line for the person."""

    result: ToolResult
    summary: str
    understood: bool = True


class Toolbox:
    """The tools of a session, by name."""

    def __init__(self, tools: Sequence[Tool] = ()) -> None:
        self._tools = {tool.spec.name: tool for tool in tools}
        self.specs = tuple(tool.spec for tool in tools)

    def act(self, call: ToolCall) -> Generator[Event, None, Outcome]:
        """Checks a call and runs it. What goes wrong is in the outcome: the model is told, and goes on."""
        tool = self._tools.get(call.name)
        if tool is None:
            return _misunderstood(call, f"There is no tool {call.name!r}. {self._offered()}")
        try:
            arguments = tool.arguments.model_validate(call.arguments)
        except ValidationError as error:
            return _misunderstood(call, fault_of(error, tool.spec))
        try:
            result = tool.run(arguments)
            if isinstance(result, Generator):
                result = yield from result
        except AgentError as error:
            result = ToolResult(text=f"{call.name} failed: {error}", failed=True)
        except Exception as error:  # a fault of ours that a model, or a file, has found must not end the session
            log.error("%s broke: %s", call.name, _where(error))
            why = f"{call.name} failed in a way that is not meant ({type(error).__name__}). Try it in another way."
            result = ToolResult(text=why, failed=True, ours=True)
        result = _encodable(result)
        return Outcome(result, summary_of(call, result))

    def _offered(self) -> str:
        return f"There is {', '.join(self._tools)}." if self._tools else "There are none: answer in words."


def _encodable(result: ToolResult) -> ToolResult:
    """Names of files need not be UTF-8; what a model is told, and what is kept of it, must be."""
    texts = {name: getattr(result, name) for name in ("text", "summary", "shown")}
    readable = {name: text.encode("utf-8", "replace").decode() for name, text in texts.items()}
    return result if readable == texts else result.model_copy(update=readable)


def _where(error: Exception) -> str:
    """What kind of error and where, and not its words: these may quote what was read."""
    last = traceback.extract_tb(error.__traceback__)[-3:]
    return f"{type(error).__name__} at {', '.join(f'{step.name} in line {step.lineno}' for step in last)}"


def fault_of(error: ValidationError, spec: ToolSpec) -> str:
    """The first thing that is wrong with the arguments, then what the tool takes."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"])) or "the arguments"
    wrong = {"missing": "is missing", "extra_forbidden": "is no argument of it"}.get(first["type"])
    if wrong is None:
        value = _brief(_as_json(first["input"]))
        wrong = f"is {value}, but: {first['msg']}"
    return f"The call of {spec.name} was not run: {field} {wrong}. {spec.name} takes {taken(spec)}."


def taken(spec: ToolSpec) -> str:
    """`query (string), limit (integer, 1 to 10, may be left out)`."""
    needed = spec.parameters.get("required", ())
    properties: Mapping[str, Mapping[str, Any]] = spec.parameters.get("properties", {})
    described = [f"{name} ({_allowed(schema, name in needed)})" for name, schema in properties.items()]
    return ", ".join(described) or "no arguments"


def _allowed(schema: Mapping[str, Any], needed: bool) -> str:
    kind = " or ".join(map(str, schema["enum"])) if "enum" in schema else str(schema.get("type", "value"))
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        kind += f", {least} to {most}"
    elif least is not None or most is not None:
        kind += f", at least {least}" if most is None else f", at most {most}"
    return kind if needed else f"{kind}, may be left out"


def called(call: ToolCall) -> str:
    """`search_code "retry", limit 3`: a call in a line."""
    arguments = ", ".join(
        _as_json(value) if place == 0 else f"{name} {_as_json(value)}"
        for place, (name, value) in enumerate(call.arguments.items())
    )
    return _brief(f"{call.name} {arguments}".rstrip())


def can_be_told(call: ToolCall) -> bool:
    """Whether a call can be written down and shown to a model again: `\\ud800` in JSON is no character."""
    try:
        json.dumps([call.name, call.arguments], ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return _depth_of(call.arguments) <= _DEEPEST


def _depth_of(value: Any) -> int:
    level, depth = [value], 0
    while level := [one for above in level for one in _inside(above)]:
        depth += 1
    return depth


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _as_json(value: Any) -> str:
    """For people. A number that is too long to be written is none that anybody reads."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return "..."


def summary_of(call: ToolCall, result: ToolResult) -> str:
    """`search_code "retry", limit 3: 4 excerpts`, what the tool itself says, or what went wrong."""
    return result.summary or f"{called(call)}: {_came_to(result)}"


def _came_to(result: ToolResult) -> str:
    if result.hits and not result.failed:
        return "1 excerpt" if len(result.hits) == 1 else f"{len(result.hits)} excerpts"
    lines = result.text.strip().splitlines()
    return _brief(lines[0]) if lines else "done"


def _misunderstood(call: ToolCall, reason: str) -> Outcome:
    result = ToolResult(text=reason, failed=True)
    return Outcome(result, summary_of(call, result), understood=False)


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 4]} ..."
