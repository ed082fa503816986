"""Finding files by what is in them, and by their names."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel, Field

from offline_agent.errors import GuardError
from offline_agent.protocols import Outputs, Workspace
from offline_agent.tools.cut import around, brief, count
from offline_agent.tools.match import Lines, Matcher, NoPattern, OutOfTime
from offline_agent.tools.near import with_nearest
from offline_agent.tools.pattern import BadPattern, NamePattern
from offline_agent.tools.read import OUTPUT, kept
from offline_agent.tools.schema import spec_of
from offline_agent.types import ToolResult, Value

_MATCHES = 100
"""Matches that are shown."""
_OF_ONE_FILE = 30
"""So that one file does not hide the others."""
_WIDEST = 200  # characters of a line
_FILES = 200
"""Names that are shown."""


class GrepArguments(Value):
    """Find lines by regex."""

    pattern: str = Field(min_length=1)
    path: str = "."
    ignore_case: bool = False


class GlobArguments(Value):
    """Find files by path."""

    pattern: str = Field(min_length=1)


@dataclass
class _Found:
    """What a search came to so far."""

    rows: list[str] = field(default_factory=list)
    shown: int = 0
    matches: int = 0
    files: int = 0
    searched: int = 0
    unread: int = 0
    complete: bool = True

    def add(self, path: str, lines: Lines) -> None:
        room = min(_OF_ONE_FILE, _MATCHES - self.shown)
        self.files += 1
        self.matches += len(lines)
        self.shown += min(room, len(lines))
        if room > 0:
            self.rows += [path, *(f"{number}: {around(line, at, _WIDEST)}" for number, line, at in lines[:room])]
        if 0 < room < len(lines):
            self.rows.append(f"[... {len(lines) - room:,} more in this file]")


class Grep:
    """A Tool. Matches stand under the path of their file, each with the number of its line. `seconds` is how long a search may
    take. `mask` takes secrets out of a file that matches: only what still matches then is told of, or a pattern could find out
    a secret letter by letter."""

    arguments: type[BaseModel] = GrepArguments
    spec = spec_of(GrepArguments, "grep")

    def __init__(
        self, workspace: Workspace, outputs: Outputs, seconds: float = 10.0, mask: Callable[[str], str] = str
    ) -> None:
        self._workspace = workspace
        self._outputs = outputs
        self._seconds = seconds
        self._mask = mask

    def run(self, arguments: GrepArguments) -> ToolResult:
        """Raises a GuardError."""
        try:
            matcher = Matcher(arguments.pattern, arguments.ignore_case, self._seconds)
        except NoPattern as error:
            return _refused("grep", arguments.pattern, error)
        found = _Found()
        try:
            for path, text in self._texts(arguments.path.strip(), found):
                found.searched += 1
                if matcher.lines(text) and (lines := matcher.lines(self._mask(text))):
                    found.add(path, lines)
        except OutOfTime:
            found.complete = False
        except GuardError as error:
            raise with_nearest(error, self._workspace, arguments.path) from None
        return self._result(arguments, found)

    def _texts(self, path: str, found: _Found) -> Iterator[tuple[str, str]]:
        if path.startswith(OUTPUT):
            yield path, kept(self._outputs, path)
            return
        for name in self._workspace.files(path):
            file = self._workspace.peek(name)
            if file is None:
                found.unread += 1
            else:
                yield name, file.text

    def _result(self, arguments: GrepArguments, found: _Found) -> ToolResult:
        what = f"grep {brief(arguments.pattern, 40)}"
        notes = []
        if not found.complete:
            notes.append(
                f"[stopped after {self._seconds:g} s and {count(found.searched, 'file')}: name a path, or use a simpler pattern]"
            )
        if not found.searched and not found.unread:
            raise _nowhere(self._workspace, arguments.path)
        if not found.matches:
            where = "" if arguments.path == "." else f" under {arguments.path}"
            searched = f"{count(found.searched, 'text file')}{where}"
            text = f"No line of {searched} matches {arguments.pattern!r}."
            return ToolResult(
                text="\n".join([text, *notes]), summary=f"{what}: nothing in {searched}", ours=True, failed=bool(notes)
            )
        total = f"{count(found.matches, 'match', 'matches')} in {count(found.files, 'file')}"
        if found.shown < found.matches:
            notes.append(f"[{found.shown} of {total} are shown; name a path, or use a narrower pattern]")
        return ToolResult(text="\n".join([*found.rows, *notes]), summary=f"{what}: {total}")


class Glob:
    """A Tool. Names come in the order of their paths."""

    arguments: type[BaseModel] = GlobArguments
    spec = spec_of(GlobArguments, "glob")

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def run(self, arguments: GlobArguments) -> ToolResult:
        """Raises a GuardError."""
        try:
            pattern = NamePattern(arguments.pattern, self._workspace.root)
        except BadPattern as error:
            return _refused("glob", arguments.pattern, error)
        try:
            found = [path for path in self._workspace.files(pattern.under) if pattern.matches(path)]
        except BadPattern as error:
            return _refused("glob", arguments.pattern, error)
        except GuardError as error:
            raise with_nearest(error, self._workspace, pattern.under) from None
        what, total = f"glob {brief(arguments.pattern, 40)}", count(len(found), "file")
        if not found:
            if pattern.under != "." and not _any(self._workspace, pattern.under):
                raise _nowhere(self._workspace, pattern.under)
            where = "in the repository" if pattern.under == "." else f"under {pattern.under}"
            text = f"No file {where} has a path like {arguments.pattern!r}. Ignored files are not looked at."
            return ToolResult(text=text, ours=True, summary=f"{what}: nothing")
        more = [f"[{_FILES} of {total} are shown; use a narrower pattern]"] if len(found) > _FILES else []
        return ToolResult(text="\n".join([*found[:_FILES], *more]), summary=f"{what}: {total}")


def _any(workspace: Workspace, under: str) -> bool:
    return next(iter(workspace.files(under)), None) is not None


def _nowhere(workspace: Workspace, path: str) -> GuardError:
    """A search that had nothing to look at has as a rule the wrong path."""
    error = GuardError(f"There is no file at or below {path} that may be searched; ignored files are not.")
    return with_nearest(error, workspace, path)


def _refused(tool: str, pattern: str, error: Exception) -> ToolResult:
    return ToolResult(
        text=str(error), failed=True, ours=True, summary=f"{tool} {brief(pattern, 40)}: it is not understood"
    )
