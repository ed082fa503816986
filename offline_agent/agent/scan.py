"""Source text that may be cut off anywhere -> where its comments, strings and brackets are, without a parser.

A chunk is a piece of a file, and a part has no grammars: regular expressions step over comments and strings whole, and what is
left is searched in copies of the same length, so that a place in a copy is a place in the text.
"""

import re
from typing import NamedTuple

_BLOCK = r"/\*.*?(?:\*/|\Z)"
_SLASHES = r"//[^\n]*"
_DOUBLE = r'"(?:\\.|[^"\\\n])*"?'
_SINGLE = r"'(?:\\.|[^'\\\n])*'?"
_TRIPLE = r'"""(?:\\.|[^\\])*?(?:"""|\Z)'
_CHARACTER = r"'(?:\\[^\n][^'\n]{0,10}|[^'\\\n])'"  # one character: `'` also begins a lifetime of Rust
_BACKTICK = r"`(?:\\.|[^`\\])*(?:`|\Z)"
_REGEX = r"(?<=[=(,:])\s*/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/"

# Every `<` could begin type parameters, so what is looked at for each is bounded.
_LONGEST_GENERICS = 1000
_DEEPEST_GENERICS = 20


class Language(NamedTuple):
    """How comments and strings are written, and what else of a language matters where a definition is described.

    `generics`: type parameters may stand between a name and its `(`. `assigned`: a function may be the value of its name.
    `documented`: where documentation stands, `above` the definition or as a string `below` its header. `bare`: never has
    parenthesised parameters.
    """

    comments: str
    strings: str
    generics: bool = False
    assigned: bool = False
    documented: str = "above"
    bare: bool = False


_SLASHED = rf"{_BLOCK}|{_SLASHES}"
_PYTHON = Language(
    r"\#[^\n]*", rf"{_TRIPLE}|'''(?:\\.|[^\\])*?(?:'''|\Z)|{_DOUBLE}|{_SINGLE}", True, documented="below"
)
_SCRIPT = Language(_SLASHED, rf"{_BACKTICK}|{_DOUBLE}|{_SINGLE}|{_REGEX}", generics=True, assigned=True)
_GO = Language(_SLASHED, rf"`[^`]*(?:`|\Z)|{_DOUBLE}|{_CHARACTER}", generics=True)
_RUST = Language(_SLASHED, rf'r(?P<marks>\#*)".*?(?:"(?P=marks)|\Z)|{_DOUBLE}|{_CHARACTER}', generics=True)
_C = Language(_SLASHED, rf'R"(?P<mark>\w*)\(.*?(?:\)(?P=mark)"|\Z)|{_DOUBLE}|{_CHARACTER}', generics=True)
_JAVA = Language(_SLASHED, rf"{_TRIPLE}|{_DOUBLE}|{_CHARACTER}", generics=True)
_C_SHARP = Language(_SLASHED, rf'{_TRIPLE}|\$?@\$?"(?:""|[^"])*"?|{_DOUBLE}|{_CHARACTER}', generics=True)
_PHP = Language(rf"{_BLOCK}|{_SLASHES}|\#(?!\[)[^\n]*", rf"{_DOUBLE}|{_SINGLE}")
_RUBY = Language(r"(?<![^\s;])\#[^\n]*", rf"{_DOUBLE}|{_SINGLE}|{_BACKTICK}")
_SHELL = Language(r"(?<![^\s;])\#[^\n]*", rf"{_DOUBLE}|'[^']*'?", bare=True)

# The endings of index/languages.toml, which says how the files are cut; a test holds the two together.
_ENDINGS = {
    ".py .pyi .pyw .ipynb": _PYTHON,
    ".js .jsx .mjs .cjs .ts .mts .cts .tsx": _SCRIPT,
    ".go": _GO,
    ".rs": _RUST,
    ".c .h .cc .cpp .cxx .c++ .hh .hpp .hxx .h++ .ipp .inl .tpp .cu .cuh": _C,
    ".java": _JAVA,
    ".cs .csx": _C_SHARP,
    ".rb .rake .gemspec .ru": _RUBY,
    ".php .phtml .inc": _PHP,
    ".sh .bash .ksh .zsh .bats": _SHELL,
}
_BY_ENDING = {ending: language for endings, language in _ENDINGS.items() for ending in endings.split()}
# A file without an ending is known by its `#!` line, which few of its chunks have; what they look like has to do.
_GUESSES = (
    (re.compile(r"<\?php|\bfunction\s+&?\w+\s*\([^)]*\$"), _PHP),
    (
        re.compile(r"\b(?:const|let|var)\s+\w+\s*=|=>|\bfunction\s*\w*\s*\(\s*[\w{\[]|^\s*class\s[^:\n]*\{", re.M),
        _SCRIPT,
    ),
    (re.compile(r"^\s*end\b|^\s*def\s+[^:]*$", re.M), _RUBY),
    (re.compile(r"^\s*(?:async\s+def|def|class)\b", re.M), _PYTHON),
    (re.compile(r"^\s*(?:function\s+)?[\w:.-]+\s*(?:\(\s*\)\s*)?\{", re.M), _SHELL),
)


def language_of(path: str, text: str) -> Language:
    """The language of a file, by its ending, or by the looks of a piece of it."""
    _, dot, ending = path.rpartition("/")[2].rpartition(".")
    known = _BY_ENDING.get(f".{ending.lower()}") if dot else None
    return known or next((guess for looks, guess in _GUESSES if looks.search(text)), _PYTHON)


class Code(NamedTuple):
    """A text and, of the same length, `plain`: the text without what comments and strings hold; `shallow`: `plain` without what
    brackets hold, braces excepted. `comments` and `strings` are spans."""

    text: str
    plain: str
    shallow: str
    comments: list[tuple[int, int]]
    strings: list[tuple[int, int]]


def scan(text: str, language: Language) -> Code:
    """The text with its comments and strings set apart."""
    token = re.compile(rf"(?P<comment>{language.comments})|(?P<string>{language.strings})", re.DOTALL)
    spans: dict[str, list[tuple[int, int]]] = {"comment": [], "string": []}
    plain, at = [], 0
    for match in token.finditer(text):
        kind = "comment" if match["comment"] is not None else "string"
        spans[kind].append(match.span())
        blank = " " if kind == "comment" else "\0"
        plain += [text[at : match.start()], re.sub(r"[^\n]", blank, match[0])]
        at = match.end()
    plain.append(text[at:])
    whole = "".join(plain)
    return Code(text, whole, _shallow(whole), spans["comment"], spans["string"])


def _shallow(plain: str) -> str:
    pieces, depth = [], 0
    for piece in re.split(r"([()\[\]])", plain):
        depth -= piece in (")", "]") and depth > 0
        pieces.append(re.sub(r"[^\n]", " ", piece) if depth else piece)
        depth += piece in ("(", "[")
    return "".join(pieces)


def closing(plain: str, opening: int, limit: int | None = None) -> int | None:
    """Where the bracket at `opening` is closed; None where the text, or what lies before `limit`, ends first."""
    depth = 0
    for mark in re.compile(r"[()\[\]{}]").finditer(plain, opening, len(plain) if limit is None else limit):
        depth += 1 if mark[0] in "([{" else -1
        if depth == 0:
            return mark.start()
    return None


def past_generics(plain: str, at: int) -> int:
    """Past type parameters that begin at `at` (`<T: Fn(u8) -> u8>`, `[K any]`); `at` itself where there are none."""
    limit = at + _LONGEST_GENERICS
    if plain[at : at + 1] == "[":
        end = closing(plain, at, limit)
        return at if end is None else end + 1
    mark = re.compile(r"->|=>|[<>()\[\]{};]")
    depth, place = 0, at
    while plain[at : at + 1] == "<" and (found := mark.search(plain, place, limit)):
        end = closing(plain, found.start(), limit) if found[0] in ("(", "[", "{") else found.end() - 1
        depth += (found[0] == "<") - (found[0] == ">")
        if end is None or found[0] in (")", "]", "}", ";") or depth > _DEEPEST_GENERICS:
            break
        place = end + 1
        if depth == 0:
            return place
    return at


def one_line(code: Code, start: int, end: int) -> str:
    """A span of the text on one line: strings as they are, without comments that would swallow what comes after them."""
    pieces: list[str] = []
    at = start
    for first, last in sorted([*code.strings, *code.comments]):
        if start <= first and last <= end:
            _add(pieces, code.text[at:first])
            token = code.text[first:last]
            if (first, last) in code.strings or token.startswith("/*"):
                pieces.append(" ".join(token.split()) if "\n" in token else token)
            at = last
    _add(pieces, code.text[at:end])
    return "".join(pieces).strip()


def _add(pieces: list[str], between: str) -> None:
    """With white space made one space, also where a comment is left out."""
    text = re.sub(r"\s+", " ", between)
    pieces.append(text.lstrip() if pieces and pieces[-1].endswith(" ") else text)
