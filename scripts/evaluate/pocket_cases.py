"""What the built-in model is asked: made from the definitions of packages that are held out, in phrasings that are held out."""

import random
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from offline_agent.agent.naming import closeness, words_of
from scripts.pocket import extract, phrases
from scripts.pocket.chunks import Chunk, as_chunk
from scripts.pocket.questions import QuestionWriter
from scripts.pocket.words import EMPTY, Words

REPOSITORIES = {
    "click": ("click",), "httpx": ("httpx",), "jinja2": ("jinja2",), "requests": ("requests",), "rich": ("rich",),
    "urllib3": ("urllib3",),
    "stdlib": ("argparse", "asyncio", "email", "json", "logging", "sqlite3", "tarfile", "zipfile"),
}  # fmt: skip
"""Repositories, and the packages that are copied into each: all are held out of the training data whole, by name."""
_WORDS = 3  # of a description, at least
SHARES = {"named": 9, "which": 4, "none": 4, "tool": 7, "code": 1.3, "other": 1.3, "hello": 1}


@dataclass(frozen=True)
class Asked:
    """A question with what a right answer cites: `symbols` as (path, symbol), for `none` and requests nothing."""

    repository: str
    kind: str
    text: str
    core: str
    name: str = ""
    arguments: tuple[str, ...] = ()
    symbols: tuple[tuple[str, str], ...] = ()


def repository(name: str, place: Path) -> tuple[Path, list[extract.Span]]:
    """A copy of the packages, and their definitions."""
    root, files = place / name, extract.package_files()
    spans: list[extract.Span] = []
    for package in REPOSITORIES[name]:
        for base, file in files[package]:
            target = root / file.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        spans += extract.spans_of(package, files[package])
    return root, [span for span in spans if span.path.endswith(".py")]


def questions_about(name: str, spans: Sequence[extract.Span], count: int, seed: int) -> Iterator[Asked]:
    rng = random.Random(seed)
    writer = QuestionWriter(Words(spans, rng), rng, phrases.cores("held_out"), varied=False)
    defined = [as_chunk(span, extract.EXCERPT_LINES) for span in spans if span.symbol]
    text = "\n".join(line for span in spans for line in [*span.lines, *span.rest])
    words = set(re.findall(r"\w+", text))
    kinds = rng.choices(list(SHARES), list(SHARES.values()), k=count)
    for kind in kinds:
        while (asked := _asked(name, kind, writer, defined, words)) is None:
            pass
        yield asked


def _asked(name: str, kind: str, writer: QuestionWriter, defined: Sequence[Chunk], words: set[str]) -> Asked | None:
    rng = writer.rng
    chunk = rng.choice([each for each in defined if not each.symbol.rpartition(".")[2].startswith("__")])
    question = writer.question(kind, [chunk])
    if question is None:
        return None
    asked = Asked(name, question.intent, question.text, question.core, question.name, question.arguments)
    if kind == "named":
        return _with_symbols(asked, named(question.name, defined))
    if kind == "which":
        same = [each for each in defined if each == chunk or _words(each.sentence) == _words(chunk.sentence)]
        return _with_symbols(asked, same) if describes(question.text, chunk) else None
    if kind == "none":
        nowhere = not named(question.name, defined) and question.name.rpartition(".")[2] not in words
        return _with_symbols(Asked(name, "none", question.text, question.core, question.name), []) if nowhere else None
    return asked


def _words(sentence: str) -> list[str]:
    return re.findall(r"\w+", sentence.lower())


def describes(text: str, chunk: Chunk) -> bool:
    """Whether three words of a text that say something are of the docstring or the name: two could mean anything."""
    said = set(re.findall(r"[a-z]{3,}", chunk.sentence.lower())) | set(words_of(chunk.symbol))
    return bool(chunk.sentence) and len(said & set(re.findall(r"[a-z]{3,}", text.lower())) - EMPTY) >= _WORDS


def _with_symbols(asked: Asked, chunks: Sequence[Chunk]) -> Asked:
    return Asked(**{**asdict(asked), "symbols": tuple((chunk.path, chunk.symbol) for chunk in chunks)})


def named(name: str, defined: Sequence[Chunk]) -> list[Chunk]:
    """The definitions that a name means best."""
    fits = [(closeness(re.sub(r"::|#", ".", name), chunk), chunk) for chunk in defined]
    best = min((fit for fit, _ in fits if fit), default=0)
    return [chunk for fit, chunk in fits if fit and fit == best]
