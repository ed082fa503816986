"""One simple command, its words known: the requests for itself, for what it runs and for the files it uses."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from offline_agent.actions import Request
from offline_agent.errors import Denied, GuardError
from offline_agent.guard import arguments, git_runs, shell_globs, variables, wrappers
from offline_agent.guard.arguments import Access
from offline_agent.guard.arities import always_of
from offline_agent.guard.paths import Located
from offline_agent.guard.shell_state import Outcome, State, same
from offline_agent.guard.shell_text import NotUnderstood
from offline_agent.guard.shell_words import Word, literal
from offline_agent.guard.uses import accesses_of

_SYSTEM = re.compile(r"/(?:usr/)?(?:local/)?s?bin/([^/]+)")
_DEVICES = re.compile(r"/dev/(null|zero|full|u?random|tty|std(in|out|err)|fd/\d+)")
_PLAIN_TARGET = re.compile(r"[A-Za-z0-9_./+,:@%-]+")
_NETWORK = re.compile(r"/dev/(tcp|udp)/(.*)")
_FORGETTING = frozenset(
    {"read", "mapfile", "readarray", "getopts", "let", "wait", "printf", "eval", "trap", "command"}
) | {"builtin"}
_STRANGE = frozenset({"shopt", "enable", "alias", "unalias", "hash", ".", "source", "trap", "let"})
_PLAIN_SET = re.compile(r"[-+][eux]+o?|pipefail|errexit|nounset|[-+]o")
_ENDS = frozenset({"exit", "exec"})
_MOST_REQUESTS = 1000

_UNKNOWN_NAME = "which command it runs is not known"
_UNKNOWN_ARGUMENT = "what an expansion stands for is not known"
_UNKNOWN_DIRECTORY = "the directory that it runs in is not known"
_TOO_MANY = "its wildcards match too many files"
# A stranger's repository may have files that are called -exec, or -delete.
_OPTIONS = "its wildcards match a file that is named like an option"


class Commands:
    """`nested` judges a line inside a command, and gives the state after it."""

    def __init__(self, root: Path, locate: Callable[[str], Located], nested: Callable[[str, State], Outcome]) -> None:
        self._root = root
        self._locate = locate
        self._nested = nested
        self._found: dict[Request, None] = {}
        self._defined: set[str] = set()

    @property
    def requests(self) -> tuple[Request, ...]:
        """Each once, in the order in which they were met."""
        return tuple(self._found)

    def doubt(self, text: str, why: str) -> None:
        self._add(Request(permission="bash", value=text, why=why, understood=False))

    def function(self, name: str) -> None:
        self._defined.add(name)

    def assignment(self, name: str, text: str) -> None:
        always = "" if variables.is_dangerous(name) or set(name) & set("*?") else f"{name}=*"
        self._add(Request(permission="bash", value=text, why=f"programs may do what {name} says", always=always))

    def declared(self, words: Sequence[Word]) -> None:
        self._add(self._request(words, "" if all(word.value is not None for word in words) else _UNKNOWN_ARGUMENT))

    def _add(self, request: Request) -> None:
        self._found.setdefault(request)
        if len(self._found) > _MOST_REQUESTS:
            raise NotUnderstood("it asks for too much to be judged")

    # --- commands ---

    def simple(self, words: Sequence[Word], state: State, fault: str = "") -> Outcome:
        """Every request of a command, and the state after it."""
        words = _plainly_named(words)
        name = words[0].value
        if name is None or words[0].pattern or words[0].home or not name:
            self._add(self._request(words, _UNKNOWN_NAME))
            return same(state.lost()._replace(strange=True))
        given, fault = self._given(words, state, fault)
        unwrapped = wrappers.unwrap(words)
        inside = [self._inner(inner, state) for inner in unwrapped.inners] if unwrapped else []
        own = unwrapped.own if unwrapped and unwrapped.own is not None else given
        used = accesses_of(own, lambda word: self._is_directory(word, state))
        fault = fault or (unwrapped.fault if unwrapped else "") or used.fault
        if not fault and state.directories is None and len(own) > 1 and not arguments.is_inert(name):
            fault = _UNKNOWN_DIRECTORY
        if name == "git" and not fault and self._git_runs_more(state):
            fault = git_runs.FAULT
        request = self._request(words, fault)
        # Of a command that runs another, an approval for good would cover whatever it runs.
        self._add(request.model_copy(update={"always": ""}) if inside else request)
        if "/" in name:
            self._access(Access("read", literal(name)), state)
        for access in used.paths:
            self._access(access, state)
        for url in used.urls:
            self._add(Request(permission="webfetch", value=url))
        return self._after(name, given, state, [outcome for inner, outcome in inside if inner.here])

    def _given(self, words: Sequence[Word], state: State, fault: str) -> tuple[list[Word], str]:
        """What the program is given: wildcards are files by then."""
        given: list[Word] = []
        for word in words:
            if word.value is None and not arguments.is_inert(words[0].value or ""):
                fault = fault or _UNKNOWN_ARGUMENT
            if not word.pattern:
                given.append(word)
                continue
            found = self.matching(word, state)
            if found is None:
                fault = fault or _TOO_MANY
            elif any(path.startswith("-") for path in found):
                fault = fault or _OPTIONS
            # Where nothing matches, the pattern is given as it is.
            given += [literal(path) for path in found] if found else [word._replace(pattern="")]
        return given, fault

    def matching(self, word: Word, state: State) -> tuple[str, ...] | None:
        """The files that wildcards stand for; None where that is not known, or they are too many."""
        if state.strange or word.home or state.directories is None:
            return None
        try:
            found = [
                path for place in state.directories for path in shell_globs.expand(word.pattern, self._absolute(place))
            ]
        except (shell_globs.TooMany, ValueError):
            return None
        return tuple(dict.fromkeys(found))

    def _git_runs_more(self, state: State) -> bool:
        places = [Path(self._real(place)) for place in state.directories or (".",)]
        return any(git_runs.may_run_more(place, self._root) for place in places)

    def _inner(self, inner: wrappers.Inner, state: State) -> tuple[wrappers.Inner, Outcome]:
        if inner.directory is not None:
            state = self._entered(inner.directory, state)
        elif inner.later:
            state = state.lost()
        for word in inner.assignments:
            text = word.value if word.value is not None else word.shown
            if not variables.is_harmless(text.partition("=")[0]):
                self.assignment(text.partition("=")[0], text)
        if inner.line is not None:
            before = state if inner.here else State(state.directories)
            if inner.fault:
                self.doubt(inner.line, inner.fault)
            outcome = self._nested(inner.line, before)
        else:
            outcome = self.simple(inner.words, state, inner.fault)
        return inner, outcome

    def _entered(self, directory: Word, state: State) -> State:
        if directory.value is None or state.directories is None:
            return state.lost()
        self._access(Access("list", directory), state)
        return state._replace(directories=tuple(self._joined(place, directory) for place in state.directories))

    def _request(self, words: Sequence[Word], fault: str) -> Request:
        text = _shown(words)
        always = "" if fault or not words[0].value else always_of([word.shown for word in words])
        if words[0].value in self._defined:
            always = ""
        return Request(permission="bash", value=text, why=fault, always=always, understood=not fault)

    # --- what is known after it ---

    def _after(self, name: str, words: Sequence[Word], state: State, here: Sequence[Outcome]) -> Outcome:
        for outcome in here:
            if name in ("exec",):
                break
            return Outcome(outcome.success.forgetful(), outcome.failure.forgetful()) if name == "eval" else outcome
        if name in ("cd", "pushd", "popd"):
            return self._moved(name, words, state)
        if name in _ENDS and len(words) <= 2 and (name == "exit" or len(words) == 2):
            return same(state._replace(reachable=False))
        if name == "set" and not all(word.value is not None and _PLAIN_SET.fullmatch(word.value) for word in words[1:]):
            return same(state.forgetful()._replace(strange=True))
        if name in (".", "source"):
            return same(state.lost()._replace(strange=True))
        if name in _FORGETTING:
            state = state.forgetful()
        return same(state._replace(strange=True) if name in _STRANGE else state)

    def _moved(self, name: str, words: Sequence[Word], state: State) -> Outcome:
        state = state.without("PWD", "OLDPWD")
        targets = [word for word in words[1:] if not (word.value or "").startswith("-") or word.value == "-"]
        target = targets[0] if targets else literal("~")._replace(home=True)
        unknown = target.value is None or target.value == "-" or target.value[:1] == "+" or len(targets) > 1
        if unknown or name == "popd" or (name == "pushd" and not targets) or state.directories is None or state.strange:
            lost = state._replace(directories=None)
            return Outcome(lost, lost)
        there = tuple(dict.fromkeys(place for old in state.directories for place in self._destinations(old, target)))
        arrived = state._replace(directories=there)
        exists = all(os.path.isdir(self._absolute(place)) for place in there)
        return Outcome(arrived, state._replace(reachable=not exists))

    def _destinations(self, old: str, target: Word) -> list[str]:
        """Where `cd` leads: by name, as shells have it, and by the links themselves, where that is not the same."""
        way = self._joined(old, target)
        by_name = os.path.normpath(way) if not way.startswith("~") else way
        if ".." not in way.split("/") or self._real(way) == self._real(by_name):
            return [by_name]
        return [by_name, way]

    def _real(self, place: str) -> str:
        return os.path.realpath(self._absolute(place))

    # --- files ---

    def redirect(self, operator: str, word: Word, state: State) -> None:
        """`> FILE`, `< FILE`, `>& 2`."""
        if operator in ("<&", ">&") and re.fullmatch(r"\d+-?|-", word.value or ""):
            return
        if operator in ("<&", ">&") and not _PLAIN_TARGET.fullmatch(word.value or ""):
            # bash expands this word, and then what came of it once more (redir.c): `>&'$(ls)'` runs ls.
            raise NotUnderstood(f"what stands after {operator} is expanded twice")
        permission = "read" if operator in ("<", "<&") else "edit"
        network = _NETWORK.fullmatch(word.value or "")
        if network:
            url = f"{network[1]}://{network[2].replace('/', ':', 1)}"
            self._add(Request(permission="webfetch", value=url, why="bash network device"))
        elif word.value is None:
            self._add(Request(permission=permission, value=word.shown, why=_UNKNOWN_ARGUMENT, understood=False))
        else:
            found = self.matching(word, state) if word.pattern else ()
            if found is None:
                self._add(Request(permission=permission, value=word.shown, why=_TOO_MANY, understood=False))
            for one in [literal(path) for path in found or ()] or [word]:
                self._access(Access(permission, one), state)

    def _access(self, access: Access, state: State) -> None:
        word = access.word
        if word.value is None or not word.value:
            return  # then the command itself is not understood
        if _DEVICES.fullmatch(word.value):
            return
        if word.home or word.value.startswith("/") or state.directories is not None:
            for place in state.directories or (".",):
                for base in access.base:
                    place = self._joined(place, base)
                self._used(access, self._joined(place, word))
        elif access.sure or arguments.leads_outside(word.value):
            self._add(Request(permission=access.permission, value=word.value, why=_UNKNOWN_DIRECTORY, understood=False))

    def _used(self, access: Access, path: str) -> None:
        outside = access.word.home or arguments.leads_outside(access.word.value or "")
        absolute = self._absolute(path)
        if not access.sure and not outside and not _exists(absolute):
            return
        permission = access.permission
        if permission == "read" and _is_directory(absolute):
            permission = access.inside
        try:
            found = self._locate(path).requests(permission)
        except Denied as refusal:
            found = (Request(permission="external_directory", value=path, why=str(refusal)),)
        except GuardError as refusal:
            kind = "external_directory" if access.word.home else permission
            found = (Request(permission=kind, value=path, why=str(refusal), understood=False),)
        for request in found:
            self._add(request)

    def _is_directory(self, word: Word, state: State) -> bool:
        if word.value is None or not state.directories:
            return False
        return any(_is_directory(self._absolute(self._joined(place, word))) for place in state.directories)

    def _joined(self, place: str, word: Word) -> str:
        """A path as `locate` takes it. A tilde that is not for the home directory is a name like any other."""
        value = word.value or ""
        if word.home or value.startswith("/"):
            return value
        return (
            f"./{value}"
            if place == "." and value.startswith("~")
            else value
            if place == "."
            else f"{place.rstrip('/')}/{value}"
        )

    def _absolute(self, path: str) -> str:
        return os.path.expanduser(path) if path.startswith("~") else os.path.join(self._root, path)


def _plainly_named(words: Sequence[Word]) -> list[Word]:
    """`/bin/rm x` is judged as `rm x`: it is that program that PATH leads to."""
    found = _SYSTEM.fullmatch(words[0].value or "")
    return [words[0]._replace(shown=found[1], value=found[1]), *words[1:]] if found else list(words)


def _shown(words: Sequence[Word]) -> str:
    return " ".join(word.shown or "''" for word in words)


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False


def _is_directory(path: str) -> bool:
    try:
        return os.path.isdir(path)
    except ValueError:
        return False
