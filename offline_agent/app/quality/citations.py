"""Whether answers about the person's own repository cite the right place: see retrieval/quiz.py for how questions are made."""

from offline_agent.app.quality.outcomes import Graded, Progress, Seen, ignore
from offline_agent.models import ModelCard
from offline_agent.protocols import ChatModel, Index
from offline_agent.retrieval.repository import Repository
from offline_agent.settings import Settings

QUESTIONS = 20


def measure_citations(
    settings: Settings,
    model: ChatModel,
    card: ModelCard,
    repository: Repository,
    index: Index,
    progress: Progress = ignore,
    limit: int = QUESTIONS,
    seen: Seen = ignore,
) -> Graded:
    """The share of questions about `repository` whose answer cites the definition that was asked for. `index` finds what the model
    is shown, as Program.one_shot_retriever() and the like do. Nothing of it is recorded. Raises a ModelError or
    IndexUnavailable."""
    raise NotImplementedError
