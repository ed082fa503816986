"""The events of one turn -> what is on the screen: thoughts folded, waiting explained, the answer as it comes."""

import math
import time
from collections.abc import Callable
from typing import Protocol

from offline_agent.events import Acted, Acting, Answered, Event, Filled, Reading, Searched, Shown, Thought, Token
from offline_agent.repl.render import line_style, note_of, reading_line, searched_line, thinking_line
from offline_agent.types import SearchResult

DIM = "fg:ansibrightblack"
_PATIENCE = 1.0  # seconds of reading before it is explained
_PACE = 0.1  # seconds between two counts of the words thought


class Screen(Protocol):
    """Where a turn is shown. It makes printable what it is given."""

    def write(self, text: str) -> None:
        """A piece of the answer."""

    def say(self, text: str, style: str = "") -> None:
        """A line of its own about what goes on."""

    def wait(self, text: str) -> None:
        """A line that the next output replaces."""


class TurnView:
    """Shows one turn. `filled` is how full the context was last, `thoughts` all that the model thought."""

    def __init__(self, screen: Screen, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._clock = clock
        self._result: SearchResult | None = None  # a greeting is not searched for
        self._shown: Shown | None = None
        self._reading_since: float | None = None
        self._thinking_since: float | None = None
        self._counted = -math.inf
        self._thought: list[str] = []
        self._in_line = False
        self.filled: Filled | None = None

    @property
    def thoughts(self) -> str:
        return "".join(self._thought)

    def show(self, event: Event) -> None:
        if isinstance(event, Thought):
            self._think(event.text)
        elif isinstance(event, Reading):
            self._read(event)
        else:
            self._fold()
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if isinstance(event, Token):
            self._write(event.text)
        elif isinstance(event, Searched):
            self._result = event.result
            self._screen.wait(f"reading {len(event.result.hits)} search results ...")
        elif isinstance(event, Shown):
            self._shown = event
        elif isinstance(event, Filled):
            self.filled = event
            self.end_line()
        elif isinstance(event, Acting):
            self.end_line()
            self._screen.wait(f"{event.summary} ...")
        elif isinstance(event, Acted):
            self._act(event)
        elif isinstance(event, Answered):
            self._foot(event)
        elif note := note_of(event):
            self.end_line()
            self._screen.say(note, DIM)

    def end_line(self) -> None:
        """So that what comes next begins a line."""
        if self._in_line:
            self._screen.write("\n")
        self._in_line = False

    def _write(self, text: str) -> None:
        self._screen.write(text)
        if text:
            self._in_line = not text.endswith("\n")

    def _think(self, text: str) -> None:
        now, self._reading_since = self._clock(), None
        if self._thinking_since is None:
            self.end_line()
            self._thinking_since = now
            if self._thought:
                self._thought.append("\n\n")
        self._thought.append(text)
        if now - self._counted >= _PACE:
            self._counted = now
            self._screen.wait(thinking_line(self.thoughts))

    def _fold(self) -> None:
        self._reading_since = None
        if self._thinking_since is not None:
            seconds = self._clock() - self._thinking_since
            self._thinking_since = None
            self._screen.say(f"thought for {seconds:.0f} s (/thinking shows it)", DIM)

    def _act(self, event: Acted) -> None:
        self.end_line()
        self._screen.say(event.summary, "fg:ansired" if event.failed else DIM)
        for line in event.shown.splitlines():
            self._screen.say(f"  {line}", line_style(line))

    def _read(self, event: Reading) -> None:
        now = self._clock()
        self._reading_since = now if self._reading_since is None else self._reading_since
        if now - self._reading_since > _PATIENCE:
            self._screen.wait(reading_line(event))

    def _foot(self, event: Answered) -> None:
        self.end_line()
        lines = [searched_line(self._result, self._shown)] if self._result is not None else []
        if event.stopped == "length":
            lines.append("(the answer was cut at its longest length)")
        if lines:
            self._screen.say(" ".join(lines), DIM)
