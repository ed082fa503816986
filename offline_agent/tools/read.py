"""Looking at one place: the lines of a file, the entries of a directory."""

from collections.abc import Callable

from pydantic import BaseModel, Field

from offline_agent.actions import Entry
from offline_agent.errors import Denied, GuardError
from offline_agent.protocols import Outputs, Workspace
from offline_agent.tools.cut import count, cut_line, fitting, size
from offline_agent.tools.near import with_nearest
from offline_agent.tools.schema import spec_of
from offline_agent.types import ToolResult, Value

_LINES = 400
"""Lines that are shown where no end is given."""
_MOST = 24_000  # characters: some 6,000 tokens, a minute of reading for a small model on a CPU
_WIDEST = 2000  # characters of a line
_ENTRIES = 200
OUTPUT = "output:"
"""What the names of kept outputs begin with."""


class ListArguments(Value):
    """List a directory."""

    path: str = "."


class ReadArguments(Value):
    """Read lines of a file."""

    path: str
    start: int = Field(default=1, ge=1)
    end: int | None = Field(default=None, ge=1)


class ListDirectory:
    """A Tool."""

    arguments: type[BaseModel] = ListArguments
    spec = spec_of(ListArguments, "list")

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def run(self, arguments: ListArguments) -> ToolResult:
        """Raises a GuardError."""
        return listing(self._workspace, arguments.path)


class ReadFile:
    """A Tool. It reads what `outputs` keeps as well. `mask` takes secrets out of a whole file: of a part of one, where the line
    is missing that says what it is, nobody could tell."""

    arguments: type[BaseModel] = ReadArguments
    spec = spec_of(ReadArguments, "read")

    def __init__(self, workspace: Workspace, outputs: Outputs, mask: Callable[[str], str] = str) -> None:
        self._workspace = workspace
        self._outputs = outputs
        self._mask = mask

    def run(self, arguments: ReadArguments) -> ToolResult:
        """Raises a GuardError."""
        path = arguments.path.strip()
        if path.startswith(OUTPUT):
            text = kept(self._outputs, path)
        else:
            try:
                file = self._workspace.read(path)
            except GuardError as error:
                if isinstance(error, Denied):
                    raise
                return self._directory(path, error)
            path, text = file.path, self._mask(file.text)
        return _lines(path, text, arguments)

    def _directory(self, path: str, error: GuardError) -> ToolResult:
        try:
            return listing(self._workspace, path)
        except GuardError:
            raise with_nearest(error, self._workspace, path) from None


def kept(outputs: Outputs, name: str) -> str:
    """A kept output, by its name. Raises GuardError."""
    text = outputs.find(name)
    if text is None:
        raise GuardError(f"There is no {name} any more: it made room for others. Run the command again.")
    return text


def listing(workspace: Workspace, path: str) -> ToolResult:
    """The entries of a directory, those in it by name. Raises a GuardError."""
    try:
        entries = workspace.entries(path)
    except GuardError as error:
        raise with_nearest(error, workspace, path) from None
    found = count(len(entries), "entry", "entries")
    rows = [f"{path}: {found}", *map(_row, entries[:_ENTRIES])]
    if len(entries) > _ENTRIES:
        rows.append(f"[... {len(entries) - _ENTRIES:,} more; find them with glob]")
    return ToolResult(text="\n".join(rows), summary=f"list {path}: {found}")


def _row(entry: Entry) -> str:
    name = entry.path.rpartition("/")[2]
    row = {"directory": f"{name}/", "file": f"{name} {size(entry.size)}", "symlink": f"{name} (a symbolic link)"}.get(
        entry.kind, f"{name} (no regular file)"
    )
    return f"{row} (denied)" if entry.denied else row


def _lines(path: str, text: str, arguments: ReadArguments) -> ToolResult:
    """The lines asked for, under a header that says which they are."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        return ToolResult(text=f"{path} is empty.", summary=f"read {path}: empty", ours=True)
    start, end = arguments.start, arguments.end or arguments.start + _LINES - 1
    if start > len(lines) or end < start:
        why = f"{path} has {count(len(lines), 'line')}: there are no lines {start}-{end}."
        return ToolResult(text=f"{why} Ask for others.", failed=True, ours=True, summary=why)
    chosen = [cut_line(line, _WIDEST) for line in lines[start - 1 : end]]
    chosen = chosen[: fitting(chosen, _MOST)]
    last = start + len(chosen) - 1
    header = f"{path} lines {start}-{last} of {len(lines)}"
    if last < min(end, len(lines)) or (arguments.end is None and last < len(lines)):
        header += f" (go on with start={last + 1})"
    return ToolResult(text="\n".join([header, *chosen]), summary=f"read {path} {start}-{last}")
