"""Source text on this machine -> spans: what the program's own index would hold, cut the same way.

Nothing is downloaded. The text is the standard library and the packages of the running environment. Some packages are
held out whole, by name; training spans that share a docstring or a name and head with a held-out span are dropped, so
that a copy of a function cannot leak into the evaluation.
"""

import ast
import hashlib
import json
import random
import re
import sysconfig
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

EXCERPT_LINES = 10
PART_LINES = 26  # of a definition go into one chunk, about
FILES_PER_PACKAGE = 200
MAX_FILE_BYTES = 160_000
MAX_LINE = 160

SKIPPED_PACKAGES = {
    "google",
    "idlelib",
    "kubernetes",
    "lib2to3",
    "offline_agent",
    "pip",
    "pydoc_data",
    "site-packages",
    "test",
    "turtledemo",
}
SKIPPED_DIRECTORIES = {"__pycache__", "_vendor", "vendored", "_distutils"}
HELD_OUT = {
    "anyio", "argparse", "asyncio", "attr", "click", "email", "filelock", "flask", "httpx", "httpx2", "hypothesis", "jinja2",
    "joblib", "json", "logging", "mpmath", "networkx", "prompt_toolkit", "pygments", "requests", "rich", "sqlite3", "tarfile",
    "tqdm", "typer", "urllib3", "uvicorn", "watchdog", "zipfile",
}  # fmt: skip


@dataclass(frozen=True)
class Span:
    """A piece of a file as the index would cut it. `symbol` is empty for prose and module-level code."""

    package: str
    held_out: bool
    path: str
    start: int
    end: int
    symbol: str
    kind: str  # function, method, class, module, text
    lines: list[str] = field(default_factory=list)
    sentence: str = ""  # the first sentence of the docstring
    rest_start: int = 0  # a long definition is indexed in parts; `rest` is how a later one begins, at this line
    rest: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last part of the symbol; empty where there is none."""
        return self.symbol.rsplit(".", 1)[-1]


def first_sentence(docstring: str) -> str:
    """Up to the first full stop of the first paragraph, on one line; the whole paragraph where it has none."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    found = re.match(r"(.+?[.!?])(\s|$)", paragraph)
    return found.group(1) if found else paragraph


def package_files() -> dict[str, list[tuple[Path, Path]]]:
    """Every package with its files, each with the root its path is relative to."""
    found: dict[str, list[tuple[Path, Path]]] = {}
    for root in (Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))):
        for entry in sorted(root.iterdir()):
            package = entry.name.split("-")[0] if entry.suffix == ".dist-info" else entry.stem
            if package in SKIPPED_PACKAGES or entry.suffix == ".pth":
                continue
            found.setdefault(package.lower(), []).extend((root, path) for path in files_under(entry))
    return found


def files_under(entry: Path) -> Iterator[Path]:
    """The Python and documentation files of a package, in a fixed order."""
    if entry.is_file():
        if entry.suffix == ".py":
            yield entry
        return
    for path in sorted(entry.rglob("*")):
        readable = path.suffix in {".py", ".md", ".rst"} or path.name == "METADATA"
        if readable and not SKIPPED_DIRECTORIES & set(path.parts) and path.is_file():
            yield path


def spans_of(package: str, files: list[tuple[Path, Path]]) -> Iterator[Span]:
    """The spans of some files of a package, each given with the root that paths are relative to; what is not ASCII is left out."""
    chosen = list(files)
    random.Random(package).shuffle(chosen)
    held_out = package in HELD_OUT
    for root, path in chosen[:FILES_PER_PACKAGE]:
        if path.stat().st_size > MAX_FILE_BYTES:
            continue
        source = path.read_text(encoding="utf-8", errors="replace")
        if not source.isascii():
            continue
        relative = path.relative_to(root).as_posix()
        cut = python_spans if path.suffix == ".py" else prose_spans
        text = source.split("\n")
        for start, end, symbol, kind, lines, sentence in cut(source):
            if len(lines) > 0 and all(len(line) < MAX_LINE for line in lines):
                rest_start, rest = later_part(text, start, end) if symbol else (0, [])
                yield Span(package, held_out, relative, start, end, symbol, kind, lines, sentence, rest_start, rest)


Cut = tuple[int, int, str, str, list[str], str]


def python_spans(source: str) -> Iterator[Cut]:
    """Definitions, then what stands between them; nothing where the source does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    lines = source.split("\n")
    yield from definitions(tree.body, lines, "")
    yield from module_windows(tree.body, lines)


def definitions(body: Iterable[ast.stmt], lines: list[str], owner: str) -> Iterator[Cut]:
    """Functions, methods and the heads of classes, down into the classes, with their decorators."""
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        last = node.end_lineno or node.lineno
        symbol = f"{owner}.{node.name}" if owner else node.name
        sentence = first_sentence(ast.get_docstring(node) or "")
        if isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
            head_end = max(first, first_line(methods[0]) - 1) if methods else last
            yield first, head_end, symbol, "class", excerpt(lines, first, head_end), sentence
            yield from definitions(node.body, lines, symbol)
        else:
            yield first, last, symbol, "method" if owner else "function", excerpt(lines, first, last), sentence


def first_line(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Of a function, its decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def excerpt(lines: list[str], start: int, end: int) -> list[str]:
    """The first lines of lines `start` to `end`, counted from 1, without their common indent."""
    text = textwrap.dedent("\n".join(lines[start - 1 : min(end, start + EXCERPT_LINES - 1)]))
    return text.rstrip().split("\n")


def later_part(lines: list[str], start: int, end: int) -> tuple[int, list[str]]:
    """Where the second part of a long definition begins, after a blank line if there is one, and its first lines."""
    if end - start < PART_LINES + 5:
        return 0, []
    blank = [row for row in range(start + PART_LINES // 2, start + PART_LINES) if not lines[row - 1].strip()]
    begin = blank[-1] + 1 if blank else start + PART_LINES
    rest = excerpt(lines, begin, end)
    return (begin, rest) if rest[0].strip() and all(len(line) < MAX_LINE for line in rest) else (0, [])


def module_windows(body: list[ast.stmt], lines: list[str]) -> Iterator[Cut]:
    """Imports, constants and the rest between definitions: runs of module-level statements."""
    run: list[ast.stmt] = []
    for node in [*body, None]:
        if node is not None and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            run.append(node)
            continue
        if run:
            start, end = run[0].lineno, run[-1].end_lineno or run[-1].lineno
            yield start, end, "", "module", excerpt(lines, start, end), ""
        run = []


def prose_spans(source: str) -> Iterator[Cut]:
    """Paragraphs of README and documentation files, headings with what follows them."""
    line = 1
    for paragraph in re.split(r"\n\s*\n(?=\S)", source):
        lines = paragraph.rstrip().split("\n")
        if 1 < len(lines) < 60 and not lines[0].startswith(("Classifier:", "Metadata-Version:")):
            yield line, line + len(lines) - 1, "", "text", lines[:EXCERPT_LINES], ""
        line += paragraph.count("\n") + 2


def keep_share(span: Span, rng: random.Random) -> bool:
    """Dunder methods and symbol-less spans are everywhere; a quarter of them is plenty."""
    if span.name.startswith("__") or not span.symbol:
        return rng.random() < 0.25
    return len(span.symbol) < 48


def without_leaks(spans: list[Span]) -> list[Span]:
    """Without training spans that share a docstring, or a name and first line, with a held-out one."""
    held_out = [span for span in spans if span.held_out]
    sentences = {span.sentence for span in held_out if len(span.sentence) > 30}
    heads = {(span.symbol, span.lines[0]) for span in held_out if span.symbol}
    return [
        span
        for span in spans
        if span.held_out or (span.sentence not in sentences and (span.symbol, span.lines[0]) not in heads)
    ]


def extract(target: Path) -> None:
    """Write every usable span to `target`, one JSON object a line."""
    warnings.simplefilter("ignore")  # old syntax in other people's files
    rng, seen, spans = random.Random(0), set(), []
    packages = package_files()
    for count, package in enumerate(sorted(packages), 1):
        for span in spans_of(package, packages[package]):
            digest = hashlib.sha256("\n".join(span.lines).encode()).digest()
            if digest not in seen and keep_share(span, rng):
                seen.add(digest)
                spans.append(span)
        print(f"\r  {count}/{len(packages)} packages, {len(spans)} spans", end="", flush=True)
    spans = without_leaks(spans)
    held_out = sum(span.held_out for span in spans)
    print(f"\n  {len(spans) - held_out} spans to train on, {held_out} held out")
    temporary = target.with_suffix(".partial")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(span)) + "\n" for span in spans)
    temporary.replace(target)


def load(source: Path) -> list[Span]:
    """The spans that `extract` wrote."""
    with source.open(encoding="utf-8") as file:
        return [Span(**json.loads(line)) for line in file]
