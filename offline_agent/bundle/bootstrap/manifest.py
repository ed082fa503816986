"""What a bundle holds: `manifest.json`, which is what is signed.

    format         1; a change that older programs cannot read makes it 2
    version        of the program
    python         which Python its wheels are for, as a person reads it
    platforms      tags of the systems that its wheels are for
    models         a list of holdings (models.Holding), as JSON
    default_model  which of them is to be used where none is set; "" for none
    stretch        bytes from one mark to the next (see hashing.py)
    members        a list of name, size in bytes, sha256 in hex, and marks, a list of the same: install.pyz, then by name

It is JSON with sorted keys, no spaces and a newline at its end, in UTF-8. The same manifest is always the same bytes, and other
bytes are refused.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from offline_agent.bundle.bootstrap.hashing import STRETCH, count_marks
from offline_agent.bundle.bootstrap.names import fault_among, fault_of, shown
from offline_agent.errors import BundleBroken, BundleError

MANIFEST, SIGNATURE, INSTALLER = "manifest.json", "manifest.sig", "install.pyz"
LARGEST = 16 * 1024 * 1024
"""Bytes of a manifest: 4 TB of models, at a mark every 16 MiB."""
_FORMAT = 1
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Member:
    """A file of the bundle: its path there, bytes, SHA-256 in hex. Who writes the bundle adds the marks."""

    name: str
    size: int
    sha256: str
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    version: str
    python: str
    platforms: tuple[str, ...]
    models: tuple[dict[str, Any], ...]
    default_model: str
    members: tuple[Member, ...]
    stretch: int = STRETCH

    def to_bytes(self) -> bytes:
        """The members in their order, whatever order they were given in. Raises BundleError for what is not to be written."""
        values = {"format": _FORMAT, **asdict(self), "members": [asdict(member) for member in in_order(self.members)]}
        try:
            text = json.dumps(values, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
            data = (text + "\n").encode()
        except ValueError as error:
            raise BundleError(
                f"What a bundle would hold cannot be written down: {error}. Leave that model out."
            ) from None
        if len(data) > LARGEST:
            raise BundleError("A bundle cannot list so many files. Make several, each with fewer models.")
        return data


def in_order(members: Iterable[Member]) -> tuple[Member, ...]:
    """As they come in a bundle: the installer, so that it is found without reading all, then by name."""
    return tuple(sorted(members, key=lambda member: (member.name != INSTALLER, member.name)))


def check_members(manifest: Manifest) -> None:
    """Raises BundleError for names, sizes or hashes that no bundle has."""
    fault = _fault_of(manifest)
    if fault:
        raise BundleError(f"{fault}, so it does not go into a bundle. Give it another name.")


def parse(data: bytes) -> Manifest:
    """The manifest in these bytes, of which the signature was checked. Raises BundleBroken, and BundleError for a later format."""
    try:
        values = json.loads(data)
        newer = values["format"] > _FORMAT
        if not newer:
            manifest = _manifest(values)
            same = manifest.to_bytes() == data
    except (ValueError, KeyError, TypeError, RecursionError, BundleError):
        raise _broken("it is not what a bundle lists its contents with") from None
    if newer:
        raise BundleError(
            f"The bundle is of format {values['format']}, known here up to {_FORMAT}: a newer version of offline-agent made it. "
            "Update offline-agent, or use the install.pyz that came with the bundle."
        )
    if not same:
        raise _broken("it is not written in the one way that it can be")
    if fault := _fault_of(manifest):
        raise _broken(fault)
    return manifest


def _manifest(values: dict[str, Any]) -> Manifest:
    members = tuple(
        Member(_text(each["name"]), _size(each["size"]), _text(each["sha256"]), tuple(map(_text, each["marks"])))
        for each in values["members"]
    )
    return Manifest(
        version=_text(values["version"]),
        python=_text(values["python"]),
        platforms=tuple(map(_text, values["platforms"])),
        models=tuple(map(_object, values["models"])),
        default_model=_text(values["default_model"]),
        members=members,
        stretch=_size(values["stretch"]),
    )


def _fault_of(manifest: Manifest) -> str:
    """The first thing that is wrong with its members, as the beginning of a sentence; empty when nothing is."""
    if manifest.stretch < 1:
        return "a stretch has no bytes"
    for member in manifest.members:
        if fault := fault_of(member.name):
            return f"the name {shown(member.name)} {fault}"
        if len(member.marks) != count_marks(member.size, manifest.stretch):
            return f"{member.name} has not as many marks as its size calls for"
        if not all(len(each) == 64 and set(each) <= _HEX for each in (member.sha256, *member.marks)):
            return f"{member.name} has no hash"
    return fault_among([MANIFEST, SIGNATURE, *(member.name for member in manifest.members)])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _size(value: object) -> int:
    if type(value) is not int or value < 0:  # a bool is an int too
        raise TypeError
    return value


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _broken(what: str) -> BundleBroken:
    return BundleBroken(f"The manifest.json of the bundle cannot be used: {what}. Get the bundle anew.")
