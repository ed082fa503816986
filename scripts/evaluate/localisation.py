"""Issues: which files did the accepted change touch? One JSON object a line, as in SWE-bench:

{"instance_id": "pallets__flask-4045", "repo": "pallets/flask", "base_commit": "d8c37f4...",
 "problem_statement": "Raise error when ...", "gold_files": ["src/flask/blueprints.py"]}
"""

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from scripts.evaluate.cases import Case, Round, Target
from scripts.evaluate.checkouts import check_out, find_clone
from scripts.evaluate.lines import read_lines

FIELDS = ("instance_id", "repo", "base_commit", "problem_statement", "gold_files")


def rounds(file: Path, clones: Path) -> list[Round]:
    """A round for each issue, those of one repository together. Raises SystemExit for a line that is not understood, or where there
    is no clone."""
    by_repository: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_lines(file, FIELDS):
        by_repository[row["repo"]].append(row)
    return [
        Round(repository, (_case(row),), partial(check_out, clone, row["base_commit"]))
        for repository, rows in by_repository.items()
        for clone in [find_clone(clones, repository)]
        for row in rows
    ]


def _case(row: dict[str, Any]) -> Case:
    wanted = tuple(Target(path) for path in row["gold_files"])
    return Case(row["instance_id"], row["problem_statement"], wanted)
