"""Questions about a repository whose answers are known: what documents a definition, asked without its name.

    docstring, or comment above -> first sentence -> "Which function closes the adapters and as such the session?" -> Definition

The words stand in the repository beside what they ask for, so search finds most of them: what is tried is whether a model tells
the right excerpt from the others, and says so.
"""

import ast
import hashlib
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Literal, NamedTuple

from offline_agent.retrieval.outline import Scope, nest
from offline_agent.retrieval.syntax import Grammar, Languages
from offline_agent.types import Citation, Definition, Value

_FEWEST_WORDS, _LONGEST = 4, 200  # words and characters of a sentence: less asks for nothing, more is no question
_READ = 2000  # characters of a docstring, and of a comment's line: what a stranger wrote must not take quadratic time
_WORD = re.compile(r"[^\W\d_]{2,}")
_SENTENCE = re.compile(r".+?(?:[.!?](?=\s+[^\sa-z]|\s*$)|$)", re.DOTALL)
_MARKS = re.compile(r"^\s*(?:///?!?|/\*+!?|\*+/|\*|#+|--+)\s?|\s*\*+/\s*$")  # of a comment's line
_ROLE = re.compile(r":[\w:.+-]+:`~?([^`<]*)(?:\s*<[^`>]*>)?`")  # :class:`Session` of reStructuredText
_NO_DESCRIPTION = re.compile(
    r"(?i)(todo|fixme|xxx|hack|noqa|nolint|eslint|pragma|copyright|licen[sc]e|raises\b|@|:param|>>>)"
)
_ATTRIBUTE = re.compile(r"^\s*(?:#!?\[|@)")  # Rust's and Java's: no words about what stands below
# `Closes the file`, but neither `Process the file` nor `Rows of a table`.
_VERB = re.compile(r"[a-z]+[a-rt-z]s")
_AFTER_VERB = frozenset(
    ["a", "all", "an", "any", "each", "every", "if", "its", "one", "the", "what", "whether", "which"]
)

Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Question(Value):
    """Any of the definitions `wanted` is a right answer: those that are described in the same words. A definition's first line here
    is that of its signature, below decorators and comments."""

    text: str
    wanted: tuple[Definition, ...]

    def answered_by(self, citation: Citation) -> bool:
        """Whether a place holds the line on which a wanted definition begins, or is a later part of one."""
        return any(_holds(citation, definition) for definition in self.wanted)


class Described(NamedTuple):
    """A definition, and what its author says of it."""

    definition: Definition
    words: str


def questions(files: Mapping[str, str], languages: Languages) -> list[Question]:
    """What can be asked about files, text by path, in the order of the files; nothing where nothing is documented."""
    wanted: dict[str, list[Definition]] = defaultdict(list)
    for path, text in files.items():
        grammar = languages.grammar(path, text)
        for one in described(path, text, grammar) if grammar else ():
            if asked := question_about(one.definition, one.words):
                wanted[asked].append(one.definition)
    return [Question(text=text, wanted=tuple(definitions)) for text, definitions in wanted.items()]


def sample(every: Sequence[Question], limit: int) -> list[Question]:
    """At most `limit` questions, from as many files as there are; the same each time, in no order that a repository has."""
    by_file: dict[str, list[Question]] = defaultdict(list)
    for question in sorted(every, key=lambda one: shuffled(one.text)):
        by_file[question.wanted[0].path].append(question)
    files = [by_file[path] for path in sorted(by_file, key=shuffled)]
    return [question for question in chain.from_iterable(zip_longest(*files)) if question is not None][:limit]


def shuffled(text: str) -> str:
    """Sorts texts in an order that has nothing to do with what they say."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def question_about(definition: Definition, words: str) -> str:
    """A question that only the definition answers; "" where the words are too few, too many, or hold its name."""
    sentence, verb = _without_name(first_sentence(words), definition.name)
    if not sentence or definition.name.startswith("__") or _NO_DESCRIPTION.match(sentence):
        return ""
    first, _, rest = sentence.partition(" ")
    follows = verb or rest.partition(" ")[0].lower() in _AFTER_VERB
    if follows and _VERB.fullmatch(first.lower()):
        question = f"Which {definition.kind} {first.lower()} {rest}?"
    else:
        quoted = sentence.replace('"', "'")
        question = f'Which {definition.kind} is described as "{quoted}"?'
    return "" if _named(definition.name, question) else question


def first_sentence(words: str) -> str:
    """The first sentence of the first paragraph, on one line, without its stop; "" where it is too short or too long to ask
    with, or not for people."""
    paragraph = " ".join(re.split(r"\n\s*\n", words.strip()[:_READ], maxsplit=1)[0].split())
    found = _SENTENCE.match(_ROLE.sub(r"\1", paragraph))
    sentence = found[0].strip().rstrip(".!?: ") if found else ""
    fits = len(_WORD.findall(sentence)) >= _FEWEST_WORDS and len(sentence) <= _LONGEST
    return sentence if fits and sentence.isprintable() else ""


def described(path: str, text: str, grammar: Grammar) -> Iterator[Described]:
    """The functions and classes of a file that have a docstring or, in other languages than Python, a comment above them."""
    if grammar.name == "python":
        return _by_docstrings(path, text)
    return _by_comments(path, text, grammar)


def _by_docstrings(path: str, text: str) -> Iterator[Described]:
    """Nothing where the text is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of code that is not ours
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, prefix = waiting.pop()
        if isinstance(node, Documented):
            if words := ast.get_docstring(node):
                yield Described(_definition(path, node, prefix), words)
            prefix = f"{prefix}{node.name}."
        waiting += [(child, prefix) for child in reversed(list(ast.iter_child_nodes(node)))]


def _definition(path: str, node: Documented, prefix: str) -> Definition:
    kind: Literal["class", "function"] = "class" if isinstance(node, ast.ClassDef) else "function"
    end = node.end_lineno or node.lineno
    return Definition(path=path, symbol=f"{prefix}{node.name}", kind=kind, start_line=node.lineno, end_line=end)


def _by_comments(path: str, text: str, grammar: Grammar) -> Iterator[Described]:
    lines = text.split("\n")
    waiting = [nest(grammar.read(path, text).definitions, lines, grammar.above)]
    while waiting:
        scope = waiting.pop()
        above = lines[scope.start : scope.span.start[0]]
        words = "\n".join(_MARKS.sub("", line[:_READ]) for line in above if not _ATTRIBUTE.match(line))
        if words.strip() and scope.symbol and scope.span.kind in ("function", "class"):
            yield Described(_scoped(path, scope), words)
        waiting += reversed(scope.inside)


def _scoped(path: str, scope: Scope) -> Definition:
    kind: Literal["class", "function"] = "class" if scope.span.kind == "class" else "function"
    start = scope.span.head + 1
    return Definition(path=path, symbol=scope.symbol, kind=kind, start_line=start, end_line=max(start, scope.end))


def _without_name(sentence: str, name: str) -> tuple[str, bool]:
    """As in Go, where a comment begins with the name: `Close closes the file` -> `closes the file`, and that a verb begins it."""
    rest = sentence.removeprefix(f"{name} ")
    return (rest, True) if rest != sentence else (sentence, False)


def _named(name: str, question: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", question, re.IGNORECASE) is not None


def _holds(citation: Citation, definition: Definition) -> bool:
    if citation.path != definition.path:
        return False
    begins = citation.start_line <= definition.start_line <= citation.end_line
    return begins or (citation.symbol == definition.symbol and citation.start_line <= definition.end_line)
