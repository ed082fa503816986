"""What the journal of a turn says, in records. "side" is "before" or "after" the turn; the last record about a path holds.

    do      with                        says
    turn    title session at            it begins; the first record
    SIDE    image owner why kept        how a path was on that side; `kept`: its content goes with the record
    touch   path bare                   it is about to be changed again, after it was settled; `bare`: nothing is below it now
    recover                             a turn whose program was killed is being ended
    end     complete                    it has ended; `complete` is false where the program was killed in it
    back    side leave                  everything is being made as it was on that side, but for the times of directories in `leave`
    done                                that is done

Content is found by its hash: what a journal has once is not kept in it a second time.
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple, Protocol

from offline_agent.actions import FileImage, TurnRecord
from offline_agent.errors import GuardError
from offline_agent.guard.images import Captured
from offline_agent.protocols import Journal

Side = Literal["before", "after"]

_UNKNOWN = -1  # the place of what was just added


class TurnJournal(Journal, Protocol):
    """A Journal that one at a time may write."""

    def close(self) -> None:
        """What was added survives a power cut, and others may write it."""


class TurnJournals(Protocol):
    """Journals of that kind."""

    def begin(self) -> TurnJournal: ...

    def open(self, number: int) -> TurnJournal: ...

    def numbers(self) -> list[int]: ...

    def remove(self, number: int) -> None: ...


class Kept(NamedTuple):
    """A path on one side of a turn; see Captured."""

    image: FileImage
    owner: tuple[int, int] = (-1, -1)
    why: str = ""


class Turn:
    """A turn, as its journal tells it. `dirty` are the paths that may have changed since they were settled; below those that are
    `bare` nothing was at some moment of the turn that was not recorded: what is there now was not there before it."""

    def __init__(self, journal: TurnJournal) -> None:
        self.journal = journal
        self.begun = self.ended = self.undone = False
        self.complete = True
        self.sides: dict[Side, dict[str, Kept]] = {"before": {}, "after": {}}
        self.dirty: set[str] = set()
        self.bare: set[str] = set()
        self.going: Side | None = None
        """The side that an undo or a redo was on its way to when it was killed."""
        self.leave: frozenset[str] = frozenset()
        self.contents: dict[str, int] = {}
        self._head: dict[str, Any] = {"title": "", "session": "", "at": 0.0}

    @classmethod
    def read(cls, journal: TurnJournal) -> "Turn":
        """Raises a VaultError."""
        turn = cls(journal)
        for place, record in journal.records():
            turn._apply(record, place)
        return turn

    @property
    def before(self) -> dict[str, Kept]:
        return self.sides["before"]

    @property
    def after(self) -> dict[str, Kept]:
        return self.sides["after"]

    @property
    def record(self) -> TurnRecord:
        return TurnRecord(
            number=self.journal.number,
            paths=tuple(self._telling()),
            undone=self.undone,
            complete=self.ended and self.complete,
            **self._head,
        )

    def note(self, do: str, content: Iterable[bytes] = (), **body: Any) -> None:
        """On disk when this returns. Raises a StorageError, and what reading `content` raises."""
        record = {"do": do, **body}
        self.journal.add(record, content)
        self._apply(record, _UNKNOWN)

    def keep(self, side: Side, captured: Captured, content: bool = True) -> None:
        """Notes how a path is on that side, its content too unless the journal has it. Raises as `note` does."""
        image = captured.image
        kept = content and image.kind == "file" and not image.lost and image.sha256 not in self.contents
        body = {"image": image.model_dump(), "owner": captured.owner, "why": captured.why, "kept": kept}
        self.note(side, captured.content if kept else (), **body)

    def content(self, image: FileImage) -> Iterator[bytes]:
        """Of a file whose hash is in `contents`. Raises a VaultError."""
        if self.contents[image.sha256] == _UNKNOWN:
            self.contents = Turn.read(self.journal).contents
        return self.journal.content(self.contents[image.sha256])

    def changed(self) -> list[str]:
        """The paths that the two sides differ in, in order."""
        after = self.after
        return sorted(path for path, kept in self.before.items() if path in after and kept.image != after[path].image)

    def _telling(self) -> list[str]:
        """The same for people: that a directory's time differs goes without saying, unless nothing else does."""
        changed = self.changed()
        return [path for path in changed if not self.only_time(path)] or changed

    def only_time(self, path: str) -> bool:
        before, after = self.before[path].image, self.after[path].image
        return (before.kind, before.mode) == ("directory", after.mode) and after.kind == "directory"

    def _apply(self, record: dict[str, Any], place: int) -> None:
        match record["do"]:
            case "turn":
                self.begun = True
                self._head = {name: record[name] for name in ("title", "session", "at")}
            case "before" | "after" as side:
                self._apply_side(side, record, place)
            case "touch":
                self._mark(record["path"])
                if record["bare"]:
                    self.bare.add(record["path"])
            case "recover":
                pass
            case "end":
                self.ended, self.complete = True, record["complete"]
            case "back":
                self.going, self.leave = record["side"], frozenset(record["leave"])
            case "done":
                self.undone, self.going = self.going == "before", None
            case other:
                raise GuardError(
                    f"Turn {self.journal.number} was recorded by a newer version of offline-agent ({other}). Update offline-agent."
                )

    def _apply_side(self, side: Side, record: dict[str, Any], place: int) -> None:
        image = FileImage(**record["image"])
        self.sides[side][image.path] = Kept(image, (record["owner"][0], record["owner"][1]), record["why"])
        if record["kept"]:
            self.contents.setdefault(image.sha256, place)
        if side == "after":
            self.dirty.discard(image.path)
        elif not self.ended:
            self._mark(image.path)
            if image.kind != "directory":
                self.bare.add(image.path)

    def _mark(self, path: str) -> None:
        """It may change, and with it the times of what it is in."""
        self.dirty.add(path)
        self.dirty.update(above for above in parents(path) if above in self.before)


def parents(path: str) -> Iterator[str]:
    """The directories that a path is in, nearest first; `.` is the last."""
    if path != ".":
        yield from map(str, PurePosixPath(path).parents)
