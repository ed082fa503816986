"""Changing files: replacing text in one, and writing one whole. Either all of a call is done or none of it."""

import re
from collections.abc import Callable

from pydantic import BaseModel, Field

from offline_agent.actions import Change
from offline_agent.errors import Denied, GuardError
from offline_agent.protocols import Workspace
from offline_agent.textfile import counts, unified
from offline_agent.tools.cut import count
from offline_agent.tools.near import with_nearest
from offline_agent.tools.quote import nearest_lines
from offline_agent.tools.replace import Refused, replace
from offline_agent.tools.schema import spec_of
from offline_agent.types import ToolResult, Value

_HIDDEN = re.compile(r"\[redacted:[\w-]+#\d+\]")
"""What Inspector.mask puts in place of a secret."""


class Replacement(Value):
    old: str
    new: str


class EditArguments(Value):
    """Replace text in a file where it occurs once."""

    path: str
    edits: tuple[Replacement, ...] = Field(min_length=1, max_length=8)


class WriteArguments(Value):
    """Write a whole file."""

    path: str
    content: str


class Edit:
    """A Tool. `mask` takes secrets out of a whole file, before lines of it are quoted."""

    arguments: type[BaseModel] = EditArguments
    spec = spec_of(EditArguments, "edit")

    def __init__(self, workspace: Workspace, mask: Callable[[str], str] = str) -> None:
        self._workspace = workspace
        self._mask = mask

    def run(self, arguments: EditArguments) -> ToolResult:
        """Raises a GuardError."""
        try:
            file = self._workspace.read(arguments.path, seen=False)
        except GuardError as error:
            if _creates(arguments) and not isinstance(error, Denied):
                return _written(self._workspace.write(arguments.path, _ended(unified(arguments.edits[0].new))), "edit")
            raise with_nearest(error, self._workspace, arguments.path) from None
        edited = _Edited(file.text, self._mask)
        for number, edit in enumerate(arguments.edits, 1):
            edited.apply(number, unified(edit.old), unified(edit.new))
        if edited.faults:
            return edited.refusal(file.path, len(arguments.edits))
        return _written(self._workspace.write(file.path, edited.text, based_on=file.sha256), "edit", edited.repaired)


class Write:
    """A Tool. A text file ends in a line feed, whether the model wrote it or not."""

    arguments: type[BaseModel] = WriteArguments
    spec = spec_of(WriteArguments, "write", body="content")

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def run(self, arguments: WriteArguments) -> ToolResult:
        """Raises a GuardError."""
        text = _ended(unified(arguments.content))
        if "\0" in text:
            why = f"{arguments.path} was not written: its content has a NUL character, which no text file has."
            return ToolResult(text=f"{why} Leave it out.", failed=True, ours=True, summary=why)
        if hidden := _hidden(text, ""):
            why = f"{arguments.path} was not written: its {hidden}."
            return ToolResult(text=f"{why} Use edit or a command.", failed=True, ours=True, summary=why)
        return _written(self._workspace.write(arguments.path, text), "write")


class _Edited:
    """A text, and what could not be done to it. Edits after one that failed are tried as well: the model is told of all faults at
    once."""

    def __init__(self, text: str, mask: Callable[[str], str]) -> None:
        self.text = text
        self._mask = mask
        self.faults: dict[int, str] = {}
        self.repaired: list[str] = []

    def apply(self, number: int, old: str, new: str) -> None:
        try:
            if hidden := _hidden(new, self.text):
                raise Refused(f"its {hidden}; leave such lines out")
            done = replace(self.text, old, new)
        except Refused as refused:
            near = nearest_lines(self._mask(self.text), old) if refused.missing else ""
            self.faults[number] = f"{refused}.{f' Nearest is:{chr(10)}{near}' if near else ''}"
        else:
            self.text = done.text
            if done.repaired:
                self.repaired.append(done.repaired)

    def refusal(self, path: str, edits: int) -> ToolResult:
        """Nothing is written, and each fault is said, with the lines that come nearest."""
        rows = [f"Nothing was written to {path}, and none of the edits was applied."]
        rows += [f"Edit {number}: {fault}" for number, fault in self.faults.items()]
        if good := [str(number) for number in range(1, edits + 1) if number not in self.faults]:
            rows.append(f"{'Edit' if len(good) == 1 else 'Edits'} {', '.join(good)} would apply.")
        rows.append("Send all of them again, with old copied from the file, without line numbers.")
        why = next(iter(self.faults.values())).split("\n")[0]
        failed = why if edits == 1 else f"{len(self.faults)} of {edits} edits do not apply"
        return ToolResult(text="\n".join(rows), failed=True, summary=f"edit {path}: {failed}")


def _hidden(new: str, before: str) -> str:
    """What is wrong with a text that would put a mask in the place of a secret, which nobody could then bring back; else empty."""
    masks = sorted({*_HIDDEN.findall(new)} - {*_HIDDEN.findall(before)})
    return f"new text has {masks[0]}, which stands for a secret that you are not shown" if masks else ""


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"


def _creates(arguments: EditArguments) -> bool:
    """Nothing replaced by something: what many models mean by a new file."""
    return len(arguments.edits) == 1 and not arguments.edits[0].old


def _written(change: Change, verb: str, repaired: list[str] | None = None) -> ToolResult:
    added, removed = counts(change.diff)
    if not change.diff and not change.created:
        text = f"{change.path} is like that already. Nothing was changed."
        return ToolResult(text=text, ours=True, summary=f"{verb} {change.path}: nothing changed")
    done = "created" if change.created else "changed"
    notes = f" ({'; '.join(dict.fromkeys(repaired))})" if repaired else ""
    return ToolResult(
        text=f"{change.path} is {done}: {count(added, 'line')} added, {removed:,} removed{notes}.",
        ours=True,
        summary=f"{verb} {change.path} +{added} -{removed}",
        shown=change.diff,
    )
