"""What in a request can be an argument of a tool: paths, lines, and runs of its words; as lists, and as rules of a grammar.

What stands between quotes is one thing: it begins no run before its end, and where there is any, it is what is meant. Elsewhere an
argument is any run of words, without the marks at its end.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LINE = re.compile(r"(?<!\d)[0-9]{1,9}(?!\d)")
_QUOTES, _MARKS = "`'\"", "?!,;:."
_MOST_WORDS = 48  # of a request that are looked at: pasted files are no requests
_LONGEST_QUOTE = 16  # words
_NO_END = frozenset(("a", "an", "and", "are", "by", "for", "in", "is", "me", "of", "or", "the", "to", "with"))
_WHERE = frozenset(("in", "under", "inside", "within", "below"))
_PLACE = re.compile(r"(?<=.):(\d+)(-\d+)?$")


@dataclass(frozen=True)
class Unit:
    """A word, or some between quotes: `text` without these, `raw` as it is written."""

    text: str
    raw: str
    quoted: bool

    @property
    def ending(self) -> str:
        """The unit at the end of a run: `./...` may be meant so, a mark elsewhere is the sentence's."""
        if self.quoted:
            return self.raw.rstrip(_MARKS)
        return self.text if self.text.endswith("...") else self.text.rstrip(_QUOTES + _MARKS) or self.text

    @property
    def begins(self) -> bool:
        """Whether a run can begin here: an option of a command begins nothing."""
        return self.quoted or not self.text.startswith("-")

    @property
    def ends(self) -> bool:
        """Whether a run can end here."""
        return self.quoted or self.ending.lower() not in _NO_END


def units_of(question: str) -> list[Unit]:
    """The request in units, in their order."""
    words, units = question.split()[:_MOST_WORDS], []
    while words:
        length = _quoted(words)
        raw = " ".join(words[: max(length, 1)])
        text = raw.rstrip(_MARKS)[1:-1] if length else raw.lstrip(_QUOTES) or raw
        units.append(Unit(text, raw, bool(length)))
        del words[: max(length, 1)]
    return units


def _quoted(words: Sequence[str]) -> int:
    """How many words the first begins a quotation of; 0 where it begins none."""
    mark = words[0][0]
    for length, word in enumerate(words[:_LONGEST_QUOTE] if mark in _QUOTES else (), 1):
        closed = word.rstrip(_MARKS)
        if closed.endswith(mark) and len(closed) > (length == 1) * 2:
            return length
    return 0


def paths_in(question: str) -> list[str]:
    """Every word that could be a path, without quotes, marks and line numbers."""
    words = [unit.text if unit.quoted else unit.ending for unit in units_of(question)]
    return list(dict.fromkeys(_PLACE.sub("", word) for word in words if " " not in word))


def is_file_like(word: str) -> bool:
    """`cart.py`, `src/cart`, `Makefile`, `.env`: whether a word can be a file."""
    return bool(re.search(r"[./\\]\w", word)) or word[:1].isupper() or "_" in word


def lines_in(question: str) -> list[str]:
    """The numbers that could be those of lines: not those inside of names."""
    numbers: list[str] = []
    for unit in units_of(question):
        place = _PLACE.search(unit.ending)
        named = is_file_like(unit.text) and not place
        numbers += [] if named else LINE.findall(place[0] if place else unit.text)
    return numbers


def runs_of(question: str) -> Iterator[str]:
    """What the rule `span` of `span_rules` admits."""
    units = units_of(question)
    for begin, unit in enumerate(units):
        if unit.quoted:
            yield unit.text
            continue
        for end in range(begin, len(units) if unit.begins else 0):
            if units[end].ends:
                between = [one.raw for one in units[begin + 1 : end]]
                yield unit.ending if end == begin else " ".join([unit.text, *between, units[end].ending])


def span_rules(units: Sequence[Unit], name: str = "span", apart: Sequence[str] = ()) -> dict[str, str]:
    """GBNF, a rule a unit, so that it grows with them and not with their square: `{name}-{k}` is any run that begins at unit k, and
    `name` any run; `{name}-quoted` is what stands between quotes, if anything does that is no place. No run has a word of `apart`.
    Nothing where no run is left."""
    rules: dict[str, str] = {}
    own = [unit for unit in units if unit.text not in apart and unit.ending not in apart]
    for at, unit in reversed(list(enumerate(units))):
        if unit not in own:
            continue
        then = f"{name}-then-{at + 1}" if f"{name}-then-{at + 1}" in rules else ""
        if rule := _ends_or_goes_on(unit, unit.raw, then):
            rules[f"{name}-then-{at}"] = rule
        if unit.quoted:
            rules[f"{name}-{at}"] = literal(unit.text)
        elif unit.begins and (rule := _ends_or_goes_on(unit, unit.text, then)):
            rules[f"{name}-{at}"] = rule
    if any("-then-" not in rule for rule in rules):
        rules[name] = " | ".join(rule for rule in rules if "-then-" not in rule)
    if quoted := [one.text for at, one in enumerate(units) if one in own and one.quoted and not _is_place(units, at)]:
        rules[f"{name}-quoted"] = any_of(quoted)
    return rules


def _ends_or_goes_on(unit: Unit, text: str, then: str) -> str:
    """The last unit of a run, or one that is followed by the rule `then`; empty where it can be neither."""
    ways = [literal(unit.ending)] if unit.ends else []
    return " | ".join([*ways, *([f"{literal(text + ' ')} {then}"] if then else [])])


def _is_place(units: Sequence[Unit], at: int) -> bool:
    """Whether a quoted word says where: in `src`."""
    return at > 0 and units[at - 1].text.lower() in _WHERE and " " not in units[at].text


def any_of(texts: Iterable[str]) -> str:
    """One of the texts, as GBNF."""
    return " | ".join(map(literal, dict.fromkeys(texts)))


def literal(text: str) -> str:
    """A text, as GBNF."""
    escaped = re.sub(r'["\\\x00-\x1f\x7f]', lambda mark: f"\\x{ord(mark[0]):02x}", text)
    return f'"{escaped}"'
