"""For which machine a bundle is made: which wheels it takes, and which requirements hold there."""

import platform
import sys
from functools import cached_property

from packaging import tags
from packaging.markers import default_environment
from packaging.tags import Tag

from offline_agent.errors import UsageError
from offline_agent.types import Value

_OLDEST_PYTHON = 11  # of 3, as in pyproject.toml
_OLDEST_GLIBC = 5  # of manylinux1, PEP 513
_LEGACY = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}  # PEP 600


class Target(Value):
    """A version of CPython and a platform tag such as `manylinux_2_28_x86_64` or `macosx_14_0_arm64`; "" is this machine, with all
    that it takes."""

    python: tuple[int, int]
    platform: str = ""

    @cached_property
    def tags(self) -> tuple[Tag, ...]:
        """What a wheel may be tagged with, best first."""
        if not self.platform:
            return tuple(tags.sys_tags())
        known = list(_platforms(self.platform))
        return (
            *tags.cpython_tags(self.python, platforms=known),
            *tags.compatible_tags(self.python, f"cp{self.python[0]}{self.python[1]}", platforms=known),
        )

    @cached_property
    def environment(self) -> dict[str, str]:
        """What the markers of requirements are evaluated with (PEP 508)."""
        here = {key: str(value) for key, value in default_environment().items()}
        if not self.platform:
            return here
        version = ".".join(map(str, self.python))
        mac = self.platform.startswith("macosx")
        return here | {
            "python_version": version,
            "python_full_version": f"{version}.0",
            "implementation_name": "cpython",
            "implementation_version": f"{version}.0",
            "platform_python_implementation": "CPython",
            "os_name": "posix",
            "sys_platform": "darwin" if mac else "linux",
            "platform_system": "Darwin" if mac else "Linux",
            "platform_machine": _split(self.platform)[2],
            "platform_release": "",
            "platform_version": "",
        }

    @property
    def platforms(self) -> tuple[str, ...]:
        """Its platform tags as pip is told them, best first; none for this machine."""
        return tuple(_platforms(self.platform)) if self.platform else ()

    def __str__(self) -> str:
        return f"Python {self.python[0]}.{self.python[1]} on {self.platform or this_platform()}"


def this_machine() -> Target:
    return Target(python=sys.version_info[:2])


def this_platform() -> str:
    """The platform tag that says most of this machine: of Linux the one with its glibc, which what is built here needs."""
    known = list(tags.platform_tags())
    return next((tag for tag in known if tag.startswith(("manylinux", "musllinux"))), known[0])


def python_of(text: str) -> tuple[int, int]:
    """A version such as "3.12"; "" is the one that runs here. Raises UsageError for what is none that the program runs on."""
    if not text:
        return sys.version_info[:2]
    major, _, minor = text.partition(".")
    if major != "3" or not (minor.isascii() and minor.isdigit()) or int(minor) < _OLDEST_PYTHON:
        raise UsageError(
            f"{text!a} is no version of Python that the program runs on. Give one such as 3.{_OLDEST_PYTHON}."
        )
    return 3, int(minor)


def target_of(text: str, python: tuple[int, int]) -> Target:
    """The machine that a platform tag names. Raises UsageError for what is no tag of Linux or macOS."""
    if python == sys.version_info[:2] and text == this_platform():
        return this_machine()
    _split(text)
    return Target(python=python, platform=text)


def _platforms(tag: str) -> list[str]:
    """The tags of wheels that run on such a platform: pip, told of one, takes no wheel that needs less (PEP 600)."""
    family, version, machine = _split(tag)
    if family == "macosx":
        return list(tags.mac_platforms(version, machine))
    if family != "manylinux":
        return [tag]
    known = []
    for minor in range(version[1], _OLDEST_GLIBC - 1, -1):
        known.append(f"manylinux_2_{minor}_{machine}")
        known += [f"{_LEGACY[minor]}_{machine}"] if minor in _LEGACY else []
    return [*known, f"linux_{machine}"]


def _split(tag: str) -> tuple[str, tuple[int, int], str]:
    """Family, version and machine of a platform tag. Raises UsageError."""
    family, _, rest = tag.partition("_")
    if family == "linux" and rest:
        return family, (0, 0), rest
    steps = rest.split("_", 2)
    numbers = [int(step) for step in steps[:2] if step.isascii() and step.isdigit()]
    if family not in ("manylinux", "musllinux", "macosx") or len(steps) != 3 or len(numbers) != 2 or not steps[2]:
        raise UsageError(
            f"{tag!a} is no platform that the program runs on. Give a tag such as {this_platform()} or macosx_14_0_arm64, as "
            "`pip debug --verbose` lists them there."
        )
    if family == "manylinux" and not (numbers[0] == 2 and numbers[1] >= _OLDEST_GLIBC):
        raise UsageError(f"{tag!a} names no version of glibc. Give a tag such as manylinux_2_28_{platform.machine()}.")
    return family, (numbers[0], numbers[1]), steps[2]
