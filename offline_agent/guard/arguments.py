"""Which files a command reads or changes, by its words: `cp a b` reads a and changes b.

Nothing is passed over in silence. An argument that no declaration explains is looked at: where it is the path of a file, or is
written like a path that leads outside, it counts as read.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from offline_agent.guard.shapes import INERT, Shape
from offline_agent.guard.shell_words import Word, literal

CODE = "the code in its arguments is not looked at"
RUNS = "an option makes it run something else"
_INPUT = "what it does comes from its input"


class Access(NamedTuple):
    """A path that is used. `sure` is false for what is one only if there is such a file, or if it leads outside. `inside` is asked
    for in place of `read` where it is a directory. `base` are the words of directories that it is relative to."""

    permission: str
    word: Word
    sure: bool = True
    inside: str = "list"
    base: tuple[Word, ...] = ()


class Accesses(NamedTuple):
    paths: tuple[Access, ...] = ()
    urls: tuple[str, ...] = ()
    fault: str = ""
    """Why the words do not tell what is done."""


def is_inert(name: str) -> bool:
    return name in INERT


def leads_outside(text: str) -> bool:
    """Whether it is written like a path that may lead out of the repository."""
    return text.startswith(("/", "~")) or ".." in text.split("/")


def shaped(words: Sequence[Word], shape: Shape, is_directory: Callable[[Word], bool]) -> Accesses:
    found = Options(words, shape)
    arguments, paths = found.arguments, list(found.paths)
    each = "edit" if found.changes else shape.each
    roles = [each] * len(arguments)
    if arguments and shape.first is not None and not found.supplied:
        roles[0] = shape.first
    if shape.last and len(arguments) > 1 and not found.supplied:
        roles[-1] = shape.last
    for word, role in zip(arguments, roles, strict=True):
        if role == "edit" and word is arguments[-1] and shape.last and is_directory(word):
            paths += [Access("edit", below(word, source)) for source in arguments[:-1]]
        else:
            paths += _accesses(role, word, shape.inside)
    fault = found.fault or (CODE if shape.code and arguments else "")
    if (
        shape.needs
        and all(word.value == "-" for word in arguments)
        and not any((word.value or "") in shape.needs.split() for word in words[1:])
    ):
        fault = fault or _INPUT
    return Accesses(tuple(paths), (), fault)


def _accesses(role: str, word: Word, inside: str = "list") -> Iterator[Access]:
    if role == "look":
        yield from looked_at(word)
    elif role and word.value != "-":
        for permission in role.split("+"):
            yield Access(permission, word, inside=inside)


def looked_at(word: Word) -> Iterator[Access]:
    """The whole word, and what in it may be a path: `--file=x`, `x:y`, `@x`, `-ox`."""
    text = word.value
    if text is None:
        return
    yield Access("read", word, sure=False)
    pieces = {piece for mark in "=:,@" for piece in text.split(mark)} - {text, ""}
    pieces |= {text.partition("=")[2]} - {text, ""}
    if text.startswith("-") and not text.startswith("--"):
        pieces |= {text[2:]} - {""}
    for piece in sorted(pieces):
        yield Access("read", path_word(piece), sure=False)


def path_word(text: str) -> Word:
    """A word of the value of an option, where programs take a tilde for the home directory as shells do."""
    return literal(text)._replace(home=text == "~" or text.startswith("~/"))


def below(directory: Word, source: Word) -> Word:
    name = (source.value or "").rstrip("/").rpartition("/")[2]
    if not name or directory.value is None:
        return directory
    return directory._replace(value=f"{directory.value.rstrip('/') or '/'}/{name}", pattern="")


class Options:
    """Options, and what is left: the arguments."""

    def __init__(self, words: Sequence[Word], shape: Shape) -> None:
        self.arguments: list[Word] = []
        self.paths: list[Access] = []
        self.fault = ""
        self.changes = self.supplied = False
        self._shape = shape
        waiting = list(reversed(words[1:]))
        while waiting:
            word = waiting.pop()
            text = word.value
            if text == "--" or (shape.stops and self.arguments):
                self.arguments += [*([] if text == "--" and not self.arguments else [word]), *reversed(waiting)]
                break
            if text is None or text == "-" or not text.startswith(("-", "+")):
                self.arguments.append(word)
            elif text.startswith("+"):
                self._plus(word)
            elif text.startswith("--"):
                self._long(text, waiting)
            elif not self._single(text, waiting):
                self._short(text, waiting)

    def _plus(self, word: Word) -> None:
        if "+" in self._shape.runs.split():
            self.fault = RUNS
        else:
            self.arguments.append(word)

    def _long(self, text: str, waiting: list[Word]) -> None:
        name, equals, value = text.partition("=")
        takes = self._apply(lambda option: option.startswith("--") and option.startswith(name), name)
        if equals:
            self._value(takes, path_word(value))
        elif takes is not None and waiting:
            self._value(takes, waiting.pop())

    def _single(self, text: str, waiting: list[Word]) -> bool:
        """`-in FILE`: words after one dash."""
        takes = self._apply(lambda option: len(option) > 2 and option == text, text)
        if takes is not None and waiting:
            self._value(takes, waiting.pop())
        return takes is not None

    def _short(self, text: str, waiting: list[Word]) -> None:
        for at, letter in enumerate(text[1:], 1):
            takes = self._apply(lambda option, letter=letter: option == f"-{letter}", f"-{letter}")  # type: ignore[misc]
            if takes is None:
                continue
            rest = text[at + 1 :]
            if rest:
                self._value(takes, path_word(rest))
            elif waiting:
                self._value(takes, waiting.pop())
            return
        if len(text) > 2:
            self.paths += looked_at(literal(text))

    def _apply(self, named: Callable[[str], bool], name: str) -> str | None:
        """What the value of an option is, None where it has none that is declared."""
        shape = self._shape

        def among(options: str) -> bool:
            return any(named(option) for option in options.split())

        if among(shape.runs):
            self.fault = RUNS if name.startswith("--") or name not in ("-c", "-e", "-E") else CODE
            return ""
        self.changes = self.changes or among(shape.changes)
        self.supplied = self.supplied or among(shape.supplies)
        for options, permission in ((shape.edits, "edit"), (shape.reads, "read"), (shape.values, "")):
            if among(options):
                return permission
        return None

    def _value(self, permission: str | None, word: Word) -> None:
        if permission is None:
            self.paths += looked_at(word)
        elif permission and word.value != "-":
            self.paths.append(Access(permission, word))
