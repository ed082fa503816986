"""Words: random names, paths and near-misses, and the little English grammar that descriptions need."""

import random
import re
from collections import Counter
from collections.abc import Sequence

from .extract import Span

SYNONYMS = {
    pair[at]: pair[1 - at]
    for line in """
        get fetch, remove delete, create make, return give, set assign, check verify, find locate, parse read, write save,
        convert turn, start begin, stop end, open access, call invoke, send transmit, build construct, compute calculate,
        add append, show display, raise throw, split divide, join combine, load import, choose select, change modify,
        run execute, close shut, copy duplicate, print output, format layout, handle process, file document, string text,
        list sequence, function routine, class type, value content, name title, path location, directory folder,
        error failure, argument parameter, dictionary mapping, number count, object thing, index position, key identifier,
        request query, response reply, connection link, test check, option setting, message note, given passed,
        current present, default standard, new fresh, whether if, specified given, multiple several, all every
    """.replace("\n", " ").split(",")
    for pair in [line.split()]
    for at in (0, 1)
}
EMPTY = frozenset([
    "a", "an", "the", "of", "to", "for", "in", "on", "at", "by", "with", "from", "and", "or", "if", "is", "are", "be",
    "this", "that", "it", "its", "as", "into", "not", "no", "which", "when", "whether", "all", "any", "given", "return",
    "returns", "get", "set", "class", "base", "helper", "object", "used", "use", "using", "can", "will", "has", "have",
])  # fmt: skip


COMMON_VERB = 12
"""Sentences that begin with a word, from which on it is taken for a verb."""
NO_VERBS = frozenset(
    re.findall(
        r"\w+",
        "a an the this that these all any each true false none whether if when in on for internal class base helper wrapper "
        "like same list test tests number name string dictionary function method object value utility simple default new "
        "optional private public ",
    )
)


def split_words(name: str) -> list[str]:
    """`parse_HTTPHeader2` -> parse, http, header."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


class Words:
    """The vocabulary random names, paths and descriptions are made of."""

    def __init__(self, spans: Sequence[Span], rng: random.Random) -> None:
        names: set[str] = set()
        paths: set[str] = set()
        prose: set[str] = set()
        for span in spans[:30_000]:
            names.update(split_words(span.symbol))
            paths.update(re.findall(r"[a-z]+", span.path.rsplit(".", 1)[0]))
            prose.update(re.findall(r"[a-z]{3,}", span.sentence))
        first = Counter(base_form(span.sentence.split()[0].lower()) for span in spans if span.sentence.split())
        self.verbs = {word for word, count in first.items() if count >= COMMON_VERB and word not in NO_VERBS}
        self.names = sorted(word for word in names if 1 < len(word) < 12)
        self.paths = sorted(word for word in paths if 1 < len(word) < 12)
        self.prose = sorted(word for word in prose if len(word) < 12)
        self.rng = rng

    def identifier(self, class_like: bool = False) -> str:
        """One to three words: snake_case mostly, sometimes CamelCase, private, or with a number."""
        rng = self.rng
        parts = [rng.choice(self.names) for _ in range(rng.choice([1, 2, 2, 2, 3]))]
        if class_like or rng.random() < 0.06:
            return "".join(part.capitalize() for part in parts)
        if rng.random() < 0.08:
            return parts[0] + "".join(part.capitalize() for part in parts[1:])
        digits = str(rng.randint(0, 99)) if rng.random() < 0.05 else ""
        return ("_" if rng.random() < 0.12 else "") + "_".join(parts) + digits

    def symbol(self) -> str:
        """A name, or a method with its class."""
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
        """A Python file in up to four folders."""
        rng = self.rng
        folders = [rng.choice(self.paths) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))]
        stem = "_".join(rng.choice(self.paths) for _ in range(rng.choice([1, 1, 2])))
        return "/".join([*(["src"] if rng.random() < 0.2 else []), *folders, stem + ".py"])


def base_form(verb: str) -> str:
    """parses -> parse."""
    verb = re.sub(r"(ss|sh|ch|x)es$", r"\1", verb)
    return verb[:-1] if verb.endswith("s") and not verb.endswith(("ss", "us", "is")) else verb


def gerund(verb: str) -> str:
    """parse -> parsing, get -> getting."""
    if verb.endswith("e") and not verb.endswith(("ee", "ye")):
        return verb[:-1] + "ing"
    doubled = re.fullmatch(r"[^aeiou]*[aeiou][bdgmnprt]", verb)
    return verb + verb[-1] + "ing" if doubled else verb + "ing"


def third_person(verb: str) -> str:
    """parse -> parses."""
    return verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z")) else "s")


def other_number(word: str) -> str:
    """header <-> headers; words of other than letters, and short ones, stay."""
    if not word.isalpha() or len(word) < 4:
        return word
    return word[:-1] if word.endswith("s") else word + "s"
