"""The frames of a traceback, as Python, pytest, JavaScript, Java, C#, Go, Rust, Ruby, PHP and compilers write them.

Every pattern takes time in proportion to the text, whatever the text: a question may be anything that somebody pasted.
"""

import re
from collections.abc import Iterable, Iterator

from offline_agent.types import Value

ENDING = (
    "(?:py|pyi|pyx|js|jsx|mjs|cjs|ts|tsx|go|rs|c|h|cc|cpp|cxx|hpp|hh|java|cs|rb|php|sh|bash|kt|swift|"
    "toml|cfg|ini|ya?ml|json|md|rst)"
)
# It begins where a run of such characters begins, and nowhere inside: else a long run is read once from each of its characters.
FILE = rf"(?<![\w.~@+\\/-])[\w.~@+\\/-]*[\w+-]\.{ENDING}"
_LINE = r"(?P<line>\d{1,9})(?!\d)"
_PATTERNS = (
    # Python: File "a/b.py", line 12, in run
    re.compile(rf'File "(?P<path>[^"\n]+)", line {_LINE}(?:, in (?P<name>[\w<>.]+))?'),
    # JavaScript: at new Thing.run (a/b.js:12:3). Java: at a.b.Thing.run(Thing.java:12)
    re.compile(rf"\bat (?:async |new )?(?P<name>[\w$.<>/]+) ?\((?:[\w-]+:)?(?P<path>[^():\n]+):{_LINE}(?::\d+)?\)"),
    # C#: at A.Thing.Run(String name) in C:\a\b.cs:line 12
    re.compile(rf"\bat (?P<name>[\w.]+)\([^()\n]*\) in (?:[A-Za-z]:)?(?P<path>[^():\n]+):line {_LINE}"),
    # PHP: #0 /a/b.php(12): Thing->run(). What follows is called there: it is not the function around the line.
    re.compile(rf"(?P<path>{FILE})\({_LINE}\)"),
    # pytest: a/b.py:12: in run   Ruby: a/b.rb:12:in `run'   compilers, Go, Rust: a/b.rs:12:5
    re.compile(rf"(?P<path>{FILE}):{_LINE}(?::\d+)?(?:: ?in [`']?(?:block in )?(?P<name>[\w.:#]+))?"),
)
# On the line above. Go: main.(*Thing).run(0xc0000140a8, {0x1, 0x2})   Rust: 12: thing::run
_ABOVE = re.compile(r"(?P<go>\S+)\([^()]*\)$|\s*\d+: +(?:0x[0-9a-f]+ - )?(?P<rust>\S.*)$")
_LONGEST_ABOVE = 300  # characters
_HASH = re.compile(r"::h[0-9a-f]{16}$")  # what Rust's compiler adds


class Frame(Value):
    """One line of a traceback. `depth` counts from the innermost, where things went wrong; `name` may be empty."""

    path: str
    line: int
    name: str = ""
    depth: int = 0


def frames(text: str) -> list[Frame]:
    """Frames in the order of the text. Python writes the innermost last, the others first."""
    found = dict(sorted(_found(text)))
    last = len(found) - 1 if _innermost_last(text, found.values()) else 0
    return [frame.model_copy(update={"depth": abs(last - place)}) for place, frame in enumerate(found.values())]


def _found(text: str) -> Iterator[tuple[int, Frame]]:
    """Frames with where their paths end, each once: what fits several patterns is the first one's."""
    taken: set[int] = set()
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            end = match.end("path")
            if end not in taken:
                taken.add(end)
                name = match.groupdict().get("name") or _name_above(text, match.start("path"))
                yield end, Frame(path=match["path"].replace("\\", "/"), line=int(match["line"]), name=_own(name))


def _name_above(text: str, start: int) -> str:
    """The function whose place begins at `start`, where that place has a line of its own."""
    begin = text.rfind("\n", 0, start)
    indent = text[begin + 1 : start]
    if begin < 0 or not indent[:1].isspace() or indent.strip() not in ("", "at"):
        return ""
    above = text[max(0, begin - _LONGEST_ABOVE) : begin].rpartition("\n")[2]
    match = _ABOVE.match(above)
    return _HASH.sub("", match["go"] or match["rust"]) if match else ""


def _own(name: str) -> str:
    """Without what it is in; empty where it is none that a file could define, such as `<module>`."""
    last = re.split(r"[.:#/]+", name)[-1]
    return last if last.isidentifier() else ""


def _innermost_last(text: str, found: Iterable[Frame]) -> bool:
    return "most recent call last" in text or any(frame.path.endswith((".py", ".pyx")) for frame in found)
