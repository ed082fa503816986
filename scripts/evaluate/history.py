"""A repository's own history as a test: given a commit's message and the version before it, which files did the commit change?"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from offline_agent.cli.terminal import readable
from offline_agent.retrieval.kinds import is_configuration, is_docs, is_test
from scripts.evaluate.cases import Case, Round, Target
from scripts.evaluate.checkouts import check_out, git

_MOST_FILES = 3  # a change of more is a clean-up, which no message points at
_FEWEST_WORDS = 5
_LOOKED_AT = 30  # commits for each that is wanted
_TRAILER = re.compile(
    r"^(signed-off-by|co-authored-by|reviewed-by|change-id|cc|fixes|closes|refs?)\b.*$", re.IGNORECASE | re.MULTILINE
)
_NUMBER = re.compile(r"\(?(?:\bgh-|\bGH)?#\d+\)?")
_DULL = re.compile(
    r"^(merge (branch|pull|remote)|revert|release|version|prepare)\b"
    r"|\b(typos?|bump|lint|linting|pep ?8|mypy|ruff|black|flake8|isort|pyupgrade|pre-commit|docstrings?|changelog|spelling"
    r"|copyright|renamed?)\b",
    re.IGNORECASE,
)


class Commit(NamedTuple):
    id: str
    parent: str
    message: str
    changed: tuple[tuple[str, str], ...]  # (status letter, path)


def rounds(clone: Path, last: int) -> list[Round]:
    """A round for each of the last commits that say what they do and change one to three source files, oldest first. Raises
    SystemExit where there is no git repository, or no such commit."""
    every = (case for commit in commits(clone, last * _LOOKED_AT) if (case := _case(commit)) is not None)
    chosen = [found for found, _ in zip(every, range(last), strict=False)]
    if not chosen:
        raise SystemExit(
            f"In {clone} there is no commit that changes one to {_MOST_FILES} source files and says why in "
            f"{_FEWEST_WORDS} words or more."
        )
    place = clone.resolve()
    name = (place.parent if place.name in ("repo", ".git") else place).name.removesuffix(".git")
    return [Round(name, (case,), partial(check_out, clone, parent)) for parent, case in reversed(chosen)]


def commits(clone: Path, most: int) -> Iterator[Commit]:
    """The last commits with one parent, newest first."""
    # A record: NUL NUL hash and parent, newline, message, NUL; then for each file its status NUL path NUL.
    shown = "--pretty=tformat:%x00%x00%H %P%n%B"
    log = git(clone, "log", "--no-merges", "--no-renames", "--name-status", "-z", f"-n{most}", shown)
    for record in log.decode("utf-8", "surrogateescape").split("\0\0")[1:]:
        head, *files = record.strip("\0").split("\0")
        ids, _, message = head.partition("\n")
        number, _, parent = ids.partition(" ")
        if parent:  # the first commit of all has none, nor has the first of a shallow clone
            names = [field.strip("\n") for field in files]
            yield Commit(number, parent, message, tuple(zip(names[::2], names[1::2], strict=False)))


def asked(message: str) -> str:
    """A message as somebody could have asked: without trailers and numbers. Empty where it says little or is a chore."""
    text = readable(_NUMBER.sub("", _TRAILER.sub("", message)).strip())
    subject = text.partition("\n")[0]
    return "" if len(text.split()) < _FEWEST_WORDS or _DULL.search(subject) else text


def _case(commit: Commit) -> tuple[str, Case] | None:
    source = [(status, path) for status, path in commit.changed if is_program(path)]
    question = asked(commit.message)
    if not question or not 1 <= len(source) <= _MOST_FILES or any(status != "M" for status, _ in source):
        return None
    wanted = tuple(Target(path) for _, path in source)
    return commit.parent, Case(f"{commit.id[:10]} {question.partition(chr(10))[0][:60]}", question, wanted)


def is_program(path: str) -> bool:
    """Whether a message about behaviour may mean the file."""
    return not (is_test(path) or is_docs(path) or is_configuration(path))
