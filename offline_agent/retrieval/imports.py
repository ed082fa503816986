"""From what an import says to paths in the repository's style, without an ending: `from a.b import c` -> a/b, a/b/c.

Nothing is looked up: whether there is such a file is for who reads the paths. They are relative to the repository's root where the
import is relative to the importing file, else to whatever root the language has (`src/`, a package directory).
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

_COMMENT = re.compile(r"#[^\n]*|//[^\n]*|/\*.*?\*/", re.DOTALL)
_PYTHON_FROM = re.compile(r"\s*from\s*(\.*)\s*([\w.]*)\s*import\b(.*)", re.DOTALL)
_ENDING = re.compile(
    r"\.(?:[cm]?[jt]sx?|d\.ts|json|vue|svelte|css|scss|less|h|hh|hpp|hxx|inl|c|cc|cpp|rb|php|inc|sh|bash|py)$"
)
_WORD = re.compile(r"[\w.]+")
_ALIAS = re.compile(r" as \w+")
_JAVASCRIPT_CALL = re.compile(r"""(?:require|import)\s*\(\s*["']([^"'\n]+)["']""")
_CALL = re.compile(r"\w+\s*\(")
_RUBY_CALL = re.compile(r"(?:require|require_relative|load|autoload)\b")
_SHELL_CALL = re.compile(r"(?:source|\.)\s+(\S.*)")
_STRING = re.compile(r"""["']([^"'\n]+)["']""")
_PATH_LIKE = re.compile(r"[\w./@+~-]+")
_LONGEST = 300  # characters of a path
_MOST = 2000  # paths of one file
_RUST_ROOTS = ("mod", "lib", "main")


def targets(style: str, path: str, imports: Iterable[str]) -> list[str]:
    """The paths that a file imports, each once and in order. `style` is a key of `languages.toml`'s `imports`.

    Raises KeyError for a style that is not known.
    """
    read = _STYLES[style]
    found: dict[str, None] = {}
    for one in imports:
        if len(found) > _MOST:
            break
        found.update((target, None) for target in read(one, path) if target and len(target) <= _LONGEST)
    return list(found)


def _python(statement: str, path: str) -> Iterator[str]:
    statement = _COMMENT.sub("", statement).replace("\\\n", " ")
    match = _PYTHON_FROM.match(statement)
    if match is None:
        names = statement.replace("import", "", 1).split(",")
        yield from (_slashes(words[0]) for name in names if (words := name.split()))
        return
    dots, module, names_text = match.groups()
    base = _slashes(module)
    if dots:
        base = _above(path, len(dots) - 1, base)
    yield base
    for name in names_text.strip(" ()\r\n\t").split(","):
        words = _WORD.findall(name)
        if words:
            yield f"{base}/{words[0]}" if base else words[0]


def _javascript(source: str, path: str) -> Iterator[str]:
    """The string of an import statement, or a call, such as `require("./x")`; other calls are none."""
    if (call := _JAVASCRIPT_CALL.match(source)) is not None:
        source = call[1]
    elif _CALL.match(source):
        return
    source = source.partition("?")[0]
    if source.startswith("."):
        yield _beside(path, _ENDING.sub("", source))
    else:
        yield _ENDING.sub("", source.removeprefix("@/").removeprefix("~/").removeprefix("node:")).strip("/")


def _path(source: str, path: str) -> Iterator[str]:
    """`"x/y.h"`, `<vector>`, `example.com/module/package`."""
    source = source.strip("\"'<>` ")
    yield _beside(path, _ENDING.sub("", source)) if source.startswith(".") else _ENDING.sub("", source).strip("/")


def _dotted(statement: str, path: str) -> Iterator[str]:
    """`import static a.b.C.d;`, `import a.b.*;`, `using X = A.B.C;`."""
    words = _COMMENT.sub("", statement).rpartition("=")[2].replace("global::", "").strip(" ;\r\n").split()
    if words:
        yield _slashes(words[-1].removesuffix(".*"))


def _rust(statement: str, path: str) -> Iterator[str]:
    statement = _COMMENT.sub("", statement).strip()
    if statement.startswith(("mod ", "pub")) and statement.endswith(";"):
        yield f"{_rust_module(path)}/{statement.rstrip(' ;').split()[-1]}".strip("/")
        return
    for name in _expanded(_ALIAS.sub("", _one_line(statement))):
        steps = [step for step in name.split("::") if step not in ("", "*", "self")]
        relative = name.startswith(("self::", "super::"))
        base = _rust_module(path) if relative else ""
        while steps and steps[0] in ("super", "crate"):
            if steps.pop(0) == "super":
                base = posixpath.dirname(base)
        yield "/".join(filter(None, [base, *steps]))


def _php(statement: str, path: str) -> Iterator[str]:
    if not statement.startswith("use"):
        string = _STRING.search(statement)
        if string is not None:
            source = _ENDING.sub("", string[1])
            yield _beside(path, f"./{source.lstrip('/')}") if "__DIR__" in statement else source.lstrip("/")
        return
    body = _one_line(_COMMENT.sub("", statement)).removeprefix("use").strip(" ;")
    body = body.removeprefix("function ").removeprefix("const ")
    for name in _expanded(body):
        yield name.partition(" as ")[0].strip(" \\").replace("\\", "/")


def _ruby(statement: str, path: str) -> Iterator[str]:
    string = _STRING.search(statement)
    if string is not None and _RUBY_CALL.match(statement):
        source = _ENDING.sub("", string[1])
        relative = statement.startswith("require_relative") or source.startswith(".")
        yield _beside(path, f"./{source}") if relative else source.strip("/")


def _shell(command: str, path: str) -> Iterator[str]:
    """`source "$(dirname "$0")/lib/x.sh"` -> lib/x: what comes before the last `)`, `}` or variable is not known here."""
    call = _SHELL_CALL.match(command)
    if call is None:
        return
    tail = re.split(r"[)}]|\$\w+", call[1].strip("\"'"))[-1].strip("\"'")
    if _PATH_LIKE.fullmatch(tail):
        plain = _ENDING.sub("", tail)
        yield _beside(path, plain) if plain.startswith(".") else plain.strip("/")


_STYLES: dict[str, Callable[[str, str], Iterator[str]]] = {
    "python": _python,
    "javascript": _javascript,
    "path": _path,
    "dotted": _dotted,
    "rust": _rust,
    "php": _php,
    "ruby": _ruby,
    "shell": _shell,
}


def _slashes(dotted: str) -> str:
    return dotted.replace(".", "/").strip("/")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _beside(path: str, relative: str) -> str:
    """A path relative to the directory of `path`; empty when it leads out of the repository."""
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))
    return "" if joined.startswith("..") or joined == "." else joined.strip("/")


def _above(path: str, levels: int, rest: str) -> str:
    directory = posixpath.dirname(path)
    for _ in range(levels):
        directory = posixpath.dirname(directory)
    return f"{directory}/{rest}".strip("/")


def _rust_module(path: str) -> str:
    """The directory that a file's submodules are in: `src/a.rs` -> src/a, `src/a/mod.rs` -> src/a, `src/lib.rs` -> src."""
    stem = path.rpartition(".")[0]
    return posixpath.dirname(stem) if stem.rpartition("/")[2] in _RUST_ROOTS else stem


def _expanded(tree: str) -> Sequence[str]:
    """`a::{b, c::{d, e}}` -> a::b, a::c::d, a::c::e, by a stack of what stands before each brace."""
    found: list[str] = []
    before, word, nested = [""], "", False
    for character in f"{tree},":
        if character == "{":
            before.append(before[-1] + word.strip())
            word = ""
        elif character in ",}":
            if word.strip() and not nested:
                found.append(before[-1] + word.strip())
            word, nested = "", character == "}"
            if nested and len(before) > 1:
                before.pop()
        else:
            word += character
            nested = nested and character == " "
    return found
