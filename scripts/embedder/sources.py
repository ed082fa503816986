"""What training may read: installed packages and local clones, permissively licensed, and never what the evaluation is about."""

import importlib.metadata
import re
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .git import Clone

# What retrieval is measured on, here and elsewhere, with parts and copies under other names: who has read it proves nothing.
HELD_OUT = frozenset({
    "flask", "requests", "xarray", "pylint", "astroid", "pytest", "_pytest", "django", "sympy", "matplotlib", "scikit-learn",
    "sklearn", "astropy", "seaborn", "sphinx", "httpx", "httpx2", "scrapy", "tornado", "click", "networkx", "rich",
})  # fmt: skip
# Vendored copies: of what is held out, or of what is read anyway.
COPIES = frozenset(
    {"_vendor", "vendor", "vendored", "extern", "externals", "third_party", "node_modules", "dist", "_click"}
)
# Not written by people, or too alike: thousands of generated clients and tables.
GENERATED = frozenset({"kubernetes", "sympy", "google", "onnxruntime", "flatbuffers", "offline-agent"})

_COPYLEFT = re.compile(r"\b[AL]?GPL|GENERAL PUBLIC LICENSE|\bMPL|Mozilla", re.IGNORECASE)
_COPYLEFT_TEXT = re.compile(
    r"GENERAL PUBLIC LICENSE\s+Version \d", re.IGNORECASE
)  # the licence itself, not a word about it
_FILES_PER_PACKAGE = 1_200
_TEST = re.compile(
    r"(^|/)(tests?|testing|specs?|__tests__|t|examples?|bench\w*|fixtures)/|(^|/)(test_[^/]*|conftest\.py|[^/]*[_.-](test|spec)s?\.[^/]+)$"
    r"|Tests?(\.[A-Za-z]+|/)|Test[A-Z]?\w*\.(java|php|cs)$|Spec\.\w+$"
)


@dataclass(frozen=True)
class Package:
    """Top-level names of one distribution, or the standard library, and where its Python files are."""

    name: str
    licence: str
    root: Path
    files: tuple[Path, ...]


def held_out(name: str) -> bool:
    return name.lower().partition("/")[0].removesuffix(".py") in HELD_OUT or name.lower().rpartition("+")[2] in HELD_OUT


def packages(names: Sequence[str] = ()) -> Iterator[Package]:
    """The standard library and the installed distributions (of the given names, if any), without what must not be read."""
    standard = Path(sysconfig.get_path("stdlib"))
    if not names or "python" in names:
        yield Package("python", "PSF-2.0", standard, tuple(_kept(standard, _standard_library(standard))))
    for distribution in sorted(importlib.metadata.distributions(), key=lambda one: str(one.metadata["Name"]).lower()):
        name = str(distribution.metadata["Name"]).lower()
        licence = licence_of(distribution)
        if held_out(name) or name in GENERATED or _COPYLEFT.search(licence) or (names and name not in names):
            continue
        root = Path(str(distribution.locate_file("")))
        # Its own list: several distributions can share one directory.
        files = tuple(
            _kept(
                root,
                [root / path for path in distribution.files or () if path.suffix == ".py" and ".." not in path.parts],
            )
        )
        if files:
            yield Package(name, licence, root, files)


def licence_of(distribution: importlib.metadata.Distribution) -> str:
    """What a distribution says of its licence, on one line."""
    metadata = distribution.metadata
    said = [value for field in ("License-Expression", "License") for value in metadata.get_all(field) or ()]
    said += [value for value in metadata.get_all("Classifier") or () if value.startswith("License")]
    return " ".join(" ".join(value.split())[:80] for value in said)


def clones(directories: Sequence[Path]) -> list[Clone]:
    """The clones that may be read; those held out or under copyleft are named and left out."""
    kept = []
    for directory in directories:
        clone = Clone(directory)
        if held_out(clone.name):
            print(f"  {clone.name} is left out: the evaluation is about it")
        elif _COPYLEFT_TEXT.search(clone.licence()):
            print(f"  {clone.name} is left out: its licence is not permissive")
        else:
            kept.append(clone)
    return kept


def _standard_library(root: Path) -> list[Path]:
    left_out = {"site-packages", "test", "idlelib", "lib2to3", "turtledemo", "pydoc_data"}
    return [path for path in sorted(root.rglob("*.py")) if left_out.isdisjoint(path.relative_to(root).parts)]


def _kept(root: Path, files: Sequence[Path]) -> list[Path]:
    """At most so many files, evenly spread."""
    kept = [path for path in sorted(files) if not forbidden(path.relative_to(root).as_posix())]
    return kept[:: 1 + len(kept) // _FILES_PER_PACKAGE]


def copied(path: str) -> bool:
    return not COPIES.isdisjoint(path.lower().split("/"))


def forbidden(path: str) -> bool:
    """Whether training must not read the file: a copy, or something held out inside another project."""
    return copied(path) or not HELD_OUT.isdisjoint(path.lower().removesuffix(".py").split("/"))


def is_test(path: str) -> bool:
    return _TEST.search(path) is not None
