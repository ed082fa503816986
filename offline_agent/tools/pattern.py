"""The names of files by a pattern: `*` and `?` within a name, `**` across directories, `[ab]`, and `{py,toml}`.

A pattern without a slash means a name at any depth, as in .gitignore: models that write `*.py` mean all of them.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from posixpath import normpath

from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_MAGIC = re.compile(r"[*?\[\]{}]")
_MOST_FORMS = 64  # of a pattern with braces in braces


class BadPattern(Exception):
    """What is wrong with it, in a sentence for a model."""


class NamePattern:
    """A pattern below `root`. `under` is the deepest directory that is named in it, `.` for the root. Raises BadPattern."""

    def __init__(self, pattern: str, root: Path) -> None:
        relative = _relative(pattern.strip().replace("\\", "/"), root)
        self.under = _directory_of(relative)
        try:
            self._forms = [GitIgnoreSpecPattern(_escaped(form)) for form in islice(_forms(relative), _MOST_FORMS)]
        except GitIgnorePatternError:
            raise BadPattern(f"{pattern!r} is no pattern. Write one such as src/**/*.py.") from None

    def matches(self, path: str) -> bool:
        return any(form.match_file(path) for form in self._forms)


def _relative(pattern: str, root: Path) -> str:
    """The pattern from the root on, with a slash in front where it names a directory."""
    inside = f"{root}/"
    if pattern.startswith(inside):
        pattern = f"/{pattern[len(inside) :]}"
    parts = pattern.split("/")
    if ".." not in parts and "." not in parts:
        return pattern
    clean = normpath("/".join(parts))
    if clean.startswith(".."):
        raise BadPattern(f"{pattern!r} leads out of the repository. Patterns begin at its root.")
    return "**" if clean == "." else f"/{clean.lstrip('/')}"


def _directory_of(pattern: str) -> str:
    """`src/app` of `src/app/**/*.py`: nothing else need be walked."""
    parts = pattern.strip("/").split("/")
    if "/" not in pattern.rstrip("/"):
        return "."
    plain = next((number for number, part in enumerate(parts[:-1]) if _MAGIC.search(part)), len(parts) - 1)
    return "/".join(parts[:plain]) or "."


def _forms(pattern: str) -> Iterator[str]:
    """The pattern with each of its alternatives in place of the braces."""
    braces = _BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    for choice in braces[1].split(","):
        yield from _forms(pattern[: braces.start()] + choice + pattern[braces.end() :])


def _escaped(pattern: str) -> str:
    """In .gitignore these two mean something else at the beginning."""
    return f"\\{pattern}" if pattern.startswith(("!", "#")) else pattern
