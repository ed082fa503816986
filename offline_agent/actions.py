"""What a tool call asks of the machine, whether it may be done, and what came of it.

    request -> verdict -> (proposal -> answer) -> read, changed or run -> what can be undone

Every type is frozen. A path is relative to the repository root, with forward slashes, unless it says otherwise.
"""

from typing import Literal

from offline_agent.types import Value

Decision = Literal["allow", "ask", "deny"]

STRICTNESS: dict[Decision, int] = {"allow": 0, "ask": 1, "deny": 2}
"""The strictest of several decisions holds."""

# --- may it be done? -----------------------------------------------------------------------------------------------


class Rule(Value):
    """Whoever asks for `permission` with a value that matches `pattern` gets `decision`. Both may hold `*` (any characters, `/`
    too) and `?` (one character). `source` says, for people, where the rule stands."""

    permission: str
    pattern: str = "*"
    decision: Decision
    source: str = ""


class Request(Value):
    """Leave that is asked for: one permission, and the value that rules are matched with.

    The value of `read`, `edit`, `list`, `grep` and `glob` is a path, resolved, `.` for the root; of `external_directory` the
    resolved absolute path of a place outside; of `bash` the text of one simple command; of `task` the agent; of `doom_loop` the
    tool. What could not be `understood` is at best asked about. `why` says what in the call needs it where that is not plain.
    `always` is the pattern that an approval for good would have; empty where there should be none.
    """

    permission: str
    value: str
    why: str = ""
    always: str = ""
    understood: bool = True


class Verdict(Value):
    """What was decided, about which request, by which rule; `reason` is one sentence for people and models."""

    decision: Decision
    request: Request
    rule: Rule | None = None
    reason: str = ""


class Approval(Value):
    """A person's "always", in one repository. `at` is seconds since 1970, UTC."""

    id: int
    permission: str
    pattern: str
    at: float


class Proposal(Value):
    """What a person is asked to allow. `title` is one line; `diff` a unified diff, for a change of a file; `line` the command
    line, for a command. `verdicts` are those that ask."""

    title: str
    diff: str = ""
    line: str = ""
    verdicts: tuple[Verdict, ...] = ()


class Answer(Value):
    """A person's answer. `message`, with a rejection, goes to the model."""

    decision: Literal["once", "always", "reject"]
    message: str = ""


# --- files ---------------------------------------------------------------------------------------------------------


class Entry(Value):
    """What a directory has. `size` in bytes, of files. `denied` says that its content may not be read."""

    path: str
    kind: Literal["file", "directory", "symlink", "other"]
    size: int = 0
    denied: bool = False


class FileText(Value):
    """A text file: `text` has line feeds only, whatever `newline` the file has. `sha256` is of its bytes."""

    path: str
    text: str
    encoding: str = "utf-8"
    newline: Literal["\n", "\r\n", "\r"] = "\n"
    sha256: str = ""


class Change(Value):
    """A file that was written: `diff` is a unified diff of its text, `created` says that there was none before."""

    path: str
    diff: str = ""
    created: bool = False


# --- commands ------------------------------------------------------------------------------------------------------


class Command(Value):
    """A shell line, run by `bash -c` in `directory`, for at most `seconds`."""

    line: str
    directory: str = "."
    seconds: float = 120.0


class Ran(Value):
    """What came of a command. `output` is standard output and standard error as they came; `dropped` bytes more were not kept.

    `exit_code` is as a shell has it (128 + n for signal n). `ended` says what ended it. `changed` are the files it touched, as
    far as that was seen; `unseen` says that it may have changed others.
    """

    exit_code: int
    output: str = ""
    dropped: int = 0
    seconds: float = 0.0
    ended: Literal["itself", "time", "memory", "processes", "disk", "output", "user"] = "itself"
    changed: tuple[str, ...] = ()
    unseen: bool = False


class Canary(Value):
    """One thing that the sandbox must prevent, tried at start: `held` says that it did."""

    name: str
    held: bool
    detail: str = ""


class SandboxReport(Value):
    """What confines commands here. `mechanism` is "none" where nothing does; `problem` says, in a sentence, why something better
    was not to be had. `notes` are what this kernel lacks."""

    mechanism: Literal["bubblewrap", "landlock", "none"]
    canaries: tuple[Canary, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return self.mechanism != "none" and all(canary.held for canary in self.canaries)


# --- undo ----------------------------------------------------------------------------------------------------------


class FileImage(Value):
    """How a path was: what it was, with mode bits, mtime in nanoseconds, SHA-256 of its bytes, or `target` of a symbolic link.
    `lost` says that its content was not kept (it was too large), so that it cannot be brought back."""

    path: str
    kind: Literal["absent", "file", "directory", "symlink"]
    mode: int = 0
    mtime_ns: int = 0
    size: int = 0
    sha256: str = ""
    target: str = ""
    lost: bool = False


class TurnRecord(Value):
    """A turn that changed files. `number` counts up in its repository; `at` is seconds since 1970, UTC; `undone` says which way
    it was left; `complete` is false where the program ended in the middle of it."""

    number: int
    title: str
    session: str
    at: float
    paths: tuple[str, ...] = ()
    undone: bool = False
    complete: bool = True


class Undone(Value):
    """What an undo or a redo did: the paths that are now as they were."""

    turn: TurnRecord
    paths: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
