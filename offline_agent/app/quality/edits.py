"""Whether a model can change files as it is asked: the tasks in models/tasks/edits, each done by the `build` agent in a copy of its
own, and graded by a check that is run in the sandbox afterwards.
"""

from offline_agent.app.quality.outcomes import Graded, Progress, Seen, ignore
from offline_agent.models import ModelCard
from offline_agent.protocols import ChatModel
from offline_agent.settings import Settings


def measure_edits(
    settings: Settings,
    model: ChatModel,
    card: ModelCard,
    progress: Progress = ignore,
    limit: int | None = None,
    seen: Seen = ignore,
) -> Graded:
    """The share of tasks whose check was green. At most `limit` tasks. No score where commands cannot be confined here: what a
    model wrote is never run bare. Nothing of it is recorded, and nothing is left. Raises a ModelError."""
    raise NotImplementedError
