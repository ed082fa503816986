"""Questions that a person wrote about a repository, with the paths of which one has to be found (see index/evals/README.md)."""

from pathlib import Path

from offline_agent.retrieval.repository import open_repository
from scripts.evaluate.cases import Case, Round, Target
from scripts.evaluate.lines import read_lines

FIELDS = ("question", "paths")


def rounds(files: list[Path], repository: Path, evals: Path) -> list[Round]:
    """One round, in the repository where it is. Without `files` those of `evals` that are named like the repository. Raises
    RepositoryError, and SystemExit where there are no questions."""
    opened = open_repository(repository)
    chosen = files or files_for(opened.name, evals)
    if not chosen:
        raise SystemExit(
            f"There is no {evals}/{opened.name}.jsonl. Write one ({evals}/README.md shows how), or name a file."
        )
    cases = tuple(
        Case(row["question"], row["question"], tuple(Target(path) for path in row["paths"]), every=False)
        for file in chosen
        for row in read_lines(file, FIELDS)
    )
    return [Round(opened.name, cases, root=opened.root)] if cases else []


def files_for(name: str, evals: Path) -> list[Path]:
    """`flask.jsonl` and `flask-mine.jsonl` are about a directory called `flask`, or `flask-3.1.2`."""
    return sorted(
        (file for file in evals.glob("*.jsonl") if _alike(file.stem.lower(), name.lower())), key=lambda file: file.stem
    )


def _alike(stem: str, name: str) -> bool:
    return stem == name or stem.startswith(f"{name}-") or name.startswith(f"{stem}-")
