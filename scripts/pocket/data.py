"""Spans and phrasings -> prompts with a known answer.

A *context* is one to five chunks as a search would return them, and a dozen questions about them. Names, paths and line
numbers are mostly replaced by random ones, the same way throughout a context, so that the only thing to learn is to read.
The chunks of a context resemble each other on purpose: callers of the one asked for, tests of it, names that are nearly
its name, the same method of another class, other pieces of the same file.

    <|user|>\\n[1] path:1-9 symbol\\nexcerpt\\n\\n[2] ...\\n\\nQuestion:      the context, encoded once
     Where is symbol defined?<|end|>\\n<|assistant|>\\nsymbol[1] where<|end|>   a row; each sees the context and itself
"""

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from . import extract, phrases
from .extract import Span

ROWS = 12
ROW_TOKENS = 44
RANK_WEIGHTS = [0.65, 0.2, 0.08, 0.04, 0.03]
ROW_KINDS = {"named": 0.5, "which": 0.17, "none": 0.16, "other": 0.11, "bare": 0.06}
NAMED_INTENTS = ["where", "what", "args"]


@dataclass(frozen=True)
class Size:
    """How big the contexts of a training stage are."""

    chunks: tuple[int, int]
    lines: int
    context_tokens: int


SHORT = Size(chunks=(1, 4), lines=5, context_tokens=256)
FULL = Size(chunks=(1, 5), lines=extract.EXCERPT_LINES, context_tokens=704)
TRAINING_PLAN = {"short": (SHORT, 7_000), "full": (FULL, 10_000)}  # a stage of training: its contexts, and how many


@dataclass(frozen=True)
class Chunk:
    path: str
    start: int
    end: int
    symbol: str
    lines: tuple[str, ...]
    sentence: str
    kind: str

    def render(self, number: int) -> str:
        return "\n".join([f"[{number}] {self.path}:{self.start}-{self.end} {self.symbol}".rstrip(), *self.lines])


@dataclass(frozen=True)
class Question:
    """`target` is the chunk asked about, for `which`; the others are found by `name`."""

    text: str
    intent: str
    core: str
    name: str = ""
    target: Chunk | None = None
    new: bool = False
    bare: bool = False  # asked without any chunk


def split_words(name: str) -> list[str]:
    """`parse_HTTPHeader2` -> parse, http, header."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def names_chunk(chunk: Chunk, name: str) -> bool:
    return bool(chunk.symbol) and (chunk.symbol == name or chunk.symbol.endswith("." + name))


def answer(question: Question, shown: Sequence[Chunk]) -> str:
    """The record. A whole symbol beats the end of one, and the better rank beats the worse."""
    if question.intent == "other":
        return "other"
    if question.target is not None:
        return f"{question.target.symbol}[{shown.index(question.target) + 1}] which"
    fitting = [i for i, chunk in enumerate(shown) if names_chunk(chunk, question.name)]
    exact = [i for i in fitting if shown[i].symbol == question.name]
    if not fitting or question.bare:
        return f"{question.name} none"
    return f"{question.name}[{(exact or fitting)[0] + 1}] {question.intent}"


class Words:
    """The vocabulary random names, paths and descriptions are made of."""

    def __init__(self, spans: Sequence[Span], rng: random.Random) -> None:
        names, paths, prose = set(), set(), set()
        for span in spans[:30_000]:
            names.update(split_words(span.symbol))
            paths.update(re.findall(r"[a-z]+", span.path.rsplit(".", 1)[0]))
            prose.update(re.findall(r"[a-z]{3,}", span.sentence))
        self.names = sorted(word for word in names if 1 < len(word) < 12)
        self.paths = sorted(word for word in paths if 1 < len(word) < 12)
        self.prose = sorted(word for word in prose if len(word) < 12)
        self.rng = rng

    def identifier(self, class_like: bool = False) -> str:
        rng = self.rng
        parts = [rng.choice(self.names) for _ in range(rng.choice([1, 2, 2, 2, 3]))]
        if class_like or rng.random() < 0.06:
            return "".join(part.capitalize() for part in parts)
        if rng.random() < 0.08:
            return parts[0] + "".join(part.capitalize() for part in parts[1:])
        digits = str(rng.randint(0, 99)) if rng.random() < 0.05 else ""
        return ("_" if rng.random() < 0.12 else "") + "_".join(parts) + digits

    def symbol(self) -> str:
        shape = self.rng.random()
        if shape < 0.3:
            return f"{self.identifier(class_like=True)}.{self.identifier()}"
        return self.identifier(class_like=shape > 0.85)

    def near(self, name: str) -> str:
        """A name a search engine would return for `name`, and that is not it."""
        rng, word = self.rng, self.rng.choice(self.names)
        class_like = name[:1].isupper()
        parts = [part.capitalize() if class_like else part for part in split_words(name)] or ["run"]
        word = word.capitalize() if class_like else word
        change = rng.random()
        if change < 0.35:
            parts.insert(rng.randint(0, len(parts)), word)
        elif change < 0.6 and len(parts) > 1:
            parts.pop(rng.randrange(len(parts)))
        elif change < 0.8 and len(parts) > 1:
            parts[rng.randrange(len(parts))] = word
        else:
            parts[-1] += rng.choice(["s", "er", "ed", "2", "_all" if not class_like else "Base"])
        return ("" if class_like else "_").join(parts)

    def path(self) -> str:
        rng = self.rng
        folders = [rng.choice(self.paths) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))]
        stem = "_".join(rng.choice(self.paths) for _ in range(rng.choice([1, 1, 2])))
        return "/".join([*(["src"] if rng.random() < 0.2 else []), *folders, stem + ".py"])


class Library:
    """Spans with the indexes that find look-alikes among them."""

    def __init__(self, spans: Sequence[Span], rng: random.Random) -> None:
        self.rng = rng
        self.named = [span for span in spans if span.symbol]
        self.unnamed = [span for span in spans if not span.symbol]
        self.described = [span for span in self.named if span.sentence]
        self.by_word: dict[str, list[Span]] = defaultdict(list)
        self.by_path: dict[str, list[Span]] = defaultdict(list)
        self.by_name: dict[str, list[Span]] = defaultdict(list)
        self.callers: dict[str, list[Span]] = defaultdict(list)
        for span in self.named:
            self.by_path[span.path].append(span)
            self.by_name[span.name].append(span)
            for word in set(split_words(span.symbol)):
                self.by_word[word].append(span)
            for called in set(re.findall(r"(\w+)\(", "\n".join(span.lines[1:]))):
                self.callers[called].append(span)

    def subject(self) -> Span:
        return self.rng.choice(self.described if self.rng.random() < 0.65 else self.named)

    def like(self, span: Span) -> Span:
        """A distractor for `span`."""
        draw, rng = self.rng.random(), self.rng
        if draw < 0.15 and self.unnamed:
            return rng.choice(self.unnamed)
        if draw < 0.45:
            return rng.choice(self.by_word[rng.choice(split_words(span.symbol) or ["get"])] or self.named)
        if draw < 0.6:
            return rng.choice(self.by_path[span.path])
        if draw < 0.7:
            return rng.choice(self.by_name[span.name])
        if draw < 0.8:
            return rng.choice(self.callers.get(span.name) or self.named)
        return rng.choice(self.named)


def as_chunk(span: Span, lines: int) -> Chunk:
    path = span.path if len(span.path) <= 60 else "/".join(span.path.split("/")[-2:])
    return Chunk(path, span.start, span.end, span.symbol, tuple(span.lines[:lines]), span.sentence, span.kind)


def substitute(chunk: Chunk, names: dict[str, str]) -> Chunk:
    if not names:
        return chunk
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, names)) + r")\b")
    swap = lambda text: pattern.sub(lambda found: names[found[0]], text)  # noqa: E731
    return replace(chunk, symbol=swap(chunk.symbol), lines=tuple(map(swap, chunk.lines)), sentence=swap(chunk.sentence))


class Writer:
    """Writes contexts. Training contexts are disguised; held-out ones keep their real names, paths and lines."""

    def __init__(self, spans: Sequence[Span], vocabulary: Sequence[Span], seed: int, held_out: bool) -> None:
        self.rng = random.Random(seed)
        self.words = Words(vocabulary, self.rng)
        self.library = Library(spans, self.rng)
        self.held_out = held_out

    # --- chunks ---

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
            if not self.held_out:
                chunks = [self.foreign(chunk) if rng.random() < 0.08 else chunk for chunk in chunks]
            rng.shuffle(chunks)
            symbols = [chunk.symbol for chunk in chunks if chunk.symbol]
            if symbols and len(set(symbols)) == len(symbols) and len(set(chunks)) == len(chunks):
                return chunks

    def lines(self, size: Size) -> int:
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
        start = chunk.start
        if self.rng.random() < 0.7:
            start = self.rng.randint(1, self.rng.choice([99, 999, 3000]))
        return replace(chunk, path=path, start=start, end=start + chunk.end - chunk.start)

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

    def foreign(self, chunk: Chunk) -> Chunk:
        """The same head as another language would write it."""
        head = re.match(r"(?:async )?def (\w+)\(([^()]*)\)", "\n".join(chunk.lines))
        if head is None:
            return chunk
        names = [part.split(":")[0].split("=")[0].strip(" *") for part in head[2].split(",")]
        names = [name for name in names if name not in {"self", "cls", "", "/"}]
        plain, name = ", ".join(names), head[1]
        ending, first = self.rng.choice(
            [
                (".js", f"function {name}({plain}) {{"),
                (".ts", f"export function {name}({', '.join(n + ': string' for n in names)}): void {{"),
                (".go", f"func {name}({', '.join(n + ' string' for n in names)}) error {{"),
                (".rs", f"pub fn {name}({', '.join(n + ': &str' for n in names)}) -> Result<()> {{"),
                (".c", f"int {name}({', '.join('const char *' + n for n in names)})"),
                (".java", f"public void {name}({', '.join('String ' + n for n in names)}) {{"),
            ]
        )
        comment = [f"// {chunk.sentence}"] if chunk.sentence else []
        lines = (*comment, first, f"    return {self.rng.choice(self.words.names)}({plain});")
        return replace(chunk, path=chunk.path.rsplit(".", 1)[0] + ending, lines=lines)

    # --- questions ---

    def question(self, kind: str, chunks: Sequence[Chunk]) -> Question | None:
        new = self.held_out and self.rng.random() < 0.5
        if kind == "named":
            return self.named(chunks, new)
        if kind == "which":
            return self.which(chunks, new)
        if kind == "none":
            return self.absent(chunks, new)
        if kind == "bare" and self.rng.random() < 0.4:
            return replace(self.ask(self.rng.choice(NAMED_INTENTS), new, name=self.words.symbol()), bare=True)
        return replace(self.ask("other", new, name=self.any_name(chunks)), bare=kind == "bare")

    def named(self, chunks: Sequence[Chunk], new: bool) -> Question | None:
        chunk = self.rng.choice([each for each in chunks if each.symbol])
        name = chunk.symbol
        if "." in name and self.rng.random() < 0.3:
            name = name.rsplit(".", 1)[-1]
        intents = ["where", "where", "what", "what", "args"] if chunk.kind == "class" else NAMED_INTENTS
        return self.ask(self.rng.choice(intents), new, name=name)

    def which(self, chunks: Sequence[Chunk], new: bool) -> Question | None:
        usable = [i for i, chunk in enumerate(chunks) if chunk.symbol and split_words(chunk.symbol)]
        if not usable:
            return None
        target = chunks[self.rng.choices(usable, [RANK_WEIGHTS[i] for i in usable])[0]]
        return self.ask("which", new, target=target)

    def absent(self, chunks: Sequence[Chunk], new: bool) -> Question | None:
        """A name no header carries: used in an excerpt, near a header, of another class, or from nowhere."""
        rng, symbol = self.rng, self.rng.choice([chunk.symbol for chunk in chunks if chunk.symbol])
        text = "\n".join(line for chunk in chunks for line in chunk.lines)
        owner, _, last = symbol.rpartition(".")
        draw = rng.random()
        if draw < 0.3:
            name = rng.choice(re.findall(r"\b[A-Za-z_]\w{3,}(?=\()", text) or [self.words.symbol()])
        elif draw < 0.65:
            name = self.words.near(last)
            name = f"{owner}.{name}" if owner and rng.random() < 0.6 else name
        elif draw < 0.75:
            name = f"{self.words.identifier(class_like=True)}.{last}"
        else:
            name = self.words.symbol()
        defined = re.search(rf"^\s*({re.escape(name)}\s*[:=]|(async )?(def|class) {re.escape(name)}\b)", text, re.M)
        if defined or any(names_chunk(chunk, name) for chunk in chunks):
            return None
        return self.ask(rng.choice(NAMED_INTENTS), new, name=name)

    def any_name(self, chunks: Sequence[Chunk]) -> str:
        symbols = [chunk.symbol for chunk in chunks if chunk.symbol]
        return self.rng.choice(symbols) if symbols and self.rng.random() < 0.6 else self.words.symbol()

    def ask(self, intent: str, new: bool, name: str = "", target: Chunk | None = None) -> Question:
        text, core = phrases.compose(intent, self.rng, new)
        slots = {"{n}": self.decorated(name), "{m}": self.decorated(self.words.identifier())}
        if "{d}" in text or "{g}" in text or "{s}" in text:
            source = target or Chunk("", 1, 1, self.words.symbol(), (), "", "function")
            base, gerund, third = self.described(source)
            slots |= {"{d}": base, "{g}": gerund, "{s}": third}
        for slot, filling in slots.items():
            text = text.replace(slot, filling)
        while "{w}" in text:
            text = text.replace("{w}", self.rng.choice(self.words.prose), 1)
        return Question(" ".join(text.split()), intent, core, name, target, new)

    def decorated(self, name: str) -> str:
        draw = self.rng.random()
        for share, form in [(0.5, "{}"), (0.75, "`{}`"), (0.9, "{}()"), (0.95, "`{}()`"), (0.98, '"{}"')]:
            if draw < share:
                return form.format(name)
        return f"'{name}'"

    def described(self, chunk: Chunk) -> tuple[str, str, str]:
        """What the chunk does in three grammars: parse a header, parsing a header, parses a header."""
        words = self.sentence_words(chunk) if chunk.sentence and self.rng.random() < 0.75 else self.name_words(chunk)
        if words[0] in {"a", "an", "the", "this", "class", "base", "helper", "wrapper", "like", "same"}:
            phrase = " ".join(words)
            return f"handle {phrase}", phrase, f"handles {phrase}"
        verb, rest = base_form(words[0]), words[1:]
        return " ".join([verb, *rest]), " ".join([gerund(verb), *rest]), " ".join([third_person(verb), *rest])

    def sentence_words(self, chunk: Chunk) -> list[str]:
        """The docstring as someone would half remember it: words dropped, cut short, plurals changed."""
        rng = self.rng
        words = re.sub(r"[`\"{}\[\]|]", "", chunk.sentence).strip().rstrip(".!:").split()[:14] or self.name_words(chunk)
        words[0] = words[0].lower()
        draw = rng.random()
        if len(words) > 4 and draw < 0.5:
            words = [word for i, word in enumerate(words) if i == 0 or rng.random() > 0.25]
        elif len(words) > 5 and draw < 0.75:
            words = words[: rng.randint(4, len(words))]
        return [other_number(word) if i and rng.random() < 0.1 else word for i, word in enumerate(words[:11])]

    def name_words(self, chunk: Chunk) -> list[str]:
        owner, _, name = chunk.symbol.rpartition(".")
        words = split_words(name) or ["run"]
        if chunk.kind == "class":
            return ["the", *words]
        if owner and self.rng.random() < 0.6:
            words += [*(["the"] if self.rng.random() < 0.4 else []), *split_words(owner)]
        return words


def base_form(verb: str) -> str:
    verb = re.sub(r"(ss|sh|ch|x)es$", r"\1", verb)
    return verb[:-1] if verb.endswith("s") and not verb.endswith(("ss", "us", "is")) else verb


def gerund(verb: str) -> str:
    if verb.endswith("e") and not verb.endswith(("ee", "ye")):
        return verb[:-1] + "ing"
    doubled = re.fullmatch(r"[^aeiou]*[aeiou][bdgmnprt]", verb)
    return verb + verb[-1] + "ing" if doubled else verb + "ing"


def third_person(verb: str) -> str:
    return verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z")) else "s")


def other_number(word: str) -> str:
    if not word.isalpha() or len(word) < 4:
        return word
    return word[:-1] if word.endswith("s") else word + "s"


# --- training arrays ---


class Codec:
    """Token ids of contexts and rows. `Question:` ends the context and the space after it begins the row, as in one text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def context(self, chunks: Sequence[Chunk]) -> list[int]:
        return self.ids(f"<|user|>\n{render(chunks)}\n\nQuestion:")

    def row(self, question: Question) -> list[int]:
        start = "<|user|>\nQuestion: " if question.bare else " "
        return self.ids(f"{start}{question.text}<|end|>\n<|assistant|>\n")

    def ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text).ids)


def render(chunks: Sequence[Chunk]) -> str:
    return "\n\n".join(chunk.render(i) for i, chunk in enumerate(chunks, 1))


Arrays = dict[str, np.ndarray]


def pack(writer: Writer, codec: Codec, contexts: int, size: Size) -> Arrays:
    """`context` (N, T) ids and `context_length`; `rows` (N, K, t) ids, their `spans` (question end, answer end), `sees`."""
    arrays = {
        "context": np.zeros((contexts, size.context_tokens), np.int16),
        "context_length": np.zeros(contexts, np.int16),
        "rows": np.zeros((contexts, ROWS, ROW_TOKENS), np.int16),
        "spans": np.zeros((contexts, ROWS, 2), np.int16),
        "sees": np.zeros((contexts, ROWS), np.int8),
    }
    done = 0
    while done < contexts:
        chunks = writer.chunks(size)
        context = codec.context(chunks)
        if len(context) > size.context_tokens:
            continue
        arrays["context"][done, : len(context)] = context
        arrays["context_length"][done] = len(context)
        for k in range(ROWS):
            fill_row(arrays, done, k, writer, codec, chunks)
        done += 1
    return arrays


def fill_row(arrays: Arrays, n: int, k: int, writer: Writer, codec: Codec, chunks: Sequence[Chunk]) -> None:
    while True:
        kind = writer.rng.choices(list(ROW_KINDS), list(ROW_KINDS.values()))[0]
        question = writer.question(kind, chunks)
        if question is None:
            continue
        asked = codec.row(question)
        whole = asked + codec.ids(answer(question, chunks) + "<|end|>")
        if len(whole) <= ROW_TOKENS:
            arrays["rows"][n, k, : len(whole)] = whole
            arrays["spans"][n, k] = len(asked), len(whole)
            arrays["sees"][n, k] = not question.bare
            return


def make_training(spans_file: Path, tokenizer_file: Path, folder: Path) -> None:
    """One .npz a stage of training: the stage's name, the size of its contexts and how many."""
    spans = [span for span in extract.load(spans_file) if not span.held_out]
    random.Random(5).shuffle(spans)
    codec = Codec(Tokenizer.from_file(str(tokenizer_file)))
    for seed, (name, (size, contexts)) in enumerate(TRAINING_PLAN.items(), 1):
        arrays = pack(Writer(spans, spans, seed, held_out=False), codec, contexts, size)
        temporary = folder / f"{name}.partial.npz"
        np.savez(temporary, **arrays)
        temporary.replace(folder / f"{name}.npz")
        asked, total = arrays["spans"][..., 0].mean(), arrays["spans"][..., 1].mean()
        print(
            f"  {name}: {contexts} contexts of {arrays['context_length'].mean():.0f} tokens, "
            f"{ROWS} rows of {asked:.0f} + {total - asked:.0f}"
        )


# --- evaluation ---

CASE_KINDS = ["named"] * 6 + ["which"] * 2 + ["none"] * 2 + ["other"] * 2 + ["bare"]


@dataclass(frozen=True)
class Case:
    """One held-out question with its own search result, as the program would send it."""

    content: str
    expected: str
    intent: str  # where, what, args, which, none, other
    new: bool
    core: str
    symbols: tuple[str, ...]  # of the chunks shown, best first


def evaluation_cases(spans_file: Path, count: int, seed: int = 11) -> list[Case]:
    spans = extract.load(spans_file)
    vocabulary = [span for span in spans if not span.held_out]
    random.Random(5).shuffle(vocabulary)
    writer = Writer([span for span in spans if span.held_out], vocabulary, seed, held_out=True)
    cases: list[Case] = []
    while len(cases) < count:
        chunks = writer.chunks(replace(FULL, chunks=(2, 5)))
        question = writer.question(CASE_KINDS[len(cases) % len(CASE_KINDS)], chunks)
        if question is not None:
            cases.append(case_of(question, chunks, writer.rng))
    return cases


def case_of(question: Question, chunks: Sequence[Chunk], rng: random.Random) -> Case:
    shown = [] if question.bare else ranked(question, chunks, rng)
    expected = answer(question, shown)
    content = "\n\n".join([*([render(shown)] if shown else []), f"Question: {question.text}"])
    intent = "none" if expected.endswith(" none") else question.intent
    return Case(content, expected, intent, question.new, question.core, tuple(chunk.symbol for chunk in shown))


def ranked(question: Question, chunks: Sequence[Chunk], rng: random.Random) -> list[Chunk]:
    """The chunk asked for where a search would put it: mostly first or second."""
    wanted = [
        chunk for chunk in chunks if chunk == question.target or (question.name and names_chunk(chunk, question.name))
    ]
    shown = [chunk for chunk in chunks if chunk not in wanted]
    rng.shuffle(shown)
    for chunk in wanted:
        shown.insert(rng.choices(range(5), RANK_WEIGHTS)[0], chunk)
    return shown
