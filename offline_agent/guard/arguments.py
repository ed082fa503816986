"""Which files a command reads or changes, by its words: `cp a b` reads a and changes b.

Nothing is passed over in silence. An argument that no declaration explains is looked at: where it is the path of a file, or is
written like a path that leads outside, it counts as read.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from offline_agent.guard.shapes import INERT, SHAPES, UNKNOWN, Shape
from offline_agent.guard.shell_words import Word, literal

_CODE = "the code in its arguments is not looked at"
_RUNS = "an option makes it run something else"
_INPUT = "what it does comes from its input"
_SAFE_SED = re.compile(
    r"""\s*(?:(?:\d+|\$|/(?:\\.|[^/\\\[\n])*/I?)(?:\s*[,~]\s*(?:[+~]?\d+|\$|/(?:\\.|[^/\\\[\n])*/I?))?\s*!?\s*)?
    (?:[pdqQ=nNPDhHgGxl]|s(?P<d>[/|,:\#@!%])(?:\\.|\[\^?[^\]\\^/|,:\#@!%\n]+\]|(?!(?P=d))[^\\\[\n])*(?P=d)
    (?:\\.|(?!(?P=d))[^\\\n])*(?P=d)[gpiI0-9]*)?\s*""",
    re.VERBOSE,
)


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


def accesses_of(words: Sequence[Word], is_directory: Callable[[Word], bool]) -> Accesses:
    """What a simple command uses; its first word is known."""
    name = words[0].value or ""
    if special := _SPECIAL.get(name):
        return special(words, is_directory)
    return _shaped(words, SHAPES.get(name, UNKNOWN), is_directory)


def is_inert(name: str) -> bool:
    return name in INERT


def leads_outside(text: str) -> bool:
    """Whether it is written like a path that may lead out of the repository."""
    return text.startswith(("/", "~")) or ".." in text.split("/")


def _shaped(words: Sequence[Word], shape: Shape, is_directory: Callable[[Word], bool]) -> Accesses:
    found = _Options(words, shape)
    arguments, paths = found.arguments, list(found.paths)
    each = "edit" if found.changes else shape.each
    roles = [each] * len(arguments)
    if arguments and shape.first is not None and not found.supplied:
        roles[0] = shape.first
    if shape.last and len(arguments) > 1 and not found.supplied:
        roles[-1] = shape.last
    for word, role in zip(arguments, roles, strict=True):
        if role == "edit" and word is arguments[-1] and shape.last and is_directory(word):
            paths += [Access("edit", _below(word, source)) for source in arguments[:-1]]
        else:
            paths += _accesses(role, word, shape.inside)
    fault = found.fault or (_CODE if shape.code and arguments else "")
    if (
        shape.needs
        and all(word.value == "-" for word in arguments)
        and not any((word.value or "") in shape.needs.split() for word in words[1:])
    ):
        fault = fault or _INPUT
    return Accesses(tuple(paths), (), fault)


def _accesses(role: str, word: Word, inside: str = "list") -> Iterator[Access]:
    if role == "look":
        yield from _looked_at(word)
    elif role and word.value != "-":
        for permission in role.split("+"):
            yield Access(permission, word, inside=inside)


def _looked_at(word: Word) -> Iterator[Access]:
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
        yield Access("read", _path(piece), sure=False)


def _path(text: str) -> Word:
    """A word of the value of an option, where programs take a tilde for the home directory as shells do."""
    return literal(text)._replace(home=text == "~" or text.startswith("~/"))


def _below(directory: Word, source: Word) -> Word:
    name = (source.value or "").rstrip("/").rpartition("/")[2]
    if not name or directory.value is None:
        return directory
    return directory._replace(value=f"{directory.value.rstrip('/') or '/'}/{name}", pattern="")


class _Options:
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
            self.fault = _RUNS
        else:
            self.arguments.append(word)

    def _long(self, text: str, waiting: list[Word]) -> None:
        name, equals, value = text.partition("=")
        takes = self._apply(lambda option: option.startswith("--") and option.startswith(name), name)
        if equals:
            self._value(takes, _path(value))
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
                self._value(takes, _path(rest))
            elif waiting:
                self._value(takes, waiting.pop())
            return
        if len(text) > 2:
            self.paths += _looked_at(literal(text))

    def _apply(self, named: Callable[[str], bool], name: str) -> str | None:
        """What the value of an option is, None where it has none that is declared."""
        shape = self._shape

        def among(options: str) -> bool:
            return any(named(option) for option in options.split())

        if among(shape.runs):
            self.fault = _RUNS if name.startswith("--") or name not in ("-c", "-e", "-E") else _CODE
            return ""
        self.changes = self.changes or among(shape.changes)
        self.supplied = self.supplied or among(shape.supplies)
        for options, permission in ((shape.edits, "edit"), (shape.reads, "read"), (shape.values, "")):
            if among(options):
                return permission
        return None

    def _value(self, permission: str | None, word: Word) -> None:
        if permission is None:
            self.paths += _looked_at(word)
        elif permission and word.value != "-":
            self.paths.append(Access(permission, word))


# --- commands with a grammar of their own --------------------------------------------------------------------------


def _sed(words: Sequence[Word], is_directory: Callable[[Word], bool]) -> Accesses:
    """A script may read and write files, and run commands. One that only prints, deletes or replaces is taken as it is."""
    found = _shaped(words, SHAPES["sed"], is_directory)
    scripts = [after for word, after in pairwise(words) if _is_script_option(word.value or "")]
    scripts += [
        literal(text.partition("=")[2])
        for word in words
        if (text := word.value or "").startswith("--e") and "=" in text
    ]
    bundled = any(re.match(r"-[A-Za-z]*e.", word.value or "") for word in words)
    if not scripts:
        scripts = [word for word in words[1:] if not (word.value or "").startswith("-")][:1]
    safe = all(word.value is not None and _is_safe_script(word.value) for word in scripts) and not bundled
    return found._replace(fault=found.fault or ("" if safe else _CODE))


def _is_script_option(text: str) -> bool:
    return (text.startswith("--e") and "=" not in text) or bool(re.fullmatch(r"-[A-Za-z]*e", text))


def _is_safe_script(script: str) -> bool:
    return all(_SAFE_SED.fullmatch(part) for line in script.split("\n") for part in _commands(line))


def _commands(line: str) -> list[str]:
    """The commands of a line: a semicolon ends one, but not between the delimiters of a replacement."""
    if _SAFE_SED.fullmatch(line):
        return [line]
    head, semicolon, rest = line.partition(";")
    while semicolon and not _SAFE_SED.fullmatch(head):
        more, semicolon, rest = rest.partition(";")
        head = f"{head};{more}"
    return [head, *_commands(rest)] if semicolon else [head]


def _find(words: Sequence[Word], is_directory: Callable[[Word], bool]) -> Accesses:
    paths: list[Access] = []
    starts: list[Word] = []
    rest = list(words[1:])
    while rest and rest[0].value in ("-H", "-L", "-P"):
        del rest[0]
    while rest and not (rest[0].value or "").startswith(("-", "(", "!", ",")):
        starts.append(rest.pop(0))
    starts = starts or [literal(".")]
    changes = False
    for at, word in enumerate(rest):
        text, after = word.value or "", rest[at + 1] if at + 1 < len(rest) else None
        if text.startswith(("-fprint", "-fls")) and after:
            paths.append(Access("edit", after))
        elif text in ("-newer", "-anewer", "-cnewer", "-samefile", "-files0-from") or text.startswith("-newer"):
            paths += [Access("read", after, sure=text == "-files0-from")] if after else []
        changes = changes or text == "-delete"
    paths += [Access("list", start) for start in starts]
    paths += [Access("edit", start) for start in starts if changes]
    return Accesses(tuple(paths))


def _dd(words: Sequence[Word], _: Callable[[Word], bool]) -> Accesses:
    paths = []
    for word in words[1:]:
        name, _equals, value = (word.value or "").partition("=")
        if name in ("if", "of") and value:
            paths.append(Access("read" if name == "if" else "edit", _path(value)))
    return Accesses(tuple(paths))


_TAR_RUNS = "--to-command --checkpoint-action -I --use-compress-program -F --info-script --new-volume-script "
"--rsh-command --rmt-command"


def _tar(words: Sequence[Word], is_directory: Callable[[Word], bool]) -> Accesses:
    """`tar xzf a.tgz -C dir`: the first word needs no dash."""
    texts = [word.value or "" for word in words]
    old = len(words) > 1 and not texts[1].startswith("-")
    modes = set(texts[1:2]) if old else set()
    modes |= {text[1:] for text in texts if text.startswith("-") and not text.startswith("--")}
    letters = set("".join(modes))
    long = [text for text in texts if text.startswith("--")]
    writes = bool(letters & set("cruA")) or any(
        text.startswith(("--cr", "--app", "--up", "--ca", "--con", "--de")) for text in long
    )
    unpacks = "x" in letters or any(text.startswith(("--ex", "--ge")) and not text.startswith("--exc") for text in long)
    shape = Shape(
        each="read" if writes else "",
        edits="-f --file" if writes else "-C --directory",
        reads="-T --files-from -X --exclude-from" + (" -C --directory" if writes else " -f --file"),
        runs=_TAR_RUNS,
        values="--exclude --strip-components --transform --owner --group --mode --mtime -b -s",
        inside="list",
    )
    bundle = [literal(f"-{texts[1]}")] if old and words[1].value is not None else []
    # In the old way the values of options follow in the order of the letters; only f has one as a rule.
    if bundle and "f" in texts[1]:
        bundle = [literal("-" + texts[1].replace("f", "") + "f")]
    found = _shaped([words[0], *(bundle or words[1:2]), *words[2:]], shape, is_directory)
    bases = [after for word, after in pairwise(words) if word.value in ("-C", "--directory")]
    paths = [
        access._replace(base=tuple(bases))
        if writes and access.word not in bases and access.permission == "read"
        else access
        for access in found.paths
    ]
    if unpacks and not bases:
        paths.append(Access("edit", literal(".")))
    return found._replace(paths=tuple(paths))


def _ln(words: Sequence[Word], is_directory: Callable[[Word], bool]) -> Accesses:
    """A symbolic link leads from where it is."""
    found = _Options(
        words, Shape(edits="-t --target-directory", values="-S --suffix", supplies="-t --target-directory")
    )
    arguments, paths = found.arguments, list(found.paths)
    symbolic = any(re.match(r"-[A-Za-z]*s|--sy", word.value or "") for word in words[1:])
    targets, link = (arguments[:-1], arguments[-1]) if len(arguments) > 1 and not found.supplied else (arguments, None)
    for target in targets:
        base = _directory_of(link, is_directory) if symbolic and link is not None else ()
        paths.append(Access("read", target, base=base))
        if link is not None:
            paths.append(Access("edit", _below(link, target) if is_directory(link) else link))
        elif not found.supplied:
            paths.append(Access("edit", _below(literal("."), target)))
    return Accesses(tuple(paths), (), found.fault)


def _directory_of(link: Word, is_directory: Callable[[Word], bool]) -> tuple[Word, ...]:
    if is_directory(link):
        return (link,)
    head = (link.value or "").rpartition("/")[0]
    return (link._replace(value=head, pattern=""),) if head else ()


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_CURL = Shape(
    each="",
    edits="-o --output -c --cookie-jar -D --dump-header --output-dir --trace --trace-ascii --stderr --etag-"
    "save --hsts --alt-svc -P --directory-prefix "
    "-O --output-document -a --append-output --save-cookies",
    reads="-K --config -T --upload-file -b --cookie -E --cert --key --cacert --netrc-file -i --input-file "
    "--load-cookies --post-file --body-file",
    values="-X --request -H --header -A --user-agent -e --referer -m --max-time -u --user -w --write-out "
    "--retry --connect-timeout -x --proxy -U --user-agent",
    runs="--use-askpass",
)


def _fetch(words: Sequence[Word], is_directory: Callable[[Word], bool]) -> Accesses:
    """curl, wget and their like."""
    curl = words[0].value == "curl"
    shape = (
        _CURL._replace(edits=_CURL.edits.replace("-O ", "").replace("-P ", "").replace("-a ", "")) if curl else _CURL
    )
    found = _shaped(words, shape, is_directory)
    paths = list(found.paths)
    for word in words[1:]:
        text = word.value or ""
        name = text.partition("@")[2].partition(";")[0]
        if name and not _URL.match(text):
            paths.append(Access("read", _path(name), sure=text.startswith("@") or "=@" in text))
        if text.startswith("file:"):
            paths.append(Access("read", literal(re.sub(r"^file:(//[^/]*)?", "", text))))
    urls = [
        word.value
        for word in words[1:]
        if word.value
        and not word.value.startswith("-")
        and _is_url(word.value)
        and all(path.word != word for path in found.paths)
    ]
    return Accesses(tuple(paths), tuple(urls), found.fault)


def _is_url(text: str) -> bool:
    return bool(_URL.match(text)) or bool(
        re.fullmatch(r"[\w.-]+\.[A-Za-z]{2,}(:\d+)?(/\S*)?|localhost(:\d+)?(/\S*)?|[\d.]+:\d+\S*", text)
    )


_GIT_VALUES = frozenset(
    {"--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env", "--super-prefix", "--attr-source"}
)
_MAGIC = re.compile(r"[*?\[]|^:[(!/^]")
_GIT_RUNS = {
    "": ("--ext-diff", "--textconv"),
    "grep": ("-O", "--open-files-in-pager"),
    "rebase": ("-x", "--exec", "-i", "--interactive"),
    "filter-branch": ("",),
    "difftool": ("",),
    "mergetool": ("",),
    "clone": ("-u", "--upload-pack", "-c", "--config", "--template"),
    "fetch": ("--upload-pack",),
    "pull": ("--upload-pack",),
    "ls-remote": ("--upload-pack", "--exec"),
    "push": ("--receive-pack", "--exec"),
    "archive": ("--exec", "--remote"),
    "bundle": (),
    "send-email": ("",),
    "credential": ("",),
    "daemon": ("",),
    "help": ("",),
    "web--browse": ("",),
}
_GIT_SHOWS = frozenset({"show", "cat-file", "checkout", "diff", "grep", "archive", "blame"})
_GIT_CHANGES = frozenset(
    {"checkout", "restore", "rm", "mv", "clean", "apply", "am", "init", "worktree", "switch", "sparse-checkout"}
)
_GIT_WORDS = frozenset(
    {
        "-m",
        "--message",
        "--author",
        "--date",
        "--grep",
        "-S",
        "-G",
        "--since",
        "--until",
        "--format",
        "--pretty",
        "-n",
        "-b",
        "-B",
    }
)


def _git(words: Sequence[Word], is_directory: Callable[[Word], bool]) -> Accesses:
    at, bases, fault = 1, [], ""
    while at < len(words) and (text := words[at].value or "-?").startswith("-"):
        if text == "-C" and at + 1 < len(words):
            at += 1
            bases.append(words[at])
        elif text == "-c" or text.startswith("-c") or text.partition("=")[0] in _GIT_VALUES:
            fault = "an option changes how git is set up"
            at += "=" not in text or text == "-c"
        at += 1
    command = words[at].value or "" if at < len(words) else ""
    rest = words[at + 1 :]
    fault = fault or _git_fault(command, rest)
    paths = [Access("list", base) for base in bases]
    paths += [access._replace(base=(*bases, *access.base)) for access in _git_paths(command, rest)]
    urls = tuple(w.value for w in rest if w.value and _URL.match(w.value) and not w.value.startswith("-"))
    return Accesses(
        tuple(paths),
        urls if command in ("clone", "fetch", "pull", "push", "ls-remote", "submodule", "remote") else (),
        fault,
    )


def _git_fault(command: str, rest: Sequence[Word]) -> str:
    for word in rest:
        text = word.value or ""
        if text == "--":
            break
        for option in (*_GIT_RUNS[""], *_GIT_RUNS.get(command, ())):
            cut = option.startswith("--") and len(text) > 3 and option.startswith(text.partition("=")[0])
            if option and (text.startswith(option) or cut):
                return _RUNS
    if (
        any(_MAGIC.search(word.value or "") for word in rest if not (word.value or "").startswith("-"))
        and command != "grep"
    ):
        return "git has wildcards of its own in it"
    return _RUNS if "" in _GIT_RUNS.get(command, ()) else ""


def _git_paths(command: str, rest: Sequence[Word]) -> Iterator[Access]:
    waiting = list(reversed(rest))
    while waiting:
        word = waiting.pop()
        text = word.value
        if text == "--":
            for path in waiting:
                yield from _pathspec(command, path, sure=True)
            return
        if text in _GIT_WORDS:
            waiting = waiting[:-1]
        elif text is not None and text.startswith("-"):
            yield from _git_option(text)
        elif text is not None and ":" in text and not _URL.match(text):
            # `REV:PATH` is a file of the history, from the root of the repository; `REV:./PATH` from where git is run.
            path_text = text.rpartition(":")[2]
            if path_text:
                yield Access("read", _path(path_text), sure=command in _GIT_SHOWS)
        elif text is not None:
            yield from _pathspec(command, word, sure=command in ("rm", "mv", "apply", "am"))


def _git_option(text: str) -> Iterator[Access]:
    name, _, value = text.partition("=")
    if name.startswith("--ou") and value:
        yield Access("edit", _path(value))
    elif name not in _GIT_WORDS:
        yield from (access for access in _looked_at(literal(text)) if access.word.value != text)


def _pathspec(command: str, word: Word, sure: bool) -> Iterator[Access]:
    yield Access("edit" if command in _GIT_CHANGES and sure else "read", word, sure=sure, inside="grep")
    if command in _GIT_CHANGES and not sure:
        yield Access("edit", word, sure=False)


_SPECIAL: dict[str, Callable[[Sequence[Word], Callable[[Word], bool]], Accesses]] = {
    "sed": _sed,
    "find": _find,
    "dd": _dd,
    "tar": _tar,
    "bsdtar": _tar,
    "ln": _ln,
    "git": _git,
    **dict.fromkeys(("curl", "wget", "aria2c", "http", "https", "httpie", "lynx", "w3m", "links"), _fetch),
}
