"""The names of files by a pattern: `*` and `?` within a name, `**` across directories, `[ab]`, and `{py,toml}`.

A pattern without a slash means a name at any depth, as in .gitignore: models that write `*.py` mean all of them.
"""

import re
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from posixpath import normpath

import regex  # type: ignore[import-untyped]  # nobody publishes its types with it
from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_MAGIC = re.compile(r"[*?\[\]{}]")
_MOST_FORMS = 64  # of a pattern with braces in braces
_LONGEST = 1000  # characters
_LEAST = 0.001  # seconds: none at all would mean no limit


class BadPattern(Exception):
    """What is wrong with it, in a sentence for a model."""


class NamePattern:
    """A pattern below `root`. `under` is the deepest directory that is named in it, `.` for the root. Matching takes `seconds` at
    most, all paths together. Raises BadPattern."""

    def __init__(self, pattern: str, root: Path, seconds: float = 5.0) -> None:
        relative = _relative(pattern.strip().replace("\\", "/"), root)
        if len(relative) > _LONGEST:
            raise BadPattern(f"The pattern has more than {_LONGEST} characters. Write one such as src/**/*.py.")
        self.under = _directory_of(relative)
        try:
            forms = [GitIgnoreSpecPattern(_escaped(form)).regex for form in islice(_forms(relative), _MOST_FORMS)]
        except GitIgnorePatternError:
            raise BadPattern(f"{pattern!r} is no pattern. Write one such as src/**/*.py.") from None

        self._forms = [regex.compile(form.pattern) for form in forms if form is not None]
        self._left = seconds

    def matches(self, path: str) -> bool:
        """Raises BadPattern where all paths together took too long: the more stars, the more ways there are to try."""
        began = time.monotonic()
        try:
            found = any(form.search(path, timeout=max(self._left, _LEAST)) for form in self._forms)
        except TimeoutError:
            raise BadPattern("The pattern has too many stars to be matched in time. Use fewer.") from None
        self._left -= time.monotonic() - began
        return found


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
    waiting = [pattern]
    while waiting:
        form = waiting.pop()
        braces = _BRACES.search(form)
        if braces is None:
            yield form
        else:
            choices = reversed(braces[1].split(","))
            waiting += [form[: braces.start()] + choice + form[braces.end() :] for choice in choices]


def _escaped(pattern: str) -> str:
    """In .gitignore these two mean something else at the beginning."""
    return f"\\{pattern}" if pattern.startswith(("!", "#")) else pattern
