"""What a search might return: chunks that resemble each other, mostly disguised.

Names, paths and line numbers of training chunks are mostly replaced by random ones, the same way throughout a context, so
that the only thing to learn is to read. The look-alikes are on purpose: callers of the definition asked for, tests of it,
names that are nearly its name, the same method of another class, other pieces of the same file.
"""

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import languages
from .extract import EXCERPT_LINES, Span
from .words import EMPTY, Words, split_words


@dataclass(frozen=True)
class Size:
    """How big the contexts of a training stage are."""

    chunks: tuple[int, int]
    lines: int
    context_tokens: int
    parts: float = 0.0  # how often a long definition shows up in two parts


SHORT = Size(chunks=(1, 4), lines=5, context_tokens=256)
FULL = Size(chunks=(1, 5), lines=EXCERPT_LINES, context_tokens=704, parts=0.25)


FOREIGN_SHARE = 0.25  # of the contexts are in another language


@dataclass(frozen=True)
class Chunk:
    """One excerpt as a search would return it: lines `start` to `end` of `path`, of which `lines` are shown, at most ten.

    `symbol` is dotted, and empty for prose and module code; `sentence` is the first one of the docstring, `kind` as in Span.
    """

    path: str
    start: int
    end: int
    symbol: str
    lines: tuple[str, ...]
    sentence: str
    kind: str
    rest_start: int = 0
    rest: tuple[str, ...] = ()
    part: bool = False  # a later part of the definition, which the symbol names all the same

    def later_part(self, lines: int) -> "Chunk":
        """The second part of a long definition, as the index would hold it: at most `lines` lines, and no docstring."""
        return replace(self, start=self.rest_start, lines=self.rest[:lines], sentence="", rest=(), part=True)

    def render(self, number: int) -> str:
        """The header `[number] path:start-end symbol` and the excerpt, as the program writes them into a prompt."""
        return "\n".join([f"[{number}] {self.path}:{self.start}-{self.end} {self.symbol}".rstrip(), *self.lines])


def render(chunks: Sequence[Chunk]) -> str:
    """All excerpts of a prompt, numbered from 1, a blank line between them."""
    return "\n\n".join(chunk.render(i) for i, chunk in enumerate(chunks, 1))


def as_chunk(span: Span, lines: int) -> Chunk:
    """A span with its first `lines` lines; of a long path only the last two parts, as prompts have few tokens."""
    path = span.path if len(span.path) <= 60 else "/".join(span.path.split("/")[-2:])
    return Chunk(
        path,
        span.start,
        span.end,
        span.symbol,
        tuple(span.lines[:lines]),
        span.sentence,
        span.kind,
        span.rest_start,
        tuple(span.rest),
    )


def substitute(chunk: Chunk, names: dict[str, str]) -> Chunk:
    """The chunk with every whole word of `names` replaced by what it stands for, wherever it occurs."""
    if not names:
        return chunk
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, names)) + r")\b")

    def swap(text: str) -> str:
        return pattern.sub(lambda found: names[found[0]], text)

    return replace(
        chunk,
        symbol=swap(chunk.symbol),
        lines=tuple(map(swap, chunk.lines)),
        sentence=swap(chunk.sentence),
        rest=tuple(map(swap, chunk.rest)),
    )


class Library:
    """Spans with the indexes that find look-alikes among them."""

    def __init__(self, spans: Sequence[Span], rng: random.Random) -> None:
        self.rng = rng
        self.named = [span for span in spans if span.symbol]
        self.unnamed = [span for span in spans if not span.symbol]
        self.described = [span for span in self.named if span.sentence]
        self.by_word: dict[str, list[Span]] = defaultdict(list)
        self.by_said: dict[str, list[Span]] = defaultdict(list)
        self.by_path: dict[str, list[Span]] = defaultdict(list)
        self.by_name: dict[str, list[Span]] = defaultdict(list)
        self.callers: dict[str, list[Span]] = defaultdict(list)
        for span in self.named:
            self.by_path[span.path].append(span)
            self.by_name[span.name].append(span)
            for word in set(split_words(span.symbol)):
                self.by_word[word].append(span)
            for word in said_in(span):
                self.by_said[word].append(span)
            for called in set(re.findall(r"(\w+)\(", "\n".join(span.lines[1:]))):
                self.callers[called].append(span)

    def subject(self) -> Span:
        """A definition to ask about; one with a docstring more often than chance has it, since `which` needs descriptions."""
        return self.rng.choice(self.described if self.rng.random() < 0.65 else self.named)

    def like(self, span: Span) -> Span:
        """A distractor for `span`."""
        draw, rng = self.rng.random(), self.rng
        if draw < 0.12 and self.unnamed:
            return rng.choice(self.unnamed)
        if draw < 0.36:
            return rng.choice(self.by_word[rng.choice(split_words(span.symbol) or ["get"])] or self.named)
        if draw < 0.58:
            return rng.choice(self.by_said[rng.choice(sorted(said_in(span)) or ["get"])] or self.named)
        if draw < 0.7:
            return rng.choice(self.by_path[span.path])
        if draw < 0.78:
            return rng.choice(self.by_name[span.name])
        if draw < 0.86:
            return rng.choice(self.callers.get(span.name) or self.named)
        return rng.choice(self.named)


def said_in(span: Span) -> set[str]:
    """The words of the docstring's first sentence that say something."""
    return set(re.findall(r"[a-z]{4,}", span.sentence.lower())) - EMPTY


class ChunkWriter:
    """Training chunks are disguised; held-out ones keep their real names, paths and lines."""

    def __init__(self, library: Library, words: Words, rng: random.Random, held_out: bool) -> None:
        self.library, self.words, self.rng, self.held_out = library, words, rng, held_out

    def chunks(self, size: Size) -> list[Chunk]:
        """Chunks with different symbols, at least one of them named, best guess at a search result's mixture."""
        rng = self.rng
        while True:
            subject = self.library.subject()
            related = rng.random() < 0.7
            spans = [subject]
            for _ in range(max(rng.randint(*size.chunks), rng.randint(*size.chunks)) - 1):
                spans.append(self.library.like(subject) if related else self.library.subject())
            chunks = [as_chunk(span, self.lines(size)) for span in spans]
            if not self.held_out:
                chunks = self.disguise(chunks)
            chunks = self.with_test(chunks)
            if not self.held_out and rng.random() < FOREIGN_SHARE:
                language = rng.choice(list(languages.LANGUAGES))
                chunks = [self.foreign(chunk, language) for chunk in chunks]
            rng.shuffle(chunks)
            symbols = [chunk.symbol for chunk in chunks if chunk.symbol]
            if symbols and len(set(symbols)) == len(symbols) and len(set(chunks)) == len(chunks):
                return self.with_parts(chunks, size) if size.parts else chunks

    def lines(self, size: Size) -> int:
        """How many lines an excerpt shows: half of the time all there is room for, else any number from one."""
        return size.lines if self.rng.random() < 0.5 else self.rng.randint(1, size.lines)

    def disguise(self, chunks: list[Chunk]) -> list[Chunk]:
        """The same new names throughout the context, so that a caller still calls what it called."""
        rng, names = self.rng, {}
        for chunk in chunks:
            for i, part in enumerate(reversed(chunk.symbol.split(".") if chunk.symbol else [])):
                if part not in names and not part.startswith("__") and rng.random() < 0.7:
                    names[part] = self.words.identifier(class_like=i > 0 or chunk.kind == "class")
        subject = names.get(chunks[0].symbol.rsplit(".", 1)[-1], chunks[0].symbol.rsplit(".", 1)[-1])
        for chunk in chunks[1:]:
            own = chunk.symbol.rsplit(".", 1)[-1]
            if own and own != chunks[0].symbol.rsplit(".", 1)[-1] and rng.random() < 0.2:
                same = chunk.kind == "method" and rng.random() < 0.5
                names[own] = subject if same else self.words.near(subject)
        moved = {chunk.path: self.words.path() for chunk in chunks if rng.random() < 0.6}
        return [self.move(substitute(chunk, names), moved.get(chunk.path, chunk.path)) for chunk in chunks]

    def move(self, chunk: Chunk, path: str) -> Chunk:
        """The chunk in another file, mostly at another line."""
        start = chunk.start
        if self.rng.random() < 0.7:
            start = self.rng.randint(1, self.rng.choice([99, 999, 3000]))
        moved = start - chunk.start
        return replace(chunk, path=path, start=start, end=chunk.end + moved, rest_start=chunk.rest_start + moved)

    def with_test(self, chunks: list[Chunk]) -> list[Chunk]:
        """Sometimes the last chunk becomes a test of the first: it uses the name and does not define it."""
        rng, subject = self.rng, chunks[0]
        if len(chunks) < 2 or not subject.symbol or rng.random() > 0.15:
            return chunks
        name = subject.symbol.rsplit(".", 1)[-1]
        stem = subject.path.rsplit("/", 1)[-1].split(".")[0]
        owner = subject.symbol.split(".")[0]
        call = f"{owner.lower()}.{name}" if "." in subject.symbol else name
        word, value = rng.choice(self.words.names), rng.randint(0, 99)
        lines = [
            rng.choice(
                [f"def test_{name.lower()}():", f"def test_{name.lower()}_{word}():", f"def test_{word}(tmp_path):"]
            ),
            rng.choice([f"    {word} = {call}({value})", f"    with pytest.raises({word.capitalize()}Error):"]),
            rng.choice([f"    assert {call}({word}) == {value}", f"        {call}('{word}')", f"    {call}()"]),
        ]
        symbol = lines[0][4:].split("(")[0]
        start = rng.randint(1, 400)
        return [*chunks[:-1], Chunk(f"tests/test_{stem}.py", start, start + 2, symbol, tuple(lines), "", "function")]

    def with_parts(self, chunks: list[Chunk], size: Size) -> list[Chunk]:
        """Sometimes a later part of a definition is found too, anywhere among the rest, or found alone."""
        rng, shown = self.rng, list(chunks)
        for chunk in chunks:
            if chunk.rest and rng.random() < size.parts:
                part = chunk.later_part(self.lines(size))
                if len(shown) == size.chunks[1] or rng.random() < 0.2:
                    shown[shown.index(chunk)] = part
                else:
                    shown.insert(rng.randint(0, len(shown)), part)
        return shown

    def foreign(self, chunk: Chunk, language: str) -> Chunk:
        """The same definition in another language."""
        head = languages.head_of(chunk.lines, chunk.symbol, chunk.sentence)
        if head is None:
            return chunk
        ending, lines = languages.translated(head, language, self.words.names, self.rng)
        return replace(chunk, path=chunk.path.rsplit(".", 1)[0] + ending, lines=tuple(lines), rest=())
