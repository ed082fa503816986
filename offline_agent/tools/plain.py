"""The double of the workspace: the same files and commands, without rules, questions, sandbox or undo.

For tests, and for whoever writes a tool: it cannot tell this from the guarded one. No setting leads here.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from offline_agent.actions import Change, Command, Entry, FileText, Ran
from offline_agent.errors import Denied, EditError, GuardError
from offline_agent.textfile import described, diff, encode, file_text

_LIMIT = 4_000_000  # bytes of a file
_SKIPPED = ".git"


class PlainWorkspace:
    """A Workspace over a directory that nobody guards. `permitted` are the permissions that tools asked for, in order."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.permitted: list[tuple[str, str]] = []
        self._seen: dict[Path, str] = {}

    def entries(self, path: str) -> tuple[Entry, ...]:
        directory = self._place(path)
        try:
            return tuple(self._entry(one) for one in sorted(directory.iterdir(), key=lambda one: one.name))
        except NotADirectoryError:
            raise GuardError(f"{path} is a file. Read it.") from None
        except OSError as error:
            raise GuardError(f"{path} cannot be listed: {(error.strerror or '').lower()}.") from None

    def files(self, under: str = ".") -> Iterator[str]:
        place = self._place(under)
        if not place.exists():
            raise GuardError(f"There is no {under}.")
        if place.is_file():
            yield self._name(place)
            return
        found = (one for one in place.rglob("*") if one.is_file() and not one.is_symlink())
        yield from sorted(name for name in map(self._name, found) if _SKIPPED not in name.split("/"))

    def read(self, path: str, seen: bool = True) -> FileText:
        place = self._place(path)
        data = self._bytes(place, path)
        text = file_text(data, self._name(place))
        if text is None:
            raise GuardError(f"{path} is {described(data)} of {len(data):,} bytes, not text.")
        if seen:
            self._seen[place] = text.sha256
        return text

    def peek(self, path: str) -> FileText | None:
        try:
            return file_text(self._bytes(self._place(path), path), path)
        except GuardError:
            return None

    def write(self, path: str, text: str, based_on: str = "") -> Change:
        place = self._place(path)
        name = self._name(place)
        if place.is_dir():
            raise EditError(f"{path} is a directory. Nothing was written.")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            return self._replace(place, encode(text), diff("", text, name), created=True)
        original = self._bytes(place, path)
        before = file_text(original, name)
        if before is None:
            raise EditError(f"{path} is no text. Nothing was written.")
        known = {based_on, self._seen.get(place, "")} - {""}
        if known != {before.sha256}:
            raise EditError(f"{path} is not as it was when it was last read. Nothing was written. Read it again.")
        return self._replace(place, encode(text, before, original), diff(before.text, text, name))

    def run(self, command: Command, output: Callable[[str], None] | None = None) -> Ran:
        started = time.monotonic()
        process = subprocess.Popen(
            ["bash", "-c", command.line],  # noqa: S607  whichever bash is first on the PATH
            cwd=self._place(command.directory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        in_time = True
        try:
            data, _ = process.communicate(timeout=command.seconds)
        except subprocess.TimeoutExpired:
            in_time = False
            os.killpg(process.pid, signal.SIGKILL)
            data, _ = process.communicate()
        text, code = data.decode("utf-8", "replace"), process.returncode
        if output:
            output(text)
        seconds = time.monotonic() - started
        return Ran(
            exit_code=code if code >= 0 else 128 - code,
            output=text,
            seconds=seconds,
            ended="itself" if in_time else "time",
            unseen=True,
        )

    def turn(self, title: str) -> AbstractContextManager[None]:
        return nullcontext()  # nothing is recorded, and nothing can be undone

    def permit(self, permission: str, value: str, title: str) -> None:
        self.permitted.append((permission, value))

    def _replace(self, place: Path, data: bytes, shown: str, created: bool = False) -> Change:
        place.write_bytes(data)
        text = file_text(data)
        self._seen[place] = text.sha256 if text else ""
        return Change(path=self._name(place), diff=shown, created=created)

    def _bytes(self, place: Path, path: str) -> bytes:
        try:
            if place.stat().st_size > _LIMIT:
                raise GuardError(f"{path} is larger than {_LIMIT:,} bytes.")
            return place.read_bytes()
        except IsADirectoryError:
            raise GuardError(f"{path} is a directory. List it.") from None
        except FileNotFoundError:
            raise GuardError(f"There is no {path}.") from None
        except OSError as error:
            raise GuardError(f"{path} cannot be read: {(error.strerror or '').lower()}.") from None

    def _place(self, path: str) -> Path:
        place = Path(os.path.normpath(self.root / path))
        if place != self.root and self.root not in place.parents:
            raise Denied(f"{path} is outside the repository.")
        return place

    def _name(self, place: Path) -> str:
        return place.relative_to(self.root).as_posix()

    def _entry(self, place: Path) -> Entry:
        if place.is_symlink():
            return Entry(path=self._name(place), kind="symlink")
        if place.is_dir():
            return Entry(path=self._name(place), kind="directory")
        return Entry(path=self._name(place), kind="file", size=place.stat().st_size)
