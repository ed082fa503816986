"""The one door between the tools and the machine.

    decide -> ask -> act, whole or not at all -> keep what was there, so that it can be undone -> write it down

A tool gets a Workspace and nothing else, and cannot tell this one from a bare one. What is decided about is what is acted on: a
path is resolved once, and opened later without following links.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from offline_agent.actions import Change, Command, Entry, FileText, Proposal, Ran, Request
from offline_agent.errors import Denied, EditError, GuardError
from offline_agent.guard.denied import DeniedFiles, has_other_names
from offline_agent.guard.edits import read_bytes, read_text, write_atomic
from offline_agent.guard.gate import Gate
from offline_agent.guard.paths import Located, locate
from offline_agent.guard.permissions import denies_read
from offline_agent.guard.shell import requests_of
from offline_agent.guard.touch import FileWatcher
from offline_agent.guard.undo import Undo
from offline_agent.protocols import Sandbox
from offline_agent.textfile import diff, encode, file_text

Walk = Callable[[str], Iterable[str]]
"""The files below a directory that are not ignored, by their paths relative to the root; "" is the root."""

_READ_LIMIT = 8_000_000  # bytes; a model is shown a part of that at most
_PUSHED = re.compile(r"\n(?:[ \t]*\n){15}|[ \t]{200}")
"""Of a command: what stands behind it is not on the screen of the person who is asked."""
_PEEK_LIMIT = 2_000_000  # larger ones are data, as a rule, and searching them takes seconds


class GuardedWorkspace:
    """Of one session about the repository at `root`, which is absolute and has no links in it. `denied` are the files that the
    gate's policy denies, where somebody has looked for them already."""

    def __init__(
        self,
        root: Path,
        home: Path,
        gate: Gate,
        sandbox: Sandbox,
        undo: Undo,
        walk: Walk,
        denied: DeniedFiles | None = None,
    ) -> None:
        self._root = root
        self._home = home
        self._gate = gate
        self._sandbox = sandbox
        self._undo = undo
        self._walk = walk
        self._watcher = FileWatcher(root, self._touch, undo.touch_tree)
        self._made: set[str] = set()
        self._denied = denied or DeniedFiles(root, gate.policy)
        self._is_denied = denies_read(gate.policy)
        self._seen: dict[Path, str] = {}

    @property
    def root(self) -> Path:
        return self._root

    @contextmanager
    def turn(self, title: str) -> Iterator[None]:
        """Everything that is changed inside can be undone together, also where the block is left by an exception."""
        self._undo.begin(title)
        try:
            yield
        finally:
            self._undo.end()

    def permit(self, permission: str, value: str, title: str) -> None:
        """Raises Denied."""
        self._gate.enter([Request(permission=permission, value=value, always=value)], Proposal(title=title))

    # --- reading ---

    def entries(self, path: str) -> tuple[Entry, ...]:
        """Raises Denied, and GuardError for what is no directory that can be listed."""
        located = self._enter("list", path)
        try:
            with os.scandir(located.real) as listing:
                return tuple(self._entry(entry, located) for entry in sorted(listing, key=lambda entry: entry.name))
        except OSError as error:
            why = f"{located.shown} cannot be listed: {(error.strerror or 'it failed').lower()}."
            raise GuardError(f"{why} Name a directory that is there.") from None

    def files(self, under: str = ".") -> Iterator[str]:
        """Raises Denied, and GuardError for what is not in the repository, before the first."""
        located = self._enter("grep", under)
        if not located.inside:
            raise GuardError(
                f"{located.shown} is outside the repository, which alone can be searched. Name a directory in it."
            )
        if located.real.is_file():
            return iter([located.value] if self._may_read(located) else [])
        return self._below("" if located.value == "." else located.value)

    def read(self, path: str, seen: bool = True) -> FileText:
        """Raises Denied, and GuardError for what is no text file that can be read."""
        located = self._enter("read", path)
        found = read_text(located.real, _READ_LIMIT, located.shown)
        if seen:
            self._seen[located.real] = found.sha256
        return found

    def peek(self, path: str) -> FileText | None:
        try:
            return file_text(read_bytes(self._root / path, _PEEK_LIMIT), path)
        except GuardError:  # gone, too large, or no file any more: what is searched has none of it
            return None

    # --- changing ---

    def write(self, path: str, text: str, based_on: str = "") -> Change:
        """Raises Denied, and EditError where the file is not what the text was made from; nothing is written then."""
        located = self._located(path)
        if not self._may_read(located):  # what is shown of a change would show it
            raise self._denial("edit", located, "may not be read, so it may not be changed either")
        if not located.inside:
            raise EditError(f"{located.shown} is outside the repository. Nothing was written. Write inside it.")
        before = self._bytes(located)
        like = self._known(located, before, based_on)
        data = encode(text, like, before or b"")
        if len(data) > _READ_LIMIT:
            raise EditError(
                f"{located.shown} would have {len(data):,} bytes, which nobody reads. Nothing was written. Write less."
            )
        if data == before:
            return Change(path=located.value)
        shown = diff(like.text if like else "", text, located.value)
        title = f"{'change' if like else 'make'} {located.shown}"
        self._gate.enter(located.requests("edit"), Proposal(title=title, diff=shown))
        if self._bytes(located) != before:  # the person may have looked at it for long
            raise EditError(
                f"{located.value} changed while it was asked about. Nothing was written. Read it again, then edit."
            )
        self._replace(located, data)
        self._gate.note("edit", path=located.value, before=_digest(before), after=_digest(data))
        return Change(path=located.value, diff=shown, created=before is None)

    def _known(self, located: Located, before: bytes | None, based_on: str) -> FileText | None:
        """The file as text, None where there is none. Raises EditError for one that the model has not seen as it is."""
        if before is None:
            return None
        like, seen = file_text(before, located.value), self._seen.get(located.real)
        if like is None:
            raise EditError(f"{located.value} is no text file. Nothing was written. Use a command for it.")
        if not seen and not based_on:
            raise EditError(f"{located.value} exists, and you have not read it. Nothing was written. Read it first.")
        if (based_on or seen) != like.sha256 or (seen or like.sha256) != like.sha256:
            raise EditError(
                f"{located.value} changed since you read it. Nothing was written. Read it again, then edit."
            )
        return like

    def _replace(self, located: Located, data: bytes) -> None:
        self._undo.touch(located.value)
        try:
            located.real.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(located.real, data, shown=located.value)
        except OSError as error:
            raise EditError(f"{located.value} cannot be made: {error.strerror}. Nothing was written.") from None
        finally:
            self._undo.settle()
        self._seen[located.real] = hashlib.sha256(data).hexdigest()

    # --- commands ---

    def run(self, command: Command, output: Callable[[str], None] | None = None) -> Ran:
        """Raises Denied, SandboxUnavailable, and GuardError where the files cannot be kept for undo."""
        directory = self._enter("list", command.directory)
        if _PUSHED.search(command.line):
            raise GuardError(
                "The command has so much empty space in it that a part could be out of sight. Leave it out."
            )
        requests = requests_of(command.line, self._root, directory.value, self._located)
        title = "run a command" + ("" if directory.value == "." else f" in {directory.shown}")
        self._gate.enter(requests, Proposal(title=title, line=command.line))
        self._made.clear()
        try:
            ran = self._sandbox.run(
                command.model_copy(update={"directory": directory.value}),
                denied=self._denied.now(),
                watcher=self._watcher if self._watcher.program else None,
                output=output,
            )
        except BaseException as error:  # it may have done something by then
            self._gate.note("command", line=command.line, directory=directory.value, ended=type(error).__name__)
            raise
        finally:
            self._undo.settle()
        ran = ran.model_copy(update={"changed": self._changed(), "unseen": ran.unseen or self._watcher.missed})
        self._gate.note(
            "command",
            line=command.line,
            directory=directory.value,
            exit=ran.exit_code,
            ended=ran.ended,
            changed=len(ran.changed),
            sandbox=self._sandbox.report.mechanism,
        )
        return ran

    def _touch(self, path: str) -> None:
        """A command is about to change that."""
        if not os.path.lexists(self._root / path):
            self._made.add(path)
        self._undo.touch(path)

    def _changed(self) -> tuple[str, ...]:
        """Files that the last command touched. Directories alone tell nobody much, nor does what it made and removed again, as
        compilers do."""
        return tuple(path for path in self._watcher.seen if self._tells(path))

    def _tells(self, path: str) -> bool:
        there = os.path.lexists(self._root / path)
        return not (self._root / path).is_dir() if there else path not in self._made

    # --- what both need ---

    def _located(self, path: str) -> Located:
        return locate(self._root, path, self._home)

    def _enter(self, permission: str, path: str) -> Located:
        """The place, once it may be used so."""
        located = self._located(path)
        self._gate.enter(located.requests(permission), Proposal(title=f"{permission} {located.shown}"))
        if permission == "read" and not self._may_read(located):
            raise self._denial(permission, located, "is another name of a file that may not be read")
        return located

    def _denial(self, permission: str, located: Located, why: str) -> Denied:
        """What no rule about the call itself says, on record as what rules deny is."""
        self._gate.note("denied", permission=permission, value=located.value, by="rule", rule="")
        return Denied(f"{located.shown} {why}.")

    def _may_read(self, located: Located) -> bool:
        """By the rules of whatever names it has."""
        names = (located.value, *located.aliases)
        return not any(map(self._is_denied, names)) and not (located.linked and self._denied.holds(located.value))

    def _below(self, directory: str) -> Iterator[str]:
        """A file with other names is looked at under these too; the list of all that is denied is made at most once."""
        denied: set[str] | None = None
        for path in self._walk(directory):
            if self._is_denied(path):
                continue
            if has_other_names(self._root / path):
                denied = set(self._denied.now()) if denied is None else denied
                if path in denied:
                    continue
            yield path

    def _entry(self, entry: "os.DirEntry[str]", parent: Located) -> Entry:
        path = entry.name if parent.value == "." else f"{parent.value}/{entry.name}"
        denied = self._is_denied(path)
        if entry.is_symlink():
            return Entry(path=path, kind="symlink", denied=denied)
        if entry.is_dir(follow_symlinks=False):
            return Entry(path=path, kind="directory", denied=denied)
        if not entry.is_file(follow_symlinks=False):
            return Entry(path=path, kind="other", denied=denied)
        try:
            return Entry(path=path, kind="file", size=entry.stat(follow_symlinks=False).st_size, denied=denied)
        except FileNotFoundError:  # since it was listed
            return Entry(path=path, kind="file", denied=denied)

    def _bytes(self, located: Located) -> bytes | None:
        """What is there; None for nothing. Raises GuardError for what is no regular file."""
        if not os.path.lexists(located.real):
            return None
        return read_bytes(located.real, _READ_LIMIT, located.value)


def _digest(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()
