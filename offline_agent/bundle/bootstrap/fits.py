"""Whether the wheels of a bundle are for this machine, told from their file names (PEP 425, PEP 600): before anything is made."""

import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from offline_agent.bundle.bootstrap.manifest import Manifest
from offline_agent.bundle.bootstrap.names import shown

WHEELS = "wheels/"
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_VERSIONED = re.compile(r"(manylinux|musllinux|macosx)_(\d+)_(\d+)_(\w+)")
_UNIVERSAL = {"universal2": ("arm64", "x86_64"), "intel": ("x86_64",)}
_NAME = re.compile(r"[-_.]+")
_WHEEL = re.compile(r"[^-/]+-[^-/]+(-\d[^-/]*)?-[^-/]+-[^-/]+-[^-/]+\.whl")  # PEP 427


@dataclass(frozen=True)
class Here:
    """A Python and the system under it. `system` is "manylinux", "musllinux", "macosx" or another; `release` the version of glibc
    or of macOS, and (0, 0) where it cannot be told."""

    python: tuple[int, int]
    implementation: str
    system: str
    release: tuple[int, int]
    machine: str

    def __str__(self) -> str:
        number = ".".join(map(str, self.python))
        release = f" {'glibc ' if self.system == 'manylinux' else ''}{self.release[0]}.{self.release[1]}"
        system = {"manylinux": "Linux", "musllinux": "Linux (musl)", "macosx": "macOS"}.get(self.system, self.system)
        return f"Python {number} on {system}{release if any(self.release) else ''}, {self.machine}"


def here() -> Here:
    system, release = _system()
    threaded = "" if not sysconfig.get_config_var("Py_GIL_DISABLED") else " without a lock"
    implementation = sys.implementation.name + threaded
    return Here(sys.version_info[:2], implementation, system, release, platform.machine())


def fault_of(manifest: Manifest, machine: Here) -> str:
    """Why the program of a bundle cannot be installed on that machine, in a sentence; empty where it can, or there is none."""
    wheels = [member.name.removeprefix(WHEELS) for member in manifest.members if member.name.startswith(WHEELS)]
    if not wheels:
        return ""
    if odd := [name for name in wheels if not _WHEEL.fullmatch(name)]:
        return f"The bundle has {shown(odd[0])} among its wheels, and that is none: ask who made it to make it anew."
    made_for = f"Python {manifest.python} on {' or '.join(manifest.platforms)}"
    if machine.implementation != "cpython" or manifest.python != ".".join(map(str, machine.python)):
        return (
            f"The bundle is made for {made_for}, and this is {machine}: run it with that Python, or get one for this."
        )
    if not any(fits_platform(tag, machine) for tag in manifest.platforms):
        return f"The bundle is made for {made_for}, and this is {machine}: get one made for it, with --platform."
    lacking = sorted({_project(name) for name in wheels} - {_project(name) for name in fitting(wheels, machine)})
    if lacking:
        return f"The bundle has no wheel of {', '.join(lacking[:5])} for {machine}: get one that is made for it."
    return ""


def fitting(wheels: Iterable[str], machine: Here) -> list[str]:
    """Those file names of wheels that can be installed there."""
    return [name for name in wheels if fits(name, machine)]


def fits(wheel: str, machine: Here) -> bool:
    """Of a file name that is a wheel's."""
    pythons, abis, platforms = wheel.removesuffix(".whl").split("-")[-3:]
    return any(
        _fits_python(python, abi, machine) and fits_platform(tag, machine)
        for python in pythons.split(".")
        for abi in abis.split(".")
        for tag in platforms.split(".")
    )


def fits_platform(tag: str, machine: Here) -> bool:
    if tag == "any":
        return True
    if machine.system in ("manylinux", "musllinux") and tag == f"linux_{machine.machine}":
        return True
    legacy, _, rest = tag.partition("_")
    if legacy in _LEGACY:
        tag = f"manylinux_{_LEGACY[legacy][0]}_{_LEGACY[legacy][1]}_{rest}"
    match = _VERSIONED.fullmatch(tag)
    if match is None or match[1] != machine.system:
        return False
    machines = _UNIVERSAL.get(match[4], (match[4],))
    return machine.machine in machines and (
        not any(machine.release) or (int(match[2]), int(match[3])) <= machine.release
    )


def _fits_python(python: str, abi: str, machine: Here) -> bool:
    match = re.fullmatch(r"(cp|py)(\d)(\d*)", python)
    if match is None or int(match[2]) != machine.python[0]:
        return False
    minor = int(match[3] or 0)
    if abi == "none":  # py311 means 3.11 and later; cp311 that very version
        return minor <= machine.python[1] if match[1] == "py" or not match[3] else minor == machine.python[1]
    if abi == "abi3":
        return match[1] == "cp" and minor <= machine.python[1]
    return abi == python == f"cp{machine.python[0]}{machine.python[1]}"


def _project(wheel: str) -> str:
    return _NAME.sub("-", wheel.split("-")[0]).lower()


def _system() -> tuple[str, tuple[int, int]]:
    name = platform.system()
    if name == "Darwin":
        return "macosx", _numbers(platform.mac_ver()[0])
    if name != "Linux":
        return name.lower(), (0, 0)
    with suppress(OSError, ValueError):
        if (version := os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc "):
            return "manylinux", _numbers(version.split()[1])
    return "musllinux", (0, 0)


def _numbers(version: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
