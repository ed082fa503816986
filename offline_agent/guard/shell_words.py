"""Words of a shell line: from what is written to what a program is given.

    bits          what is quoted and what is not, what is known and what is not
    -> braces     `{a,b}`
    -> fields     one word becomes none, one or several
    -> tilde      `~/x`

Expansions whose value is not known stay as they are written, and their word has no value. The quoting rules are those of bash's
manual, "Quoting" and "Shell Expansions"; tests hold the results against bash itself.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from offline_agent.guard.shell_text import NotUnderstood

_MOST_WORDS = 64  # that one word's braces may become
_GLOBS = frozenset("*?[")
_QUOTES_ESCAPE = frozenset('$`"\\\n')
_LIVE = frozenset("'\"`;&|()<> \t\n")
_STARTS_EXPANSION = re.compile(r"\$[A-Za-z0-9_({\[@*#?$!'\"-]")
_ESCAPES = {"a": 7, "b": 8, "e": 27, "E": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_ESCAPES |= {character: ord(character) for character in "\\'\"?"}
_ANSI = re.compile(
    r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u00([0-7][0-9A-Fa-f])(?![0-9A-Fa-f])|([abeEfnrtv\\'\"?])|(.))|([^\\]+)",
    re.DOTALL,
)
_SEQUENCE = re.compile(r"(-?\d{1,6})\.\.(-?\d{1,6})(?:\.\.(-?\d{1,6}))?|([a-z])\.\.([a-z])|([A-Z])\.\.([A-Z])")


class Bit(NamedTuple):
    """A piece of a word. `text` is its value where it is `known`, else as it is written."""

    text: str
    quoted: bool = False
    known: bool = True
    split: bool = False
    """The value of a variable without quotes: blanks in it end a word."""
    home: bool = False
    """The home directory, whose path is not known: `~`."""


class Word(NamedTuple):
    """What one word becomes. `shown` is for rules and people. `value` is what a program gets, None where that is not known; a
    `home` word begins with a tilde that a shell replaces. `pattern` is the value with what was quoted escaped, where it has
    wildcards."""

    shown: str
    value: str | None
    pattern: str = ""
    home: bool = False
    plain: bool = True
    """Nothing in it was quoted or expanded."""


def literal(value: str) -> Word:
    return Word(value, value, plain=False)


def words_of(bits: Sequence[Bit], directory: str | None) -> list[Word]:
    """The words that one word becomes; `directory` is what `~+` stands for."""
    if len(bits) == 1 and bits[0].split and bits[0].known and not bits[0].home:
        return [literal(field) for field in bits[0].text.split()]
    if not bits:
        return []
    if any(bit.split and bit.known and (not bit.text or bit.text.split() != [bit.text]) for bit in bits):
        bits = [bit._replace(known=not bit.split and bit.known) for bit in bits]
    return [_word(branch, directory) for branch in _braced(bits)]


def _word(bits: Sequence[Bit], directory: str | None) -> Word:
    text = "".join(bit.text for bit in bits)
    plain = not any(bit.quoted for bit in bits)
    if not all(bit.known for bit in bits):
        return Word(text, None, plain=plain)
    pattern = ""
    if any(not bit.quoted and not _GLOBS.isdisjoint(bit.text) for bit in bits):
        pattern = "".join(re.sub(r"([*?\[\]\\])", r"\\\1", bit.text) if bit.quoted else bit.text for bit in bits)
    first = next((bit for bit in bits if bit.text), bits[0])
    word = Word(text, text, pattern, home=first.home, plain=plain)
    return _tilde(word, first.text, directory) if not bits[0].quoted and first.text.startswith("~") else word


def _tilde(word: Word, first: str, directory: str | None) -> Word:
    head, slash, _ = first.partition("/")
    if not slash and head != word.shown:
        return word._replace(value=None) if word.shown[len(head)] != "/" else word
    if head == "~":
        return word._replace(home=True)
    if head == "~+" and directory is not None:
        return word._replace(value=directory + word.shown[2:])
    return word._replace(value=None)


# --- braces --------------------------------------------------------------------------------------------------------


def _braced(bits: Sequence[Bit]) -> list[list[Bit]]:
    """Every branch of a word with braces. Where a branch is not known, neither is the word."""
    bare = "".join(bit.text for bit in bits if not bit.quoted)
    if "{" not in bare or ("," not in bare and ".." not in bare):
        return [list(bits)]
    if not all(bit.known for bit in bits):
        return [[Bit("".join(bit.text for bit in bits), known=False)]]
    # One bit a character, so that what is quoted keeps it.
    found = _expand([Bit(character, bit.quoted, home=bit.home) for bit in bits for character in bit.text])
    if len(found) > _MOST_WORDS:
        raise NotUnderstood("braces make too many words of one")
    return [_joined(branch) for branch in found if branch]


def _joined(branch: Sequence[Bit]) -> list[Bit]:
    joined: list[Bit] = []
    for bit in branch:
        if joined and joined[-1].quoted == bit.quoted and not joined[-1].home:
            joined[-1] = Bit(joined[-1].text + bit.text, bit.quoted)
        elif bit.text or not joined:
            joined.append(bit)
    return joined


def _expand(bits: list[Bit]) -> list[list[Bit]]:
    """Branches in bash's order: the first braces outermost, those inside a branch after."""
    for start, bit in enumerate(bits):
        if _is(bit, "{") and not (start and _is(bits[start - 1], "$")) and (end := _closing(bits, start)):
            inner = _branches(bits[start + 1 : end])
            if not inner:
                continue
            rest = _expand(bits[end + 1 :])
            heads = [head for branch in inner for head in branch]
            if len(heads) * len(rest) > _MOST_WORDS:
                raise NotUnderstood("braces make too many words of one")
            return [[*bits[:start], *head, *tail] for head in heads for tail in rest]
    return [bits]


def _closing(bits: Sequence[Bit], start: int) -> int:
    depth = 0
    for at in range(start, len(bits)):
        depth += _is(bits[at], "{") - _is(bits[at], "}")
        if not depth:
            return at
    # bash then looks for braces further in; which ones count as closed it decides in ways of its own.
    raise NotUnderstood("a brace is not closed")


def _branches(inner: list[Bit]) -> list[list[list[Bit]]]:
    parts: list[list[Bit]] = [[]]
    depth = 0
    for bit in inner:
        depth += _is(bit, "{") - _is(bit, "}")
        if not depth and _is(bit, ","):
            parts.append([])
        else:
            parts[-1].append(bit)
    if len(parts) > 1:
        return [_expand(part) for part in parts]
    text = "".join(bit.text for bit in inner)
    if ".." not in text:
        if "{" in text or "$" in text:
            raise NotUnderstood("braces within braces that hold no comma")
        return []
    return [[[Bit(item)]] for item in _sequence(text)]


def _sequence(text: str) -> Iterator[str]:
    found = _SEQUENCE.fullmatch(text)
    if found is None or (found[1] and any(re.match(r"-?0\d", end) for end in (found[1], found[2]))):
        raise NotUnderstood("braces hold a sequence that is not plain")
    first, last = (int(found[1]), int(found[2])) if found[1] else (ord(text[0]), ord(text[-1]))
    step = abs(int(found[3] or 1)) or 1
    values = range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
    if len(values) > _MOST_WORDS:
        raise NotUnderstood("braces make too many words of one")
    return (str(value) if found[1] else chr(value) for value in values)


def _is(bit: Bit, character: str) -> bool:
    return not bit.quoted and bit.text == character


# --- tokens --------------------------------------------------------------------------------------------------------


def bare(text: str) -> list[Bit]:
    """A token without quotes: backslashes quote. Raises NotUnderstood for what ends a token in bash, or begins an expansion."""
    bits: list[Bit] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            if at + 1 == len(text):
                raise NotUnderstood("it ends in a backslash")
            if text[at + 1] != "\n":
                bits.append(Bit(text[at + 1], quoted=True))
            at += 2
            continue
        if character in _LIVE or _STARTS_EXPANSION.match(text, at):
            raise NotUnderstood(f"a word holds {character!r}")
        bits.append(Bit(character))
        at += 1
    return _joined(bits)


def in_quotes(text: str) -> list[Bit]:
    """A piece of what stands in double quotes, between two expansions."""
    value = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\\" and at + 1 < len(text) and text[at + 1] in _QUOTES_ESCAPE:
            value.append(text[at + 1].replace("\n", ""))
            at += 2
            continue
        if character in '`"' or ((found := _STARTS_EXPANSION.match(text, at)) and found[0][1] not in "'\""):
            raise NotUnderstood(f"a string holds {character!r}")
        value.append(character)
        at += 1
    return [Bit("".join(value), quoted=True)]


def ansi(text: str) -> list[Bit]:
    """`$'...'`. What gives bytes that are no UTF-8, or depends on the locale, is not known."""
    data = bytearray()
    for octal, hexadecimal, ascii_, named, other, run in _ANSI.findall(text[2:-1]):
        if octal or hexadecimal or ascii_:
            data.append(int(octal, 8) & 255 if octal else int(hexadecimal or ascii_, 16))
        elif named:
            data.append(_ESCAPES[named])
        elif other in ("x", "u", "U", "c"):
            return [Bit(text, quoted=True, known=False)]
        else:
            data += (f"\\{other}" if other else run).encode()
    try:
        value = data.decode("utf-8")
    except UnicodeDecodeError:
        return [Bit(text, quoted=True, known=False)]
    return [Bit(value, quoted=True, known="\0" not in value)]
