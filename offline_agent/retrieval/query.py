"""What a question says, taken apart: its words, the names and paths in it, the frames of a traceback, and what kind it is."""

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property

from offline_agent.retrieval.terms import identifiers, plain_words, query_terms
from offline_agent.types import Value

_LONG = 50  # words; a question that is asked by hand is shorter, a pasted issue longer
_TITLE = 300  # characters
_TITLE_TIMES = 3
_TITLE_WEIGHT = 2.0
_GIST = 1500  # characters
_TERMS = 200  # of a long report, those said most
_ENDING = (
    "(?:py|pyi|pyx|js|jsx|mjs|cjs|ts|tsx|go|rs|c|h|cc|cpp|cxx|hpp|hh|java|cs|rb|php|sh|bash|kt|swift|"
    "toml|cfg|ini|ya?ml|json|md|rst)"
)
_PATH = re.compile(rf"(?<![\w/.\\-])((?:[A-Za-z]:)?[\w.~@+\\/-]*[\w+-]\.{_ENDING})(?![\w/])")
_FRAMES = (
    # Python: File "a/b.py", line 12, in run
    re.compile(r'File "(?P<path>[^"\n]+)", line (?P<line>\d+)(?:, in (?P<name>[\w<>.]+))?'),
    # JavaScript: at run (a/b.js:12:3). Java: at a.b.Thing.run(Thing.java:12)
    re.compile(r"\bat (?:async )?(?P<name>[\w$.<>]+) ?\((?P<path>[^():\n]+):(?P<line>\d+)(?::\d+)?\)"),
    # pytest, compilers, Go, Rust: a/b.py:12: in run   a/b.rs:12:5
    re.compile(rf"(?P<path>[\w.~@+\\/-]*[\w+-]\.{_ENDING}):(?P<line>\d+)(?::\d+)?(?:: in (?P<name>\w+))?"),
)
_ABOUT_TESTS = re.compile(r"\b(un)?test(s|ed|ing)?\b|\bfixtures?\b|conftest", re.IGNORECASE)
_ABOUT_DOCS = re.compile(
    r"\b(docs?|documentation|documented|readme|changelog|examples?|tutorials?|release)\b", re.IGNORECASE
)
_ABOUT_VENDORED = re.compile(r"\b(vendor(ed)?|third.?party|bundled)\b", re.IGNORECASE)
_CODE = re.compile(r"```.*?```|^(?: {4}|\t).*$|^\s*(?:>>>|\$|File \").*$", re.DOTALL | re.MULTILINE)
_MARKDOWN_NOISE = re.compile(r"<!--.*?-->|https?://\S+", re.DOTALL)


class Shape(StrEnum):
    """What kind of question it is; each has weights of its own in `index/ranking.toml`."""

    NAME = "name"  # an identifier or two, nothing else
    QUESTION = "question"
    REPORT = "report"  # a pasted issue, log or traceback


class Frame(Value):
    """One line of a traceback. `depth` counts from the innermost, where things went wrong; `name` may be empty."""

    path: str
    line: int
    name: str = ""
    depth: int = 0


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
        return tuple(_frames(self.text))

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Files that are named, frames included, each once."""
        found = [match[1].replace("\\", "/") for match in _PATH.finditer(self.prose)]
        return tuple(dict.fromkeys(found + [frame.path for frame in self.frames]))

    @property
    def wants_tests(self) -> bool:
        return _ABOUT_TESTS.search(self._asked) is not None

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


def _frames(text: str) -> list[Frame]:
    """Frames in the order of the text, with depths: Python writes the innermost last, the others first."""
    taken: set[int] = set()
    found: list[tuple[int, str, int, str, bool]] = []
    for number, pattern in enumerate(_FRAMES):
        for match in pattern.finditer(text):
            if match.start("path") in taken:
                continue
            taken.add(match.start("path"))
            name = (match.groupdict().get("name") or "").rpartition(".")[2]
            found.append((match.start(), match["path"].replace("\\", "/"), int(match["line"]), name, number == 1))
    found.sort()
    return _with_depths(found)


def _with_depths(found: Sequence[tuple[int, str, int, str, bool]]) -> list[Frame]:
    innermost_first = bool(found) and all(one[4] for one in found)
    count = len(found)
    return [
        Frame(path=path, line=line, name=name, depth=index if innermost_first else count - 1 - index)
        for index, (_, path, line, name, _) in enumerate(found)
    ]
