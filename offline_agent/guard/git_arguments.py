"""Which files a git command uses: paths after `--`, `REV:PATH`, and what its options name.

What is in the history of a file that may not be read is asked for as that file. Wildcards that git reads itself, and options that
make it run something, are not understood.
"""

import re
from collections.abc import Iterator, Sequence

from offline_agent.guard.arguments import RUNS, Access, Accesses, looked_at, path_word
from offline_agent.guard.shell_words import Word, literal

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
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


def of_git(words: Sequence[Word]) -> Accesses:
    """What a git command uses."""
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
                return RUNS
    if (
        any(_MAGIC.search(word.value or "") for word in rest if not (word.value or "").startswith("-"))
        and command != "grep"
    ):
        return "git has wildcards of its own in it"
    return RUNS if "" in _GIT_RUNS.get(command, ()) else ""


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
                yield Access("read", path_word(path_text), sure=command in _GIT_SHOWS)
        elif text is not None:
            yield from _pathspec(command, word, sure=command in ("rm", "mv", "apply", "am"))


def _git_option(text: str) -> Iterator[Access]:
    name, _, value = text.partition("=")
    if name.startswith("--ou") and value:
        yield Access("edit", path_word(value))
    elif name not in _GIT_WORDS:
        yield from (access for access in looked_at(literal(text)) if access.word.value != text)


def _pathspec(command: str, word: Word, sure: bool) -> Iterator[Access]:
    yield Access("edit" if command in _GIT_CHANGES and sure else "read", word, sure=sure, inside="grep")
    if command in _GIT_CHANGES and not sure:
        yield Access("edit", word, sure=False)
