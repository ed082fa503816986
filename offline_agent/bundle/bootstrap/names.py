"""Which names a bundle may hold: those that mean one file below a directory, the same one on every file system.

A stick is FAT, a home may be on ext4 and looked at from Windows or macOS. Two names that some file system takes for one are a way
to have a file replaced after it was checked.
"""

import unicodedata
from collections.abc import Iterable

_LONGEST_STEP, _LONGEST = (
    255,
    1000,
)  # bytes of UTF-8: what Linux takes for one name, and well below what it takes for a path
_NOT_ON_WINDOWS = frozenset('<>:"|?*\\')
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"]
)


def fault_of(name: str) -> str:
    """What is wrong with the name of a member, as the rest of a sentence; empty when nothing is."""
    if not name.isprintable():  # surrogates, control characters and those that turn the direction of writing are not
        return "has a character that cannot be shown"
    if len(name.encode()) > _LONGEST:
        return "is too long"
    if unicodedata.normalize("NFC", name) != name:
        return "has a character that is written in more than one way"
    return next(filter(None, map(_fault_of_step, name.split("/"))), "")


def fault_among(names: Iterable[str]) -> str:
    """What is wrong with names side by side, as a sentence; empty when nothing is. Each is right by itself."""
    spelled: dict[str, str] = {}
    files: set[str] = set()
    for name in sorted(names):
        steps = name.split("/")
        for path in ("/".join(steps[:count]) for count in range(1, len(steps) + 1)):
            key = unicodedata.normalize("NFKC", path).casefold()
            other = spelled.setdefault(key, path)
            if other != path:
                return f"{shown(other)} and {shown(path)} are one name on some file systems"
            if path in files:
                return f"{shown(path)} is there twice, or is a file and a directory"
        files.add(name)
    return ""


def shown(name: str) -> str:
    """A name that a stranger chose, as a terminal can take it."""
    return name if name.isprintable() else ascii(name)


def _fault_of_step(step: str) -> str:
    if step in ("", ".", ".."):
        return "is no path below a directory"
    if _NOT_ON_WINDOWS & set(step):
        return "has a character that means something else on other systems"
    if step[-1] in ". " or step[0] == " ":
        return "has a step with a space or full stop at its end, which some file systems leave out"
    if step.split(".")[0].rstrip(" ").casefold() in _DEVICES:
        return "names a device on Windows"
    return "has a step that is too long" if len(step.encode()) > _LONGEST_STEP else ""
