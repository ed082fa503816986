"""Whether git's objects hold what is in denied files: `git show HEAD:.env` would read it, although the file itself is hidden.

    every commit that the store has -> every path that a commit added -> is it denied?
    what is in the denied files now -> its object id                  -> is there such an object?
    the index                       -> every path                     -> is it denied?

Commits are taken from the store itself, not from branches, so those of a dropped stash, an amended commit or a deleted branch count
too, as do those that grafts or replacements hide. Not found: what was only ever staged, not committed, and has been changed since.

git runs in the sandbox, on a repository that a stranger may have made: nothing that its configuration names is started, and it
reads only what commands could read. What is not known counts as held.
"""

import hashlib
import os
import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

RunGit = Callable[[Sequence[str], float], tuple[int, bytes]]
"""Runs a program with its arguments in the sandbox, with the repository's root as working directory and git's objects in sight, for
at most so many seconds. Returns its exit code, any but 0 where it was ended, and its standard output."""

SECONDS = 5.0
_NAMED = 3
"""So many of the paths that were found are told."""
_LOOK_AGAIN_SECONDS = 60.0
"""For repositories inside the repository, whose finding takes a walk through all directories."""
_MOST_ALTERNATES = 5
"""git follows no more, one from another."""
_TEXT_BYTES = 16_000_000
"""git can only have changed line ends of a text; a file that is larger than this is looked for as it is."""
_LINE_BYTES = 8192  # a path has at most 4096
_MOST_FILES = 1500
"""Denied files that are looked for by their content: their ids are part of a command line."""
_JUST_NS = 50_000_000
"""What had changed less than this before the look may have changed again in the same tick of the kernel's clock, of 1 to 10 ms."""
_SHA256 = re.compile(rb"objectformat\s*=\s*\"?sha256", re.IGNORECASE)

_ALLOW = 'To show them all the same, set history = "show" in [sandbox] of the configuration.'

# No hooks, no watchers, no pagers that the configuration names; no fetching of objects that a partial clone lacks; no grafts, which
# could hide a commit. The three parts end with an empty record each.
_PARTS = 3
_SCRIPT = r"""
set -o pipefail
exec 2> /dev/null
export GIT_OPTIONAL_LOCKS=0 GIT_NO_LAZY_FETCH=1 GIT_NO_REPLACE_OBJECTS=1 GIT_GRAFT_FILE=/dev/null GIT_TERMINAL_PROMPT=0 LC_ALL=C
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
in_store() {
    git --no-pager --no-optional-locks --no-replace-objects --git-dir="$1" --work-tree=. \
        -c core.bare=false -c core.fsmonitor=false -c core.hooksPath=/dev/null -c core.untrackedCache=false \
        -c core.sshCommand=false -c core.alternateRefsCommand=false -c protocol.allow=never -c safe.directory='*' "${@:2}"
}
git_directory=$1; shift
# Or a file .git/commondir, which a command can make, would have git look at other objects.
export GIT_COMMON_DIR="$git_directory" GIT_OBJECT_DIRECTORY="$git_directory/objects"
if [ $# -gt 0 ]; then
    printf '%s\n' "$@" | in_store "$git_directory" cat-file --batch-check='%(objecttype)' | tr '\n' '\0' || exit
fi
printf '\0'
in_store "$git_directory" ls-files --cached -z || exit
printf '\0'
in_store "$git_directory" cat-file --batch-all-objects --unordered --batch-check='%(objectname) %(objecttype)' |
    sed -n 's/ commit$//p' |
    in_store "$git_directory" diff-tree --stdin -r -m --root --no-renames --diff-filter=A --name-only --no-commit-id -z |
    sort -zu || exit
printf '\0'
"""


# For a git directory elsewhere: where commands do not see its objects, there is nothing to hide.
_IF_SEEN = r"""
ls "$1/objects" > /dev/null 2>&1 || exit 77
"""
_NOT_SEEN = 77


@dataclass(frozen=True)
class HistoryVerdict:
    """`held` says that git's objects may hold what is in a denied file. `stores` are the directories that must be hidden then, see
    `object_stores`; `note` says why, in a sentence or two for people."""

    held: bool
    stores: tuple[Path, ...] = ()
    note: str = ""


class History:
    """For one repository. `denied` says of a path, relative to `root`, whether it may not be read. One per thread."""

    def __init__(
        self,
        root: Path,
        denied: Callable[[str], bool],
        run_git: RunGit,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._denied = denied
        self._run_git = run_git
        self._seconds = seconds
        self._clock = clock
        self._directories: list[Path] = []
        self._looked = -_LOOK_AGAIN_SECONDS
        self._held: dict[Path, str] = {}  # by git directory: why it is hidden
        self._known: dict[Path, tuple[object, str]] = {}  # by git directory: in what state it was, and why it is hidden

    def hides(self, present: Sequence[str] = ()) -> HistoryVerdict:
        """Whether the objects must be hidden. `present` are the denied files that exist, relative to the root.

        A few milliseconds where neither objects, index nor denied files have changed since the last time, else git's time for all
        commits, at most `seconds` in all. What was once found stays found: a command that may change the index, or git's other
        files, cannot make it seem gone.
        """
        until = self._clock() + self._seconds
        files = [file for path in present if (file := self._root / path).is_file()]
        notes = [note for directory in self._repositories() if (note := self._note(directory, files, until))]
        if not notes:
            return HistoryVerdict(held=False)
        return HistoryVerdict(True, _stores(self._repositories()), " ".join([*notes, _ALLOW]))

    def _repositories(self) -> list[Path]:
        if self._clock() - self._looked >= _LOOK_AGAIN_SECONDS:
            self._directories = list(git_directories(self._root))
            self._looked = self._clock()
        return self._directories

    def _note(self, directory: Path, files: Sequence[Path], until: float) -> str:
        """Why the objects of one git directory must be hidden; empty where they need not be."""
        if directory in self._held:
            return self._held[directory]
        state, newest = _state(directory, files)
        known = self._known.get(directory)
        if known is not None and known[0] == state:
            return known[1]
        settled = abs(time.time_ns() - newest) > _JUST_NS
        note = self._look(directory, files, until)
        if settled:
            self._known[directory] = state, note
        return note

    def _look(self, directory: Path, files: Sequence[Path], until: float) -> str:
        hidden = f"The git objects in {os.path.relpath(directory, self._root)} are hidden from commands, since they"
        try:
            if why := self._found(directory, files, until):
                self._held[directory] = f"{hidden} {why}."
        except _Unknown as unknown:
            return f"{hidden} could not be searched for what is in denied files: {unknown}."
        return self._held.get(directory, "")

    def _found(self, directory: Path, files: Sequence[Path], until: float) -> str:
        """What the objects have. Raises _Unknown."""
        kinds, paths = self._ask(directory, _identities(directory, files), until)
        found = [path for path in dict.fromkeys(paths) if self._is_denied(directory, path)]
        if found:
            named = ", ".join(map(shlex.quote, found[:_NAMED]))
            return f"have {named}" + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
        return "have what is in a denied file" if "blob" in kinds else ""

    def _ask(self, directory: Path, identities: Sequence[str], until: float) -> tuple[list[str], list[str]]:
        """What kinds of objects those are that have one of the identities, and every path of index and commits."""
        left = until - self._clock()
        if left <= 0:
            raise _Unknown(f"it takes longer than {self._seconds:g} seconds")
        elsewhere = not directory.is_relative_to(self._root)
        script = _IF_SEEN + _SCRIPT if elsewhere else _SCRIPT
        where = os.path.relpath(directory, self._root)
        code, output = self._run_git(["bash", "-c", script, "bash", where, *identities], left)
        if elsewhere and code == _NOT_SEEN:
            return [], []
        parts = _parts(output)
        if code != 0 or len(parts) != _PARTS:
            late = self._clock() >= until
            raise _Unknown(f"it takes longer than {self._seconds:g} seconds" if late else f"git ended with {code}")
        kinds, staged, committed = parts
        return [kind.rpartition(" ")[2] for kind in kinds], [*staged, *committed]

    def _is_denied(self, directory: Path, path: str) -> bool:
        """A path of another repository within is denied by its place in the one around it, or by its own."""
        around = os.path.relpath(directory, self._root)
        inside = around.rpartition("modules/")[2] if "modules/" in around else os.path.dirname(around)
        return self._denied(path) or (bool(inside) and self._denied(f"{inside}/{path}"))


class _Unknown(Exception):
    """Why it is not known what git's objects hold."""


def object_stores(root: Path) -> tuple[Path, ...]:
    """The directories that hold what was committed to the repository, and to others within: git's objects, those borrowed from
    elsewhere, and what git-lfs and git-annex keep. Without symbolic links; also such as lie outside the root."""
    return _stores(git_directories(root))


def _stores(directories: Iterable[Path]) -> tuple[Path, ...]:
    found: dict[Path, None] = {}
    for directory in directories:
        kept = (directory / name for name in ("lfs", "annex"))
        for store in (*_with_alternates(directory / "objects"), *kept):
            if store.is_dir():
                found[Path(os.path.realpath(store))] = None
    return tuple(found)


def git_directories(root: Path) -> Iterator[Path]:
    """The git directories of the repository, of its submodules, and of others within, bare ones too; and those elsewhere that a
    work tree points to, by the directory of its objects. What cannot be listed is left out: commands cannot list it either."""
    waiting = [os.fspath(root)]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as listing:
                entries = list(listing)
        except OSError:
            continue
        names = {entry.name for entry in entries}
        if "objects" in names and _is_git(os.path.join(here, "objects"), "HEAD" in names):
            yield Path(here)
            entries = [entry for entry in entries if entry.name == "modules"]
        elif ".git" in names and (pointed := _elsewhere(Path(here), root)) is not None:
            yield pointed
        waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def _is_git(objects: str, head: bool) -> bool:
    """Whether a git directory has those objects. Without HEAD git takes it for none, but a command that removed HEAD can bring it
    back."""
    return os.path.isdir(objects) and (
        head or all(os.path.isdir(os.path.join(objects, name)) for name in ("info", "pack"))
    )


def object_ids(file: Path, kind: str) -> Iterator[str]:
    """The ids that a file's content has as an object, `kind` "sha1" or "sha256": as it is, and with the line ends that git may have
    given it. None for a file with nothing in it. Raises OSError."""
    size = file.stat().st_size
    if size > _TEXT_BYTES:
        with file.open("rb") as stream:
            digest = hashlib.new(kind, b"blob %d\0" % size, usedforsecurity=False)
            while piece := stream.read(1 << 20):
                digest.update(piece)
        yield digest.hexdigest()
        return
    data = file.read_bytes()
    for content in dict.fromkeys((data, data.replace(b"\r\n", b"\n"))):
        if content.strip():
            yield hashlib.new(kind, b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _identities(directory: Path, files: Sequence[Path]) -> list[str]:
    """The object ids of the files. Raises _Unknown."""
    try:
        identities = [identity for file in files for identity in object_ids(file, _kind(directory / "config"))]
    except OSError as error:
        raise _Unknown(f"{error.filename or directory} cannot be read") from None
    if len(identities) > _MOST_FILES:
        raise _Unknown(f"there are more than {_MOST_FILES} of these")
    return identities


def _kind(config: Path) -> str:
    """Which hash names the objects. Raises OSError."""
    try:
        return "sha256" if _SHA256.search(config.read_bytes()) else "sha1"
    except FileNotFoundError:
        return "sha1"


def _elsewhere(work_tree: Path, root: Path) -> Path | None:
    """The git directory of a work tree that keeps it elsewhere: by a symbolic link, or by a file `.git` that names it, where a file
    `commondir` may name the one whose objects it shares. None where that is below the root, and so is found by itself."""
    place = work_tree / ".git"
    if place.is_symlink():
        pointed = Path(os.path.realpath(place))
    elif place.is_file():
        pointed = Path(os.path.realpath(work_tree / _line(place).removeprefix("gitdir: ")))
        pointed = Path(os.path.realpath(pointed / (_line(pointed / "commondir") or ".")))
    else:
        return None
    return None if pointed.is_relative_to(root) or not (pointed / "objects").is_dir() else pointed


def _line(file: Path) -> str:
    """The first line of a small file; empty where there is none that can be read."""
    try:
        with file.open("rb") as stream:
            line = os.fsdecode(stream.readline(_LINE_BYTES)).rstrip("\r\n")
    except OSError:
        return ""
    return "" if "\0" in line else line


def _with_alternates(objects: Path) -> list[Path]:
    """An object directory and those that it borrows from."""
    found = [objects]
    waiting = [(objects, 0)]
    while waiting:
        here, depth = waiting.pop()
        for line in _lines(here / "info" / "alternates") if depth < _MOST_ALTERNATES else ():
            other = Path(os.path.normpath(here / line))
            if other not in found:
                found.append(other)
                waiting.append((other, depth + 1))
    return found


def _lines(file: Path) -> list[str]:
    try:
        lines = os.fsdecode(file.read_bytes()).split("\n")
    except OSError:
        return []
    return [line for line in lines if line and not line.startswith("#") and "\0" not in line]


def _state(directory: Path, files: Sequence[Path]) -> tuple[object, int]:
    """What changes whenever an object, the index or a denied file does, and when that was last, in nanoseconds since 1970. A new
    object is a new entry in one of at most 258 directories."""
    stores = _with_alternates(directory / "objects")
    places = [*files, directory / "index", directory / "config", *stores]
    places += [store / "info" / "alternates" for store in stores]
    places += [Path(entry) for store in stores for entry in _below(store)]
    states = [_stat_of(place) for place in places]
    return tuple(zip(places, states, strict=True)), max((state[-1] for state in states), default=0)


def _below(store: Path) -> list[str]:
    try:
        with os.scandir(store) as entries:
            return sorted(entry.path for entry in entries)
    except OSError:
        return []


def _stat_of(path: Path) -> tuple[int, int, int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0, 0, 0
    return status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns


def _parts(output: bytes) -> list[list[str]]:
    """Records that end with a zero byte, in parts that end with an empty record; what is after the last part is not complete."""
    parts: list[list[str]] = []
    part: list[str] = []
    for record in output.split(b"\0")[:-1]:
        if record:
            part.append(os.fsdecode(record))
        else:
            parts.append(part)
            part = []
    return parts
