"""Whether a model calls tools in a way that can be understood: requests that only a call can serve, asked with the tools that the
`build` agent has. Nothing is run.
"""

from offline_agent.app.quality.outcomes import Graded, Progress, Seen, ignore
from offline_agent.models import ModelCard
from offline_agent.protocols import ChatModel
from offline_agent.settings import Settings


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
    raise NotImplementedError
