"""Which files a command uses: by the declarations of shapes.py, or by the grammar that some arguments have of their own."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from offline_agent.guard.arguments import CODE, Access, Accesses, Options, below, path_word, shaped
from offline_agent.guard.git_arguments import of_git
from offline_agent.guard.shapes import SHAPES, UNKNOWN, Shape
from offline_agent.guard.shell_words import Word, literal

SETS = "it sets a variable"
NAMES = "a test of a variable may run what its name holds"

_SAFE_SED = re.compile(
    r"""\s*(?:(?:\d+|\$|/(?:\\.|[^/\\\[\n])*/I?)(?:\s*[,~]\s*(?:[+~]?\d+|\$|/(?:\\.|[^/\\\[\n])*/I?))?\s*!?\s*)?
    (?:[pdqQ=nNPDhHgGxl]|s(?P<d>[/|,:\#@!%])(?:\\.|\[\^?[^\]\\^/|,:\#@!%\n]+\]|(?!(?P=d))[^\\\[\n])*(?P=d)
    (?:\\.|(?!(?P=d))[^\\\n])*(?P=d)[gpiI0-9]*)?\s*""",
    re.VERBOSE,
)


def accesses_of(words: Sequence[Word], is_directory: Callable[[Word], bool]) -> Accesses:
    """What a simple command uses; its first word is known."""
    name = words[0].value or ""
    if special := _SPECIAL.get(name):
        return special(words, is_directory)
    return shaped(words, SHAPES.get(name, UNKNOWN), is_directory)


def _sed(words: Sequence[Word], is_directory: Callable[[Word], bool]) -> Accesses:
    """A script may read and write files, and run commands. One that only prints, deletes or replaces is taken as it is."""
    found = shaped(words, SHAPES["sed"], is_directory)
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
    return found._replace(fault=found.fault or ("" if safe else CODE))


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
    while rest and re.fullmatch(r"-[HLP]|-O.*|-D", rest[0].value or ""):
        del rest[: 2 if rest[0].value == "-D" else 1]
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


def _printf(words: Sequence[Word], _: Callable[[Word], bool]) -> Accesses:
    """`printf -v PATH ...` changes where the commands after it come from, and `-v 'a[$(x)]'` runs x."""
    sets = len(words) > 1 and (words[1].value or "").startswith("-v")
    return Accesses(fault=SETS if sets else "")


def _test(words: Sequence[Word], is_directory: Callable[[Word], bool]) -> Accesses:
    """`test -v 'a[$(x)]'` runs x: what names a variable is an expression."""
    found = shaped(words, SHAPES["test"], is_directory)
    names = any(word.value in ("-v", "-R") for word in words[1:])
    return found._replace(fault=found.fault or (NAMES if names else ""))


def _dd(words: Sequence[Word], _: Callable[[Word], bool]) -> Accesses:
    paths = []
    for word in words[1:]:
        name, _equals, value = (word.value or "").partition("=")
        if name in ("if", "of") and value:
            paths.append(Access("read" if name == "if" else "edit", path_word(value)))
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
    found = shaped([words[0], *(bundle or words[1:2]), *words[2:]], shape, is_directory)
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
    found = Options(words, Shape(edits="-t --target-directory", values="-S --suffix", supplies="-t --target-directory"))
    arguments, paths = found.arguments, list(found.paths)
    symbolic = any(re.match(r"-[A-Za-z]*s|--sy", word.value or "") for word in words[1:])
    targets, link = (arguments[:-1], arguments[-1]) if len(arguments) > 1 and not found.supplied else (arguments, None)
    for target in targets:
        base = _directory_of(link, is_directory) if symbolic and link is not None else ()
        paths.append(Access("read", target, base=base))
        if link is not None:
            paths.append(Access("edit", below(link, target) if is_directory(link) else link))
        elif not found.supplied:
            paths.append(Access("edit", below(literal("."), target)))
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
    found = shaped(words, shape, is_directory)
    paths = list(found.paths)
    for word in words[1:]:
        text = word.value or ""
        name = text.partition("@")[2].partition(";")[0]
        if name and not _URL.match(text):
            paths.append(Access("read", path_word(name), sure=text.startswith("@") or "=@" in text))
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


_SPECIAL: dict[str, Callable[[Sequence[Word], Callable[[Word], bool]], Accesses]] = {
    "sed": _sed,
    "find": _find,
    "dd": _dd,
    "printf": _printf,
    **dict.fromkeys(("test", "["), _test),
    "tar": _tar,
    "bsdtar": _tar,
    "ln": _ln,
    "git": lambda words, _: of_git(words),
    **dict.fromkeys(("curl", "wget", "aria2c", "http", "https", "httpie", "lynx", "w3m", "links"), _fetch),
}
