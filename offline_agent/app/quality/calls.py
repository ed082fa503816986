"""Whether a model calls tools in a way that can be understood: requests that only a call can serve, asked with the tools that the
`build` agent has. Nothing is run.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from offline_agent.agent.act import fault_of
from offline_agent.agent.hands import Hands
from offline_agent.agent.hear import Heard, hear
from offline_agent.agent.profiles import suited
from offline_agent.agent.prompt import opening, question_text
from offline_agent.app.quality.outcomes import Graded, Progress, Seen, drained, ignore, judged, why_no_tools
from offline_agent.app.quality.stage import scratch, staged
from offline_agent.errors import PromptTooLong
from offline_agent.models import ModelCard
from offline_agent.protocols import ChatModel, Tool
from offline_agent.settings import Settings
from offline_agent.types import Message, ToolCall, Value

CASES = "tasks/calls.toml"
"""Below the declarations of the models."""
_MOST_TOKENS = 2048  # of an answer: what a model thinks before it calls counts too; a quarter of its context at most
_SHOWN = 80  # characters of what came instead of a call


class CallCase(Value):
    """A request, and the names of the tools that serve it. At least one of them is offered to every model."""

    request: str
    tools: tuple[str, ...]


def call_cases(models_directory: Path) -> tuple[CallCase, ...]:
    """In the order of their file, in which neighbours want different tools: the first ones are a fair sample."""
    values = tomllib.loads((models_directory / CASES).read_text(encoding="utf-8"))
    return tuple(CallCase.model_validate(case) for case in values["case"])


def measure_calls(
    settings: Settings,
    model: ChatModel,
    card: ModelCard,
    progress: Progress = ignore,
    limit: int | None = None,
    seen: Seen = ignore,
) -> Graded:
    """The share of requests that were answered with a call which parses, names a tool that was offered, and fits its schema;
    a note says how often it was a tool that serves the request. At most `limit` requests. Raises a ModelError."""
    if why := why_no_tools(card):
        return Graded(notes=(why,))
    cases = call_cases(settings.models_directory)[:limit]
    with scratch() as place, staged(settings, place, model, card) as stage:
        caller = _Caller(model, card, stage.hands())
        score = judged(cases, caller.judge, progress, seen)
    return Graded(
        score=score, notes=(f"Of {score.of} calls that were asked for, {caller.fitting} named a tool that serves.",)
    )


class _Caller:
    """Asks the model for one call after the other, each in a conversation of its own. `fitting` counts the calls of tools that
    serve."""

    def __init__(self, model: ChatModel, card: ModelCard, hands: Hands) -> None:
        info = model.load()
        tools = suited(hands.tools, info)
        self._model = model
        self._tools: Mapping[str, Tool] = {tool.spec.name: tool for tool in tools}
        self._specs = tuple(tool.spec for tool in tools)
        self._opening = opening(card, told=[hands.guidance])
        most = min(_MOST_TOKENS, info.context // 4)
        self._sampling = card.sampling.model_copy(update={"max_tokens": most, "grammar": ""})
        self.fitting = 0

    def judge(self, case: CallCase) -> str:
        try:
            heard = self._ask(case.request)
        except PromptTooLong as error:
            return f'"{case.request}": {error}'
        faults = [*heard.faults, *map(self._fault, heard.message.calls)]
        good = [call for call in heard.message.calls if not self._fault(call)]
        self.fitting += any(call.name in case.tools for call in good)
        return "" if good else f'"{case.request}": {_instead(heard, faults)}'

    def _ask(self, request: str) -> Heard:
        messages = [*self._opening, Message(role="user", content=question_text((), request))]
        return drained(hear(self._model.stream(messages, self._sampling, self._specs), ()))

    def _fault(self, call: ToolCall) -> str:
        """What is wrong with a call, by what the agent would say of it; else ""."""
        tool = self._tools.get(call.name)
        if tool is None:
            return f"There is no tool {call.name!r}."
        try:
            tool.arguments.model_validate(call.arguments)
        except ValidationError as error:
            return fault_of(error, tool.spec)
        return ""


def _instead(heard: Heard, faults: Sequence[str]) -> str:
    """What came in place of a call, in a sentence."""
    if faults:
        return f"it wrote a call that cannot be run. {faults[0]}"
    if heard.usage.stopped == "length":
        return f"it had written {heard.usage.answer_tokens} tokens, and no call, when it was stopped."
    said = " ".join(heard.text.split())
    return f'it called nothing, and said "{said[:_SHOWN]}".' if said else "it called nothing, and said nothing."
