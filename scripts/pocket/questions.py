"""Questions about chunks, and the record that answers each."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import phrases
from .chunks import Chunk, names_chunk
from .words import Words, base_form, gerund, other_number, split_words, third_person

RANK_WEIGHTS = [0.65, 0.2, 0.08, 0.04, 0.03]  # where a search puts the chunk that was meant
NAMED_INTENTS = ["where", "what", "args"]


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


def answer(question: Question, shown: Sequence[Chunk]) -> str:
    """The record. A whole symbol beats the end of one, a definition's head its later parts, the better rank the worse."""
    if question.intent == "other":
        return "other"
    if question.target is not None:
        return f"{question.target.symbol}[{shown.index(question.target) + 1}] which"
    fitting = [i for i, chunk in enumerate(shown) if names_chunk(chunk, question.name)]
    if not fitting or question.bare:
        return f"{question.name} none"
    best = min(fitting, key=lambda i: (shown[i].symbol != question.name, shown[i].part, i))
    return f"{question.name}[{best + 1}] {question.intent}"


def looks_like_code(name: str) -> bool:
    """Whether the name can be told from an English word by its looks."""
    return name != name.lower() or not name.isalpha()


class QuestionWriter:
    """Half of the questions about held-out chunks have phrasings that training never uses.

    `varied` asks with all of training's phrasings, and puts stray words into some.
    """

    def __init__(self, words: Words, rng: random.Random, held_out: bool, varied: bool) -> None:
        self.words, self.rng, self.held_out, self.varied = words, rng, held_out, varied

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
        usable = [i for i, chunk in enumerate(chunks) if split_words(chunk.symbol) and not chunk.part]
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
        text, core = phrases.compose(intent, self.rng, self.cores(new))
        if self.varied and (target is not None or looks_like_code(name)) and self.rng.random() < 0.25:
            text = phrases.interrupted(text, self.words.prose, self.rng)
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

    def cores(self, new: bool) -> phrases.Cores:
        if new:
            return phrases.NEW
        return phrases.TRAINED if self.varied or self.held_out else phrases.SEEN

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
