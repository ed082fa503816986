"""How good a model is at what it is wanted for: calling tools, finding the place in the repository, changing files.

    cases -> the model, asked as the program asks it -> Outcome, one each -> Score

    outcomes.py    what came of one case, and of all
    calls.py       requests that only a tool call can serve
    citations.py   questions made from the docstrings of the person's own repository
    edits.py       small tasks, done in a copy and graded by running a check in the sandbox
    stage.py       where the last two happen: a session whose vault is gone afterwards

A measurement ends early with Ctrl-C, as everything does; who wants what was measured until then keeps what `seen` was given.
"""

from offline_agent.app.quality.calls import measure_calls
from offline_agent.app.quality.citations import measure_citations
from offline_agent.app.quality.edits import measure_edits
from offline_agent.app.quality.outcomes import Graded, Outcome, score_of

__all__ = ["Graded", "Outcome", "measure_calls", "measure_citations", "measure_edits", "score_of"]
