"""Which wheels the program needs on another machine, and where each comes from.

    the program's wheel -> its requirements, as the markers hold there -> the pinned version of each -> its wheel -> ...

A wheel comes from the directory that the person gives, else from pip's index, else it is built here. What is not pinned is not
packed: a bundle has the versions that the program was tested with.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from offline_agent.bundle.fetch import Pip
from offline_agent.bundle.targets import Target
from offline_agent.bundle.wheels import Wheel, allows, best_of, read_wheel
from offline_agent.errors import BundleError

PROGRAM = "offline-agent"
INSTALLER = "pip"
"""It installs the others, since a Python may come without (Debian's, unless python3-venv is there)."""
INSTALLER_VERSION = "26.3"
UNLISTED = {INSTALLER: INSTALLER_VERSION, "setuptools": "84.2.1"}
"""What `pip freeze` leaves out, and with it the list of versions."""

Obtain = Callable[[Mapping[str, str], Target], Mapping[str, Wheel]]
"""Called with versions by name; returns the wheels that there are."""


class Shelf:
    """The wheel files of directories; each is read once. Earlier directories come first."""

    def __init__(self, *directories: Path) -> None:
        self._directories = directories
        self._read: dict[Path, Wheel] = {}

    def find(self, pins: Mapping[str, str], target: Target) -> dict[str, Wheel]:
        """The wheels that are there, by name. Raises BundleError for a file that is no sound wheel."""
        found = {}
        for directory in self._directories:
            paths = sorted(directory.glob("*.whl"))
            for name, pin in pins.items():
                if name not in found and (path := best_of(paths, name, pin, target)) is not None:
                    found[name] = self._wheel(path)
        return found

    def _wheel(self, path: Path) -> Wheel:
        if path not in self._read:
            self._read[path] = read_wheel(path)
        return self._read[path]


def closure(target: Target, pins: Mapping[str, str], obtain: Obtain) -> dict[str, Wheel]:
    """The wheels of the program, of all that it needs there, and of pip, by name. What `obtain` does not return is left out, with
    what it alone needs. Raises BundleError for a requirement that the pinned versions do not meet."""
    have = dict(obtain(_of(pins, (PROGRAM, INSTALLER)), target))
    todo, done = {(PROGRAM, "")}, set[tuple[str, str]]()
    while todo:
        new = {name for name, _ in todo} - {name for name, _ in done} - set(have)
        have.update(obtain(_of(pins, new), target) if new else {})
        done |= todo
        todo = {need for name, extra in todo if name in have for need in _needs(have[name], extra, target, pins)} - done
    return have


def lacking(target: Target, pins: Mapping[str, str], shelf: Shelf) -> tuple[str, ...]:
    """The names that the shelf has no wheel for, as far as its wheels tell; what those need may be lacking too."""
    asked: dict[str, str] = {}

    def obtain(wanted: Mapping[str, str], target: Target) -> Mapping[str, Wheel]:
        asked.update(wanted)
        return shelf.find(wanted, target)

    found = closure(target, pins, obtain)
    return tuple(sorted(set(asked) - set(found)))


def collect(
    targets: Iterable[Target], pins: Mapping[str, str], kept: Path, own: Path | None, pip: Pip
) -> tuple[Wheel, ...]:
    """All wheels for these machines, by file name. Those in `kept` are taken first; others are fetched, or built here, into it. The
    program's own comes from there or from `own`, and from no index: anybody could give theirs its name. Raises BundleError."""
    shelf = Shelf(kept, *filter(None, [own]))

    def obtain(wanted: Mapping[str, str], target: Target) -> Mapping[str, Wheel]:
        found = shelf.find(wanted, target)
        if missing := {name: pin for name, pin in wanted.items() if name not in found}:
            if PROGRAM in missing:
                raise _unobtainable(missing, target)
            _bring(missing, target, kept, pip)
            found |= shelf.find({name: pin for name, pin in wanted.items() if name not in found}, target)
        if missing := {name: pin for name, pin in wanted.items() if name not in found}:
            raise _unobtainable(missing, target)
        return found

    found = {wheel.filename: wheel for target in targets for wheel in closure(target, pins, obtain).values()}
    return tuple(found[filename] for filename in sorted(found))


def _bring(missing: Mapping[str, str], target: Target, out: Path, pip: Pip) -> None:
    sources = pip.download(missing, target, out) if missing else []
    if sources and target.platform:
        raise _unobtainable({name: missing[name] for name in sources}, target)
    for name in sources:
        pip.build(name, missing[name], out)


def _needs(wheel: Wheel, extra: str, target: Target, pins: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for requirement in wheel.needs(target, [extra]):
        if not allows(requirement, pins):
            raise BundleError(
                f"{wheel.filename} needs {requirement.name}{requirement.specifier} for {target}, and the versions that the program "
                f"was tested with have {pins.get(canonicalize_name(requirement.name), 'none')}. For a torch without CUDA: "
                "--extra-index-url https://download.pytorch.org/whl/cpu. Else bring another wheel: --wheels DIR."
            )
        yield from ((canonicalize_name(requirement.name), extra) for extra in ("", *sorted(requirement.extras)))


def _of(pins: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: pins[name] for name in sorted(names)}


def _unobtainable(missing: Mapping[str, str], target: Target) -> BundleError:
    listed = " ".join(f"{name}=={pin}" for name, pin in sorted(missing.items()))
    if PROGRAM in missing:
        return BundleError(
            f"There is no wheel of {listed} for {target}, and no source beside the program to build one from. Bring it with "
            "--wheels DIR, or make the bundle from a source checkout."
        )
    return BundleError(
        f"There is no wheel of {listed} for {target}. Build it on such a machine, `pip wheel --no-deps {listed}`, and bring it: "
        "--wheels DIR."
    )
