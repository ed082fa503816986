"""Undo: turns of the model taken back, and made again, from what was kept of exactly the files they touched. No git is needed.

    begin -> (touch -> change -> settle) as often as there are steps -> end -> undo -> redo -> ...

What was there is on disk before `touch` returns, so whoever touches first and changes then can be killed at any moment. What is
changed without a touch before it is not seen, and hard links become files of their own when they are brought back.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from offline_agent.actions import TurnRecord, Undone
from offline_agent.errors import GuardError, UndoConflict, VaultDamaged, VaultError, VaultInUse
from offline_agent.guard.differences import conflict, differences
from offline_agent.guard.recording import Recorder
from offline_agent.guard.reverting import Reverting
from offline_agent.guard.turns import Side, Turn, TurnJournals
from offline_agent.settings import UndoSettings

log = logging.getLogger(__name__)

_MEGABYTE = 1_000_000


class Undo:
    """The turns of the repository `root`, an absolute path without symbolic links. For any thread. `clock` gives seconds since
    1970, UTC. Every method may raise a GuardError or a VaultError."""

    def __init__(
        self,
        root: Path,
        journals: TurnJournals,
        settings: UndoSettings,
        session: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._root = root
        self._journals = journals
        self._settings = settings
        self._session = session
        self._clock = clock
        self._lock = threading.RLock()
        self._title: str | None = None
        self._turn: Turn | None = None
        self._recorder: Recorder | None = None

    def begin(self, title: str) -> None:
        """A turn begins; one that had not ended ends. Nothing is stored of it before it touches something."""
        with self._lock:
            self.end()
            self._title = title

    def touch(self, path: str) -> None:
        """The path, relative to the root, is about to be made, changed or removed: what is there is on disk when this returns, with
        the mode and time of the directory it is in. Must come before every change, also of what was touched before.

        Raises GuardError for a path that leads out of the root, or through a symbolic link: name what the link leads to."""
        with self._lock:
            self._recording().touch(path)

    def touch_tree(self, path: str) -> None:
        """The same for all that is below a directory, which is about to be renamed, replaced or removed as a whole."""
        with self._lock:
            self._recording().touch_tree(path)

    def settle(self, paths: Iterable[str] = ()) -> None:
        """A step is done: whatever was touched since the last one is now as the turn leaves it, and `paths` are too, as far as they
        were touched. What somebody changes from here on counts as their own."""
        with self._lock:
            if self._recorder is not None:
                self._recorder.settle(paths)

    def end(self) -> TurnRecord | None:
        """The turn has ended. None where it touched nothing; turns that do not fit the settings any more are forgotten."""
        with self._lock:
            turn, recorder = self._turn, self._recorder
            self._title = self._turn = self._recorder = None
            if turn is None or recorder is None:
                return None
            try:
                recorder.settle()
                recorder.keep_shown()
                turn.note("end", complete=True)
            finally:
                turn.journal.close()
            if not turn.changed():
                self._journals.remove(turn.journal.number)
                return None
            self._forget()
            return turn.record

    def turns(self) -> list[TurnRecord]:
        """Newest first. Those that cannot be read are left out, which the log tells."""
        return [turn.record for turn in self._turns()]

    def undo(self, number: int | None = None, force: bool = False) -> Undone:
        """Makes everything that the turn changed as it was before; by default the newest that is not undone.

        Raises UndoConflict, unless forced, where something is not as the turn left it: nothing is changed then. What is there is
        kept before it is changed, forced or not, and `redo` brings it back.
        """
        return self._revert(number, "before", force)

    def redo(self, number: int | None = None, force: bool = False) -> Undone:
        """Makes everything as the turn left it; by default the oldest undone turn after the newest that is not. Raises as `undo`
        does."""
        return self._revert(number, "after", force)

    def recover(self) -> list[TurnRecord]:
        """Ends the turns whose program was killed: what they touched last counts as left by them as it is now. Returns those."""
        with self._lock:
            return [record for number in self._journals.numbers() if (record := self._recover(number)) is not None]

    def _recording(self) -> Recorder:
        if self._recorder is not None:
            return self._recorder
        if self._title is None:
            raise GuardError("Nothing may be changed outside a turn, since it could not be undone. Begin one.")
        turn = Turn(self._journals.begin())
        turn.note("turn", title=self._title, session=self._session, at=self._clock())
        self._turn, self._recorder = turn, self._recorder_of(turn)
        return self._recorder

    def _recorder_of(self, turn: Turn) -> Recorder:
        room = self._settings.megabytes * _MEGABYTE
        return Recorder(self._root, turn, self._longest, room)

    @property
    def _longest(self) -> int:
        return self._settings.file_megabytes * _MEGABYTE

    def _turns(self) -> Iterator[Turn]:
        """Newest first, those that touched nothing left out."""
        for number in reversed(self._journals.numbers()):
            try:
                turn = Turn.read(self._journals.open(number))
            except VaultError as error:
                log.warning("turn %d is left out: %s", number, error)
                continue
            if turn.begun:
                yield turn

    def _revert(self, number: int | None, goal: Side, force: bool) -> Undone:
        with self._lock:
            if self._turn is not None:
                raise GuardError("A turn is under way. Undo or redo when it has ended.")
            turn = self._chosen(goal) if number is None else self._numbered(number, goal)
            try:
                return self._make(turn, goal, force)
            finally:
                turn.journal.close()

    def _make(self, turn: Turn, goal: Side, force: bool) -> Undone:
        reverting = Reverting(self._root, turn, goal, self._longest)
        conflicts = reverting.conflicts()
        if conflicts and not force:
            shown = differences(self._root, turn, reverting.left, reverting.now, conflicts)
            raise UndoConflict(conflict(turn.journal.number, conflicts, shown))
        reverting.record()
        paths = reverting.apply()
        return Undone(turn=turn.record, paths=tuple(paths), notes=tuple(reverting.notes))

    def _chosen(self, goal: Side) -> Turn:
        """What was interrupted comes first."""
        ended = [turn for turn in self._turns() if turn.ended]
        interrupted = [turn for turn in ended if turn.going is not None]
        if interrupted:
            return interrupted[0]
        if goal == "before":
            turn = next((turn for turn in ended if not turn.undone), None)
        else:
            newest = next((place for place, turn in enumerate(ended) if not turn.undone), len(ended))
            turn = ended[newest - 1] if newest else None
        if turn is None:
            raise GuardError(f"There is nothing to {'undo' if goal == 'before' else 'redo'} in this repository.")
        return turn

    def _numbered(self, number: int, goal: Side) -> Turn:
        if number not in self._journals.numbers():
            raise GuardError(
                f"There is no turn {number} to undo or redo: it changed nothing, or was forgotten to make room."
            )
        turn = Turn.read(self._journals.open(number))
        if not turn.ended:
            raise GuardError(f"Turn {number} has not ended. Try again when it has, or start offline-agent again.")
        if turn.going is None and turn.undone == (goal == "before"):
            raise GuardError(f"Turn {number} is {'undone already' if turn.undone else 'not undone'}.")
        return turn

    def _recover(self, number: int) -> TurnRecord | None:
        journal = self._journals.open(number)
        try:
            turn = Turn.read(journal)
            if turn.ended or (self._turn is not None and self._turn.journal.number == number):
                return None
            if not turn.begun:
                self._journals.remove(number)
                return None
            journal.add({"do": "recover"})  # raises where its program is alive
            turn = Turn.read(journal)
            if turn.ended:
                return None
            self._recorder_of(turn).settle()
            turn.note("end", complete=False)
            return turn.record
        except VaultInUse:
            return None
        except VaultDamaged as error:
            log.warning("turn %d is not ended: %s", number, error)
            return None
        finally:
            journal.close()

    def _forget(self) -> None:
        """Removes the oldest turns that are too many, or too much together; the newest stays."""
        numbers = self._journals.numbers()
        sizes = {number: self._journals.open(number).size for number in numbers}
        for number in numbers[:-1]:
            few = len(sizes) <= self._settings.turns
            if few and sum(sizes.values()) <= self._settings.megabytes * _MEGABYTE:
                return
            try:
                self._journals.remove(number)
            except VaultInUse:
                continue
            log.info("turn %d cannot be undone any more: it made room (%d bytes)", number, sizes.pop(number))
