"""Questions and requests about chunks, and the record that answers each."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from offline_agent.agent.arguments import paths_in, runs_of
from offline_agent.agent.naming import looks_like_code, meant_in, named_by, names_in
from offline_agent.agent.record import INTENTS, JOINT, PLAIN, TOOLS

from . import phrases
from .chunks import Chunk
from .fillings import Fillings, slots_of
from .words import EMPTY, SYNONYMS, Words, base_form, gerund, other_number, split_words, third_person

RANK_WEIGHTS = [0.82, 0.09, 0.05, 0.02, 0.02]
"""Where the search put what was meant, as shares of the questions whose chunk it found.

Measured on descriptions of definitions of click, httpx, jinja2, requests and rich.
"""
TOOL_WEIGHTS = {
    "list": 10, "read": 14, "grep": 16, "glob": 8, "search_code": 10, "run": 14, "edit": 14, "write": 9, "todo": 5,
    "ask_user": 4, "explore": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Question:
    """`target` is the chunk asked about, for `which`; the others are found by `name`. A request is for the tool `intent`."""

    text: str
    intent: str
    core: str
    name: str = ""
    target: Chunk | None = None
    arguments: tuple[str, ...] = ()
    bare: bool = False  # asked without any chunk


def answer(question: Question, shown: Sequence[Chunk]) -> str:
    """The record that answers `question` where `shown` are the excerpts, in the order of their numbers.

    Of chunks that are named equally well, a definition's head beats its later parts, and the better rank the worse.
    """
    intent, name = question.intent, question.name
    if intent in PLAIN:
        return intent
    if intent in TOOLS:
        return f"{intent} {JOINT.join(question.arguments)}"
    if intent == "uses":
        return f"uses {name}"
    if question.target is not None:
        return f"which[{shown.index(question.target) + 1}] "
    fitting = () if question.bare else named_by(name, shown)
    if not fitting:
        return f"{intent} {name} none"
    best = min(fitting, key=lambda i: (shown[i].part, i))
    return f"{intent} {name}[{best + 1}] "


class QuestionWriter:
    """Asks with the phrasings of training, or with those held out. `varied` puts stray words into some."""

    def __init__(self, words: Words, rng: random.Random, cores: phrases.Cores, varied: bool) -> None:
        self.words, self.rng, self.cores, self.varied = words, rng, cores, varied
        self.fillings = Fillings(words, rng)

    def question(self, kind: str, chunks: Sequence[Chunk]) -> Question | None:
        """One of a kind: named, which, none, tool, hello, code or other. None where these chunks have nothing to ask so."""
        if kind == "named":
            return self.named(chunks)
        if kind == "which":
            return self.which(chunks)
        if kind == "none":
            return self.absent(chunks)
        if kind == "tool":
            return self.request(self.rng.choices(list(TOOL_WEIGHTS), list(TOOL_WEIGHTS.values()))[0])
        return self.ask(kind, name=self.any_name(chunks))

    def named(self, chunks: Sequence[Chunk]) -> Question | None:
        """Where, what, args or uses, about one of the chunks by a name that means it."""
        rng = self.rng
        chunk = rng.choice([each for each in chunks if each.symbol])
        name = self.as_called(chunk)
        intent = rng.choices(["where", "what", "args", "uses"], [3, 3, 1 if chunk.kind == "class" else 2.5, 2.5])[0]
        question = self.ask(intent, name=name) if named_by(name, chunks) else None
        return question if question and name in meant_in(question.text, chunks) else None

    def as_called(self, chunk: Chunk) -> str:
        """The whole symbol, its end, in the wrong case, with its module, as another language joins it, or some of its words."""
        rng, name = self.rng, chunk.symbol
        parts = name.split(".")
        draw = rng.random()
        if len(parts) > 1 and draw < 0.35:
            return parts[-1]
        if draw < 0.43:
            return name.lower() if name != name.lower() else name.capitalize()
        if draw < 0.48:
            return f"{chunk.path.rpartition('/')[2].partition('.')[0]}.{name}"
        if len(parts) > 1 and draw < 0.51:
            return rng.choice(["::", "#"]).join(parts)
        words = parts[-1].strip("_").split("_")
        if len(words) > 2 and draw < 0.6:
            return "_".join(rng.choice([words[1:], words[:-1]]))
        return name

    def which(self, chunks: Sequence[Chunk]) -> Question | None:
        """About a chunk by what it does; the better rank is asked about more often, as it is in use."""
        usable = [i for i, chunk in enumerate(chunks) if split_words(chunk.symbol) and not chunk.part]
        if not usable:
            return None
        target = chunks[self.rng.choices(usable, [RANK_WEIGHTS[i] for i in usable])[0]]
        return self.ask("which", target=target)

    def absent(self, chunks: Sequence[Chunk]) -> Question | None:
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
        return None if named_by(name, chunks) else self.ask(rng.choice(INTENTS), name=name)

    def any_name(self, chunks: Sequence[Chunk]) -> str:
        """One of these, or a made-up one."""
        symbols = [chunk.symbol for chunk in chunks if chunk.symbol]
        return self.rng.choice(symbols) if symbols and self.rng.random() < 0.6 else self.words.symbol()

    # --- the text ---

    def ask(self, intent: str, name: str = "", target: Chunk | None = None) -> Question | None:
        """A phrasing of `intent` with its slots filled; None where they cannot be, or the name is no longer found in the text."""
        text, core = phrases.compose(intent, self.rng, self.cores)
        if self.varied and (target is not None or looks_like_code(name)) and self.rng.random() < 0.2:
            text = phrases.interrupted(text, self.words.prose, self.rng)
        for slot, value in {"{n}": name, "{m}": self.words.identifier()}.items():
            text = text.replace(slot, self.decorated(value))
        source = target or Chunk("", 1, 1, self.words.symbol(), (), "", "function")
        described = self.described(source)
        if any(slot in text and " " not in value for slot, value in described.items()):
            return None  # one word describes nothing
        for slot, value in described.items():
            text = text.replace(slot, value)
        while "{w}" in text:
            text = text.replace("{w}", self.rng.choice(self.words.prose), 1)
        text = " ".join(text.split())
        found = intent in PLAIN or target is not None or name in names_in(text)
        return Question(text, intent, core, name, target) if found else None

    def decorated(self, name: str) -> str:
        """As people write a name: plain, in backticks, with brackets, in quotes."""
        draw = self.rng.random()
        for share, form in [(0.55, "{}"), (0.75, "`{}`"), (0.9, "{}()"), (0.95, "`{}()`"), (0.98, '"{}"')]:
            if draw < share:
                return form.format(name)
        return f"'{name}'"

    def request(self, tool: str) -> Question | None:
        """A request for a tool; None where its arguments cannot be read back from the words."""
        text, core = phrases.compose(tool, self.rng, self.cores)
        arguments = []
        for slot in slots_of(tool, text):
            if slot == "a":
                first, last = self.fillings.lines()
                text = text.replace("{a}", first).replace("{b}", last)
                arguments += [first, last]
            elif slot != "b":
                value = self.fillings.of(slot, tool)
                text = text.replace("{" + slot + "}", self.quoted(value, slot, text))
                arguments.append(value)
        text = " ".join(text.split())
        readable = set(runs_of(text)) | set(paths_in(text)) | set(re.findall(r"\d+", text))
        if not all(value in readable for value in arguments):
            return None
        if not arguments:
            arguments = [core.partition(" => ")[2] or "."]
        return Question(text, tool, core, arguments=tuple(arguments))

    def quoted(self, value: str, slot: str, text: str) -> str:
        """Between quotes, unless there are some already."""
        inside = re.search(r"[`'\"]\{" + slot + r"\}", text)
        draw = self.rng.random() * (0.6 if " " in value else 1)
        if inside or draw > 0.4:
            return value
        mark = "`" if draw < 0.16 else '"' if draw < 0.3 else "'"
        return value if mark in value else f"{mark}{value}{mark}"

    # --- descriptions ---

    def described(self, chunk: Chunk) -> dict[str, str]:
        """What the chunk does in three grammars (parse a header, parsing a header, parses a header), and in a few keywords."""
        words = self.sentence_words(chunk) if chunk.sentence and self.rng.random() < 0.8 else self.name_words(chunk)
        words = [SYNONYMS[word] if word in SYNONYMS and self.rng.random() < 0.15 else word for word in words]
        keywords = {"{t}": self.keywords(chunk)}
        if base_form(words[0]) not in self.words.verbs:
            phrase = " ".join(words)
            return {"{d}": f"handle {phrase}", "{g}": phrase, "{s}": f"handles {phrase}", **keywords}
        verb, rest = base_form(words[0]), " ".join(words[1:])
        return {
            "{d}": f"{verb} {rest}".strip(),
            "{g}": f"{gerund(verb)} {rest}".strip(),
            "{s}": f"{third_person(verb)} {rest}".strip(),
            **keywords,
        }

    def keywords(self, chunk: Chunk) -> str:
        """Two or three words of the sentence that say something, or those of the name."""
        said = [word for word in re.findall(r"[a-z]{3,}", chunk.sentence.lower()) if word not in EMPTY]
        words = said if len(said) > 1 and self.rng.random() < 0.6 else self.name_words(chunk)
        words = [word for word in words if word != "the"]
        start = self.rng.randrange(max(1, len(words) - 2))
        return " ".join(words[start : start + self.rng.choice([2, 2, 3])])

    def sentence_words(self, chunk: Chunk) -> list[str]:
        """The docstring as someone would half remember it: words dropped, cut short, plurals changed."""
        rng = self.rng
        words = re.sub(r":\w+:(?=`)|<[^<>]*>|[`\"{}\[\]|]", "", chunk.sentence).strip().rstrip(".!:").split()[
            :14
        ] or self.name_words(chunk)
        words[0] = words[0].lower()
        draw = rng.random()
        if len(words) > 4 and draw < 0.5:
            words = [word for i, word in enumerate(words) if i == 0 or rng.random() > 0.25]
        elif len(words) > 5 and draw < 0.75:
            words = words[: rng.randint(4, len(words))]
        return [other_number(word) if i and rng.random() < 0.1 else word for i, word in enumerate(words[:11])]

    def name_words(self, chunk: Chunk) -> list[str]:
        """The words of the symbol, read as a description: `Session.close` -> close the session."""
        owner, _, name = chunk.symbol.rpartition(".")
        words = split_words(name) or ["run"]
        if chunk.kind == "class":
            return ["the", *words]
        if owner and self.rng.random() < 0.6:
            words += [*(["the"] if self.rng.random() < 0.4 else []), *split_words(owner)]
        return words


def bare(question: Question) -> Question:
    """The same, asked where nothing was found."""
    return replace(question, bare=True)
