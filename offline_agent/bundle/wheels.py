"""A wheel as a value, read from its file: what it is, what it needs, under which licence it comes.

Nothing of it is run. What cannot be installed on the other machine is found here, where another can still be fetched.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from offline_agent.bundle.targets import Target
from offline_agent.errors import BundleError
from offline_agent.types import Value

_LARGEST_METADATA = 16_000_000
"""Bytes; the largest seen has 200 kB. A file that claims more would only fill the memory."""


class Wheel(Value):
    """`requires` are its requirements as it writes them, `licence` an SPDX expression, or in `licences` what it says in words."""

    path: Path
    name: str
    version: str
    size: int
    sha256: str
    requires: tuple[str, ...] = ()
    licence: str = ""
    licences: tuple[str, ...] = ()

    @property
    def filename(self) -> str:
        return self.path.name

    def needs(self, target: Target, extras: Iterable[str] = ()) -> list[Requirement]:
        """What has to be installed with it there, and with those of its extras."""
        given = ["", *extras]
        found = [Requirement(text) for text in self.requires]
        return [
            requirement
            for requirement in found
            if requirement.marker is None
            or any(requirement.marker.evaluate({**target.environment, "extra": extra}) for extra in given)
        ]


def read_wheel(path: Path) -> Wheel:
    """The wheel in a file. Every byte of it is read. Raises BundleError for what is no wheel, is damaged, or is not what its name
    says."""
    name, version, _, _ = _parsed(path)
    metadata = _metadata(path)
    try:
        same = canonicalize_name(metadata.get("Name", "")) == name and Version(metadata.get("Version", "")) == version
        requires = tuple(str(Requirement(text)) for text in metadata.get_all("Requires-Dist", []))
    except (InvalidVersion, InvalidRequirement) as error:
        raise _refused(path, f"its METADATA is not understood ({error})") from None
    if not same:
        raise _refused(path, f"it says that it is {metadata.get('Name')} {metadata.get('Version')}")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Wheel(
        path=path,
        name=name,
        version=str(version),
        size=path.stat().st_size,
        sha256=sha256,
        requires=requires,
        licence=(metadata.get("License-Expression") or "").strip(),
        licences=_licences(metadata),
    )


def best_of(paths: Iterable[Path], name: str, pin: str, target: Target) -> Path | None:
    """Among wheel files the one of that project and version that fits the machine best; a local version, such as 2.13.0+cpu, before
    the plain one. A file whose name is no wheel's raises BundleError."""
    found: list[tuple[int, Version, str, Path]] = []
    for path in paths:
        own_name, version, _, own_tags = _parsed(path)
        rank = next((place for place, tag in enumerate(target.tags) if tag in own_tags), None)
        if own_name == name and rank is not None and SpecifierSet(f"=={pin}").contains(version, prereleases=True):
            found.append((-rank, version, path.name, path))
    return max(found)[-1] if found else None


def read_pins(text: str) -> dict[str, str]:
    """Versions by canonical name, from a list of `name==version` lines. Raises BundleError for any other line."""
    pins: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        name, _, version = line.partition("==")
        try:
            pins[canonicalize_name(name.strip(), validate=True)] = str(Version(version.strip()))
        except ValueError:  # both of packaging's errors are
            raise BundleError(
                f"Line {number} of the list of versions is no `name==version`: {line!a}. Install the program again."
            ) from None
    return pins


def allows(requirement: Requirement, pins: Mapping[str, str]) -> bool:
    """Whether the version that is pinned is one that is asked for."""
    pin = pins.get(canonicalize_name(requirement.name))
    try:
        return pin is not None and requirement.specifier.contains(pin, prereleases=True)
    except InvalidSpecifier:
        return False


def _parsed(path: Path) -> tuple[str, Version, object, frozenset[Tag]]:
    try:
        return parse_wheel_filename(path.name)
    except (InvalidWheelFilename, InvalidVersion):
        raise _refused(path, "its name is not that of a wheel, such as name-1.0-py3-none-any.whl") from None


def _metadata(path: Path) -> Message:
    """METADATA of a wheel whose every member is whole and stays below the directory that it is unpacked in."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(_leaves(name) for name in names):
                raise _refused(path, "it holds a file that would be unpacked elsewhere")
            found = [name for name in names if name.count("/") == 1 and name.endswith(".dist-info/METADATA")]
            if len(found) != 1 or found[0].replace("METADATA", "RECORD") not in names:
                raise _refused(path, "it has no METADATA and RECORD, or more than one")
            if archive.getinfo(found[0]).file_size > _LARGEST_METADATA:
                raise _refused(path, "its METADATA is longer than any can be")
            if damaged := archive.testzip():
                raise _refused(path, f"{damaged!a} in it is damaged")
            return BytesParser(policy=compat32).parsebytes(archive.read(found[0]), headersonly=True)
    except OSError as error:
        raise BundleError(f"The wheel {path} cannot be read: {error.strerror}. Check its owner and mode.") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise _refused(path, f"it is no whole zip file ({error})") from None


def _leaves(name: str) -> bool:
    return name.startswith("/") or "\\" in name or ".." in name.split("/") or ":" in name.split("/")[0]


def _licences(metadata: Message) -> tuple[str, ...]:
    """What it says of its licence in words: the field where that is a line, not the text of a licence, else the classifiers."""
    line = str(metadata.get("License") or "").strip()
    if line and "\n" not in line and line.upper() != "UNKNOWN":
        return (line,)
    listed = [text.split(" :: ")[-1] for text in metadata.get_all("Classifier", []) if text.startswith("License ::")]
    return tuple(text for text in listed if text != "OSI Approved")


def _refused(path: Path, reason: str) -> BundleError:
    return BundleError(f"The wheel {path} cannot be packed: {reason}. Remove it and have it fetched or built again.")
