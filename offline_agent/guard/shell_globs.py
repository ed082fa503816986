"""Which files a shell's wildcards stand for: `src/*.py`, `.e?v`, `.[e]nv`.

More may be found than bash finds, never less: ranges match whatever the locale, and upper case for lower case.
"""

import os
import re

_MOST_ENTRIES = 20_000  # looked at for one pattern
MOST_MATCHES = 256
_PIECE = re.compile(r"\\(.)|\[([!^]?)(\]?(?:\\.|\[:\w+:\]|[^\]\\])*)\]|(.)", re.DOTALL)


class TooMany(Exception):
    """The pattern matches more files than can be judged one by one."""


def expand(pattern: str, directory: str) -> tuple[str, ...]:
    """The paths below `directory` (absolute) that a pattern matches, written as the pattern is: relative or absolute. A backslash
    quotes. Raises TooMany."""
    steps = pattern.split("/")
    found = ["/" if pattern.startswith("/") else ""]
    left = _MOST_ENTRIES
    for number, step in enumerate(steps):
        if not step:
            continue
        last = not any(steps[number + 1 :])
        if not re.search(r"(?<!\\)(?:\\\\)*[*?\[]", step):
            plain = re.sub(r"\\(.)", r"\1", step)
            found = [path + plain + ("" if last else "/") for path in found]
            continue
        matches = []
        for path in found:
            names = _names(os.path.join(directory, path))
            left -= len(names)
            if left < 0:
                raise TooMany
            matches += [path + name + ("" if last else "/") for name in _matching(step, names)]
        found = matches
        if len(found) > MOST_MATCHES:
            raise TooMany
    return tuple(path for path in sorted(found) if os.path.lexists(os.path.join(directory, path)))


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (OSError, ValueError):
        return []  # a shell finds nothing there either


def _matching(step: str, names: list[str]) -> list[str]:
    expression = re.compile(_expression(step), re.DOTALL | re.IGNORECASE)
    hidden = step.startswith((".", "\\.", "["))
    names = [*names, ".", ".."] if hidden else [name for name in names if not name.startswith(".")]
    return [name for name in names if expression.fullmatch(name)]


def _expression(step: str) -> str:
    """A regular expression that matches at least what the pattern matches, in linear time: what follows a star is found once, at
    its first place, and not tried again further on."""
    chunks = [""]
    for quoted, _, inside, other in _PIECE.findall(step):
        if other == "*":
            chunks.append("")
        elif quoted or other not in ("", "?"):
            chunks[-1] += re.escape(quoted or other)
        else:
            # Sets with ranges or classes differ between locales, and what is negated is hard to bound: any character may be in
            # them.
            plain = inside and not re.search(r"-|\[|\\", inside) and not re.search(r"\[[!^]", step)
            chunks[-1] += f"[{re.escape(inside)}]" if plain else "."
    if len(chunks) == 1:
        return chunks[0]
    return chunks[0] + "".join(f"(?>.*?{chunk})" for chunk in chunks[1:-1]) + f".*{chunks[-1]}"
