"""Whether answers about the person's own repository cite the right place: see retrieval/quiz.py for how questions are made."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from offline_agent.agent.cite import citation_of
from offline_agent.app.quality.outcomes import Graded, Progress, Seen, ignore, judged
from offline_agent.app.quality.stage import Stage, ask, staged
from offline_agent.app.rules import Rules
from offline_agent.benchmarks import Score
from offline_agent.errors import PromptTooLong
from offline_agent.events import Answered
from offline_agent.models import ModelCard
from offline_agent.protocols import ChatModel, Index
from offline_agent.retrieval.ignore import Found, IgnoreRules, shipped_patterns
from offline_agent.retrieval.kinds import is_test, is_vendored
from offline_agent.retrieval.quiz import Question, questions, sample, shuffled
from offline_agent.retrieval.repository import Repository
from offline_agent.retrieval.syntax import Languages
from offline_agent.settings import Settings

QUESTIONS = 20
_FILES = 1000  # that are read for questions: some seconds
_COUNTED = 3  # places of an answer, the first: whoever cites all that was shown has not chosen
_STEPS, _MINUTES = 12, 5.0
_SEARCH = "The first result of the search alone was right for {first} of {of} questions."
_NONE = "Nothing in {name} is documented in a way that makes a question: citations could not be measured."


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
    """The share of questions about `repository` whose answer cites the definition that was asked for, among the first three places
    that it cites. A note says how often the first result of the search was right: always citing that is no merit of a model.

    `index` finds what the model is shown, as Program.one_shot_retriever() and the like do. Nothing of it is recorded. Raises a
    ModelError or IndexUnavailable."""
    chosen = questions_about(settings, repository, limit)
    if not chosen:
        return Graded(score=Score(right=0, of=0), notes=(_NONE.format(name=repository.name),))
    with staged(_limited(settings), repository.root, model, card) as stage:
        asker = _Asker(stage, index)
        score = judged(chosen, asker.judge, progress, seen)
    return Graded(score=score, notes=(_SEARCH.format(first=asker.first, of=score.of),))


def questions_about(settings: Settings, repository: Repository, limit: int) -> list[Question]:
    """At most `limit` questions about what is indexed of a repository and may be read, tests left out; always the same."""
    languages = Languages(settings.index_declarations)
    paths = sorted(_paths(settings, repository.root), key=shuffled)
    texts = ((path, _text(repository.root / path)) for path in paths)
    code = ((path, text) for path, text in texts if languages.grammar(path, text) is not None)
    return sample(questions(dict(islice(code, _FILES)), languages), limit)


def _paths(settings: Settings, root: Path) -> Iterator[str]:
    rules = Rules(root, settings)
    hidden = rules.hidden(rules.policy("ask"))
    for found in IgnoreRules(root, shipped_patterns(settings.index_declarations)).walk():
        if isinstance(found, Found) and found.size <= settings.index.max_file_bytes:
            aside = is_test(found.path) or is_vendored(found.path)
            if not aside and not hidden(found.path):
                yield found.path


def _text(path: Path) -> str:
    """Empty where the file is gone meanwhile, or cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _limited(settings: Settings) -> Settings:
    ask = settings.ask.model_copy(
        update={"steps": min(settings.ask.steps, _STEPS), "minutes": min(settings.ask.minutes, _MINUTES)}
    )
    return settings.model_copy(update={"ask": ask})


class _Asker:
    """Asks one question after the other, each in a session of its own. `first` counts those that the search alone answers."""

    def __init__(self, stage: Stage, index: Index) -> None:
        self._stage = stage
        self._index = index
        self.first = 0

    def judge(self, question: Question) -> str:
        try:
            turn = ask(self._stage.question(self._index), question.text, _MINUTES)
        except PromptTooLong as error:
            return f"{question.text} {error}"
        self.first += any(question.answered_by(citation_of(hit)) for hit in turn.found[:1])
        if turn.answered is None:
            return f"{question.text} There was no answer after {_MINUTES:g} minutes."
        return _fault(question, turn.answered)


def _fault(question: Question, answered: Answered) -> str:
    """What is wrong with an answer; else "". Where `verified` is false its places are the search's, not the model's."""
    cited = answered.citations[:_COUNTED] if answered.verified else ()
    if any(map(question.answered_by, cited)):
        return ""
    came = f"It cited {', '.join(map(str, cited))}" if cited else "It cited nothing"
    right = " or ".join(f"{one.path}:{one.start_line} {one.symbol}" for one in question.wanted)
    return f"{question.text} {came}; right is {right}."
