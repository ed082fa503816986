"""Shows how what is there differs from what a turn left, for people."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from offline_agent.actions import FileImage
from offline_agent.guard.beneath import shown
from offline_agent.guard.images import capture
from offline_agent.guard.turns import Kept, Turn

_FILES, _LINES = 5, 40  # of differences that are shown
_LONGEST = 256 * 1024  # bytes of a file whose difference is looked for


def differences(
    root: Path, turn: Turn, left: Mapping[str, Kept], now: Mapping[str, FileImage], paths: Iterable[str]
) -> str:
    """A paragraph for each of `paths`: a unified diff of text, or a sentence. `left` is how the turn left things; a path that
    `now` has not was not in the turn. Raises a VaultError or a GuardError where one cannot be read."""
    return "\n".join("\n".join(_difference(root, turn, left, now, path)) for path in list(paths)[:_FILES])


def _difference(
    root: Path, turn: Turn, left: Mapping[str, Kept], now: Mapping[str, FileImage], path: str
) -> Iterator[str]:
    if path not in now:
        yield f"{shown(path)}: it came since."
        return
    then, present = left[path].image, now[path]
    one, other = _kept_text(turn, then), _present_text(root, present)
    if one is None or other is None or one == other:
        yield f"{shown(path)}: the turn left {_described(then)}; now there is {_described(present)}."
        return
    lines = list(
        difflib.unified_diff(one, other, f"{shown(path)} as the turn left it", f"{shown(path)} now", lineterm="")
    )
    yield from lines[:_LINES]
    if len(lines) > _LINES:
        yield f"({len(lines) - _LINES} more lines)"


def _kept_text(turn: Turn, image: FileImage) -> list[str] | None:
    if image.kind != "file" or image.sha256 not in turn.contents or image.size > _LONGEST:
        return None
    return _text(turn.content(image))


def _present_text(root: Path, image: FileImage) -> list[str] | None:
    if image.kind != "file" or image.size > _LONGEST:
        return None
    return _text(capture(root, image.path, _LONGEST).content)


def _text(content: Iterable[bytes]) -> list[str] | None:
    """Its lines; None where it is no text."""
    data = b"".join(content)
    try:
        return None if b"\0" in data else data.decode().splitlines()
    except UnicodeDecodeError:
        return None


def _described(image: FileImage) -> str:
    match image.kind:
        case "absent":
            return "nothing"
        case "directory":
            return f"a directory with mode {image.mode:o}"
        case "symlink":
            return f"a symbolic link to {shown(image.target)}"
        case "file":
            return f"a file of {image.size:,} bytes with mode {image.mode:o}"


def conflict(number: int, paths: list[str], shown_differences: str) -> str:
    """The message of an UndoConflict."""
    count = f"{len(paths)} places" if len(paths) > 1 else "one place"
    names = ", ".join(map(shown, paths[:20])) + (", ..." if len(paths) > 20 else "")
    return (
        f"Turn {number} left something else than is there now, in {count}: {names}. Nothing was changed; with force it is done all "
        f"the same, and what is there now is kept for the way back.\n{shown_differences}"
    )
