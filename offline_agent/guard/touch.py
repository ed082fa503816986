"""What a command is about to change in the repository is told before it is changed, so that it can be undone.

A seccomp filter has every call that changes files wait; a thread looks up which files are meant, has them recorded, and lets the
call go on. Reading costs nothing: the filter looks at the flags of open(2) itself.

    open(..., O_WRONLY | O_CREAT)  ->  which path?  ->  below the root?  ->  touch(path)  ->  the call goes on
                                                                        \\-> touch raises: the call fails

This is for undo and confines nothing. A thread that rewrites a path while its call waits, to have another file recorded than the
one that is changed, succeeds; so does a link that is swapped meanwhile. Not seen are a file changed under another name that the
root has by a second mount, and what a process outside the command changes for it.
"""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

from offline_agent.errors import SandboxUnavailable
from offline_agent.guard.changes import Changes, filter_program
from offline_agent.guard.follow import BadAddress
from offline_agent.guard.notify import Listener, Notification, why_not
from offline_agent.linux import this_machine


class FileWatcher:
    """A protocols.Watcher. `touch` gets the path of a file that is about to be changed, made or removed; `touch_tree` that of a
    directory that is about to be moved with all that is in it. Both paths are relative to `root`, "." for the root itself; both
    return when what is there has been recorded, and raise when it cannot be.

    `root` is an absolute path without links, at which the command sees it too. The filter takes `no_new_privileges`, and should be
    installed with NEW_LISTENER | WAIT_KILLABLE (Linux 5.19; without it a signal can end a call that waits with EINTR) by a process
    that keeps no copy of the listener.
    """

    def __init__(self, root: Path, touch: Callable[[str], None], touch_tree: Callable[[str], None]) -> None:
        self._root = str(root)
        self._touch, self._touch_tree = touch, touch_tree
        self._unable = why_not()
        self._machine = None if self._unable else this_machine()
        self._program = filter_program(self._machine) if self._machine else b""
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None
        self._changes: Changes | None = None
        self._seen: set[str] = set()
        self.problem = self._unable

    @property
    def program(self) -> bytes:
        return self._program

    @property
    def seen(self) -> list[str]:
        """The paths that were recorded since `attach`, in order; also where the change then failed."""
        return sorted(self._seen)

    @property
    def missed(self) -> bool:
        """Whether the command may have changed what was not recorded."""
        return self._changes is None or self._changes.missed

    def attach(self, listener: int) -> None:
        """`seen`, `missed` and `problem` (the first thing that could not be recorded, a sentence) begin anew. Raises
        SandboxUnavailable for a descriptor that is no listener."""
        if self._machine is None:
            raise SandboxUnavailable(self._unable)
        try:
            self._listener = Listener(listener)
        except OSError as error:
            raise SandboxUnavailable(
                f"What the command changes cannot be watched, so it was not run ({error.strerror}). Try it once more."
            ) from None
        self._changes = Changes(self._root, self._machine)
        self._seen, self.problem = set(), ""
        self._thread = threading.Thread(
            target=self._serve, args=(self._listener, self._changes), name="file watcher", daemon=True
        )
        self._thread.start()

    def detach(self) -> None:
        if self._listener is None or self._thread is None:
            return
        self._listener.stop()
        self._thread.join()
        self._listener = self._thread = None

    # --- the thread ---

    def _serve(self, listener: Listener, changes: Changes) -> None:
        try:
            while asked := listener.next():
                if number := self._answer(asked, changes):
                    listener.refuse(asked, number)
                else:
                    listener.allow(asked)
        except OSError as error:
            self.problem = (
                self.problem or f"What the command changed was not watched to its end ({error}). Run it again."
            )
        finally:
            listener.close()  # whatever still waits, or would ask, fails

    def _answer(self, asked: Notification, changes: Changes) -> int:
        """0 once all that the call may change is recorded, else the error that it fails with. Nothing that goes wrong here may
        leave a call waiting, or let it change what was not recorded."""
        path = ""
        try:
            for path, below in changes.of(asked):
                (self._touch_tree if below else self._touch)(path)
                self._seen.update((path, *(f"{path}/{name}" for name in below)))
        except BadAddress:
            return errno.EFAULT
        except Exception as error:
            if _is_gone(error, asked.thread):
                return 0  # it was killed: nobody waits for the answer
            return self._fail(path, error)
        return 0

    def _fail(self, path: str, error: Exception) -> int:
        shown = os.fsencode(path).decode("utf-8", "replace")  # names need not be UTF-8
        what = f"changing {shown}" if path else "changing a file"
        said = f"The command was kept from {what}, since that could not have been undone: {error}"
        self.problem = self.problem or said
        return errno.ENOSPC if _is_full(error) else errno.EIO


def _is_full(error: BaseException | None) -> bool:
    """Whether what went wrong began with a full disk, or a full quota."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_gone(error: Exception, thread: int) -> bool:
    """Whether /proc knows the thread no more."""
    missing = isinstance(error, FileNotFoundError | ProcessLookupError)
    return missing and str(getattr(error, "filename", "")).startswith(f"/proc/{thread}/")
