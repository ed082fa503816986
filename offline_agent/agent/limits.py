"""When a turn has gone on for long enough: steps, tokens, time, or the same call again and again."""

import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from offline_agent.settings import AskSettings
from offline_agent.types import ToolCall, Usage

Stop = Literal["steps", "tokens", "time", "repeats", "calls"]


class Reached(NamedTuple):
    """A limit that was reached, and what is said of it."""

    stop: Stop
    sentence: str


class Limits:
    """Of one turn, which begins now. `clock` gives seconds."""

    def __init__(self, settings: AskSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._started = clock()
        self._steps = self._tokens = 0
        self._last: tuple[str, dict[str, object]] | None = None
        self._same = 0

    def spend(self, usage: Usage) -> None:
        """One request to the model; what it had computed before costs nothing."""
        self._steps += 1
        self._tokens += usage.prompt_tokens - usage.reused_tokens + usage.answer_tokens

    def reached(self) -> Reached | None:
        """The limit that forbids another request."""
        settings = self._settings
        if self._steps >= settings.steps:
            return Reached(
                "steps", f"I stopped after {self._steps} step{'s' * (self._steps > 1)} without an answer [ask.steps]."
            )
        if self._tokens >= settings.tokens:
            return Reached("tokens", f"I stopped after {self._tokens:,} tokens without an answer [ask.tokens].")
        return self.out_of_time()

    def out_of_time(self) -> Reached | None:
        """The limit that forbids anything more: calls of one answer may each take long."""
        minutes = (self._clock() - self._started) / 60
        if minutes < self._settings.minutes:
            return None
        return Reached("time", f"I stopped after {minutes:.0f} minutes without an answer [ask.minutes].")

    def circling(self, calls: Sequence[ToolCall]) -> str:
        """The tool that is called in the same way for the last time that is allowed; empty where there is none."""
        for call in calls:
            this = (call.name, call.arguments)
            self._same = self._same + 1 if this == self._last else 1
            self._last = this
            if self._same >= self._settings.repeats:
                self._same = 0  # whoever lets it go on is asked again after as many
                return call.name
        return ""


def going_in_circles(tool: str, times: int) -> Reached:
    return Reached("repeats", f"I stopped: {tool} was called {times} times in a row in the same way [ask.repeats].")
