"""What a question says, taken apart: its words, the names and paths in it, the frames of a traceback, and what kind it is."""

import re
from enum import StrEnum
from functools import cached_property

from offline_agent.retrieval.frames import ENDING, Frame, frames
from offline_agent.retrieval.terms import identifiers, plain_words, query_terms
from offline_agent.types import Value

_LONG = 50  # words; a question that is asked by hand is shorter, a pasted issue longer
_TITLE = 300  # characters
_TITLE_TIMES = 3
_TITLE_WEIGHT = 2.0
_GIST = 500  # characters: 400 to 1,500 find the same, and a transformer takes its time for each
_TERMS = 200  # of a long report, those said most
_PATH = re.compile(rf"((?<![\w.~@+\\/-])(?:[A-Za-z]:)?[\w.~@+\\/-]*[\w+-]\.{ENDING})(?![\w/])")
# Tests that are looked for, not tests that are talked about: "how are tests collected" is a question about a test runner.
_ABOUT_TESTS = re.compile(
    r"\b(which|what|where|any|the|a|unit|integration|regression|existing)\s+(unit\s+)?tests?\b|\bunittests?\b|"
    r"\btests?\s+(for|of|that|which|covers?|covering|cases?|suites?|files?)\b|\b(un)?tested\b|\bconftest\b|\btest_\w+|^tests?\b",
    re.IGNORECASE,
)
_ABOUT_DOCS = re.compile(
    r"\b(docs|documentation|documented|readme|changelog|examples|tutorials?|release notes)\b", re.IGNORECASE
)
_ABOUT_VENDORED = re.compile(r"\b(vendor(ed)?|third.?party|bundled)\b", re.IGNORECASE)
_CODE = re.compile(r"```[\s\S]*?```|^(?: {4}|\t).*$|^[ \t]*(?:>>>|\$|File \").*$", re.MULTILINE)
# A comment ends where another begins: else each of many that are never closed is read to the end.
_MARKDOWN_NOISE = re.compile(r"<!--(?:(?!<!--).)*?-->|https?://\S+", re.DOTALL)


class Shape(StrEnum):
    """What kind of question it is; each has weights of its own in `index/ranking.toml`."""

    NAME = "name"  # an identifier or two, nothing else
    QUESTION = "question"
    REPORT = "report"  # a pasted issue, log or traceback


class Query(Value):
    """A question as it was asked; everything else is derived from `text`."""

    text: str

    @cached_property
    def prose(self) -> str:
        """Without what nobody searches for: links, and comments that issue templates leave behind."""
        return _MARKDOWN_NOISE.sub(" ", self.text) if self.shape is Shape.REPORT else self.text

    @cached_property
    def shape(self) -> Shape:
        words = self.text.split()
        if len(words) > _LONG or len(self.text.strip().splitlines()) > 6:
            return Shape.REPORT
        if len(words) == 1 or (len(words) <= 3 and all(identifiers(word) == [word.strip("`()")] for word in words)):
            return Shape.NAME
        return Shape.QUESTION

    @cached_property
    def title(self) -> str:
        """The first line that says something: of an issue, what it is about."""
        lines = (line.strip(" #*\t") for line in self.prose.splitlines())
        return next((line for line in lines if any(character.isalpha() for character in line)), "")[:_TITLE]

    @cached_property
    def gist(self) -> str:
        """What to embed: of a report mostly its title, for an embedder that reads everything says nothing in particular."""
        if self.shape is not Shape.REPORT:
            return self.text
        return " ".join([*[self.title] * _TITLE_TIMES, _CODE.sub(" ", self.prose)[:_GIST]])

    @cached_property
    def terms(self) -> dict[str, float]:
        """Search terms with their weights: the root of how often each is said, and more for what is in the title of a report."""
        weights = {term: count**0.5 for term, count in query_terms(self.prose)[:_TERMS]}
        if self.shape is Shape.REPORT:
            for term in self.title_terms & weights.keys():
                weights[term] *= _TITLE_WEIGHT
        return weights

    @cached_property
    def title_terms(self) -> frozenset[str]:
        return frozenset(term for term, _ in query_terms(self.title))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What looks like code, each once, in the order of appearance."""
        return tuple(identifiers(self.prose))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Words that may be names though they do not look like code."""
        return tuple(plain_words(self.prose))

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        return tuple(frames(self.text))

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Files that are named, frames included, each once."""
        found = [match[1].replace("\\", "/") for match in _PATH.finditer(self.prose)]
        return tuple(dict.fromkeys(found + [frame.path for frame in self.frames]))

    @property
    def wants_tests(self) -> bool:
        """Never of a report: what is wrong is in the code, however much of its test is shown."""
        return self.shape is not Shape.REPORT and _ABOUT_TESTS.search(self.text) is not None

    @property
    def wants_docs(self) -> bool:
        return _ABOUT_DOCS.search(self._asked) is not None

    @property
    def wants_vendored(self) -> bool:
        return _ABOUT_VENDORED.search(self._asked) is not None

    @property
    def _asked(self) -> str:
        """Where a person says what they want: somewhere in a long report each of those words appears by chance."""
        return self.title if self.shape is Shape.REPORT else self.text
