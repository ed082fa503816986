"""Commits as questions: what the message, the change note and the new tests say, and which functions were changed for it."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from offline_agent.types import Chunk

from . import cut
from .git import Clone, batches
from .sources import copied, forbidden, is_test

_MOST_FILES = 6
_MOST_CHUNKS = 8
_LONGEST = 2_000
_TEST_LINES = 25
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+")
_NOTE = re.compile(
    r"(^|/)(changes|changelog|news|newsfragments|history|unreleased|releases?|whatsnew)(/|[^/]*$)", re.IGNORECASE
)
_TRAILER = re.compile(
    r"^(signed-off-by|co-authored-by|reviewed-by|change-id|cc|closes|fixes|refs?|see also|bug|issue|pr)\b.{0,80}$", re.I
)
_NUMBER = re.compile(
    r"\(?\b(?:gh-|issue |pr |bug |ticket )?#\d+\)?|\((?:gh|pr)-?\d+\)|https?://\S+|\[[\w/ -]{1,20}\]\s*(?=\w)",
    re.IGNORECASE,
)
_DULL = re.compile(
    r"^(merge|bump|release|version|revert|prepare|update (version|changelog|deps|depend|change)|changelog|\d|v\d|wip\b|typos?\b)"
    r"|\b(typos?|whitespace|pep ?8|flake8|isort|pre-commit|pyupgrade|linting|lint|reformat|run black|copyright|docstrings?"
    r"|vendor\w*|type hints?|annotations?|spelling|coding style|code style|prettier|eslint|phpstan)\b",
    re.IGNORECASE,
)


@dataclass
class Touched:
    """A file that a commit changed: where it changed in the old text (rows from 1, end included), and what was added."""

    path: str
    blob: str = ""
    ranges: list[tuple[int, int]] = field(default_factory=list)
    added: list[str] = field(default_factory=list)


@dataclass
class Commit:
    id: str
    message: str
    touched: list[Touched]

    @property
    def code(self) -> list[Touched]:
        """The changed files that a search should find: source that was there before, without tests and copies."""
        return [one for one in self.touched if one.blob and one.ranges and is_source(one.path)]


def is_source(path: str) -> bool:
    return cut.known(path) and not is_test(path) and not copied(path)


def history(clone: Clone, most: int) -> Iterator[Commit]:
    """At most so many commits with something to learn from, drawn by chance from the whole history."""
    every = [line for line in clone.lines("rev-list", "--no-merges", "HEAD") if line]
    random.Random(clone.name).shuffle(every)
    kept = 0
    for some in batches(every, 100):
        if kept == most:
            return
        for commit in _commits(clone, some):
            if kept < most and commit.code and len(commit.code) <= _MOST_FILES and questions(commit):
                kept += 1
                yield commit


def _commits(clone: Clone, ids: Sequence[str]) -> Iterator[Commit]:
    """Commits with what each changed, from one run of git."""
    options = (
        "--stdin",
        "-r",
        "-p",
        "-U0",
        "--full-index",
        "--no-renames",
        "--no-color",
        "--pretty=format:%x00%H%n%B%x01",
    )
    commit, in_message = Commit("", "", []), False
    for line in clone.lines("diff-tree", *options, given="\n".join(ids) + "\n"):
        if line.startswith("\0"):
            if commit.id:
                yield commit
            commit, in_message = Commit(line[1:41], "", []), True
        elif in_message:
            in_message = not line.endswith("\1")
            commit.message += line.removesuffix("\1") + "\n"
        elif line.startswith("diff --git "):
            commit.touched.append(Touched(line.rpartition(" b/")[2]))
        elif commit.touched:
            _note(line, commit.touched[-1])
    if commit.id:
        yield commit


def _note(line: str, touched: Touched) -> None:
    """Takes from one line of a diff what it says of the file."""
    if line.startswith("index ") and not touched.blob:
        old = line.split()[1].partition("..")[0]
        touched.blob = old if old.strip("0") else ""
    elif found := _HUNK.match(line):
        start, count = int(found[1]), int(found[2] or 1)
        touched.ranges.append((start, start + max(count, 1) - 1))
    elif line.startswith("+") and not line.startswith("+++"):
        touched.added.append(line[1:])


def message_of(commit: Commit) -> tuple[str, str]:
    """Subject and body without trailers, numbers and addresses."""
    lines = [line.rstrip() for line in commit.message.strip().split("\n")]
    kept = [_NUMBER.sub(" ", line).strip() for line in lines if not _TRAILER.match(line.strip().lstrip("*- "))]
    subject = kept[0] if kept else ""
    return subject, "\n".join(kept[1:]).strip()


def questions(commit: Commit) -> list[str]:
    """Up to four ways in which somebody could have asked for what the commit did; none where it says nothing."""
    subject, body = message_of(commit)
    if _DULL.search(subject) or len(re.findall(r"[A-Za-z]{2,}", subject)) < 3:
        return []
    asked = [subject]
    if len(body) > 20:
        asked.append(f"{subject}\n{body}")
    notes = "\n".join(_NUMBER.sub(" ", line) for one in commit.touched if _NOTE.search(one.path) for line in one.added)
    if len(notes.split()) > 6:
        asked.append(notes.strip())
    tests = [line for one in commit.touched if is_test(one.path) for line in one.added if line.strip()]
    if len(tests) > 3:
        asked.append("\n".join([asked[min(1, len(asked) - 1)], *tests[:_TEST_LINES]]))
    return [one[:_LONGEST] for one in asked]


def of_clone(clone: Clone, most: int) -> Iterator[tuple[list[str], tuple[Chunk, ...]]]:
    """Questions with the chunks of the version before that the commit changed."""
    waiting: list[Commit] = []
    for commit in history(clone, most):
        waiting.append(commit)
        if len(waiting) == 200:
            yield from _changed(clone, waiting)
            waiting = []
    yield from _changed(clone, waiting)


def _changed(clone: Clone, commits: list[Commit]) -> Iterator[tuple[list[str], tuple[Chunk, ...]]]:
    texts = clone.texts(one.blob for commit in commits for one in commit.code)
    for commit in commits:
        kept = [one for one in commit.code if one.blob in texts and not forbidden(one.path)]
        found = [chunk for one in kept for chunk in _overlapping(one, texts[one.blob])]
        if found:
            yield questions(commit), tuple(found[:_MOST_CHUNKS])


def _overlapping(touched: Touched, text: str) -> list[Chunk]:
    """The chunks with changed lines, most changed first; what is between definitions only if nothing else changed."""
    weighed = []
    for chunk in cut.chunks(touched.path, text):
        lines = sum(
            max(0, min(end, chunk.end_line) - max(start, chunk.start_line) + 1) for start, end in touched.ranges
        )
        if lines:
            weighed.append((chunk, lines))
    weighed.sort(key=lambda pair: -pair[1])
    named = [chunk for chunk, _ in weighed if chunk.symbol]
    return (named or [chunk for chunk, _ in weighed])[:4]
