"""What a session has beside a model and an index: tools, the door they act through, and what looks at all that is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from offline_agent.protocols import Inspector, Tool, Workspace


class NoInspector:
    """An Inspector that finds nothing, for tests and for sessions without hands."""

    def mask(self, text: str) -> str:
        return text

    def suspicion(self, text: str) -> str:
        return ""


_NOTHING = NoInspector()


@dataclass(frozen=True)
class Hands:
    """`workspace` groups what a turn changes, and says whether a model may go in circles. `guidance` is the agent's part of the
    system text; `instructions` what the person and the project want it to know."""

    tools: Sequence[Tool] = ()
    workspace: Workspace | None = None
    inspector: Inspector = _NOTHING
    guidance: str = ""
    instructions: str = ""


BARE = Hands()
"""None: for answers from excerpts alone."""
