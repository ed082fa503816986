"""Where files that are no code divide: headings, tables, top-level keys. The heading or key is the symbol of its lines."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from offline_agent.retrieval.outline import Region

_HEADING = re.compile(r"(#{1,6})\s+(.*?)[\s#]*$")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_UNDERLINE = re.compile(r"([=\-~^\"'`#*+:.<>_])\1{2,}\s*$")
_TABLE = re.compile(r"\[+\s*([^\[\]]+?)\s*\]+\s*(?:[#;].*)?$")
_YAML_KEY = re.compile(r"""(?:["']?([\w./$@ -]+?)["']?\s*:(?:\s|$)|-\s|---)""")
_JSON_FIRST = re.compile(r"(\s+)[\"{\[]")
_JSON_KEY = re.compile(r'"([^"\\]+)"\s*:')
_LONGEST_TITLE = 80


class Start(NamedTuple):
    """A section begins at `row`; `title` may be empty."""

    row: int
    title: str


def regions(path: str, lines: Sequence[str], fits: Callable[[Region], bool]) -> Iterator[Region]:
    """The sections of a text, by its file's ending; the whole of it where the format is not known.

    Each section of a document stands alone, but a heading with nothing under it goes with what follows. Sections of
    configuration are small: as many as fit go together.
    """
    ending = path.rpartition("/")[2].lower().rpartition(".")[2]
    if ending in _DOCUMENTS:
        yield from _with_bare_headings(list(_sections(_DOCUMENTS[ending](lines), len(lines))), lines)
    elif ending in _CONFIGURATIONS:
        yield from _together(_sections(_CONFIGURATIONS[ending](lines), len(lines)), fits)
    else:
        yield Region(0, len(lines), "", "text")


def _sections(starts: Iterator[Start], end: int) -> Iterator[Region]:
    begin = Start(0, "")
    for start in starts:
        if start.row > begin.row:
            yield Region(begin.row, start.row, begin.title, "text", begin.row)
        begin = start
    yield Region(begin.row, end, begin.title, "text", begin.row)


def _with_bare_headings(sections: Sequence[Region], lines: Sequence[str]) -> Iterator[Region]:
    begin = -1
    for section in sections:
        start = section.start if begin < 0 else begin
        bare = sum(1 for line in lines[section.start : section.end] if line.strip()) <= 1
        if bare and section.symbol and section is not sections[-1]:
            begin = start
            continue
        yield section._replace(start=start)
        begin = -1


def _together(sections: Iterator[Region], fits: Callable[[Region], bool]) -> Iterator[Region]:
    group: Region | None = None
    for section in sections:
        if group is None:
            group = section
        elif fits(joined := group._replace(end=section.end, symbol="")):
            group = joined
        else:
            yield group
            group = section
    if group is not None:
        yield group


def _markdown(lines: Sequence[str]) -> Iterator[Start]:
    """A `#` inside a fenced block is no heading."""
    fence = ""
    for row, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1] == fence:
            fence = ""
        elif not fence and line.startswith("#") and (heading := _HEADING.match(line[:200])):
            yield Start(row, _title(heading[2]))


def _restructured(lines: Sequence[str]) -> Iterator[Start]:
    """A title is underlined at least as long as it is; the line above it may be drawn too."""
    for row in range(len(lines) - 1):
        title = lines[row].rstrip()
        under = _UNDERLINE.match(lines[row + 1]) if title and not title[0].isspace() and len(title) <= 200 else None
        if under is None or len(under[0].rstrip()) < len(title) or _UNDERLINE.match(title):
            continue
        over = row > 0 and lines[row - 1].rstrip() == lines[row + 1].rstrip()
        yield Start(row - over, _title(title))


def _tables(lines: Sequence[str]) -> Iterator[Start]:
    for row, line in enumerate(lines):
        if line.startswith("[") and (table := _TABLE.match(line[:200])):
            yield Start(row, _title(table[1]))


def _yaml(lines: Sequence[str]) -> Iterator[Start]:
    for row, line in enumerate(lines):
        if line[:1] not in ("", " ", "#", "\t") and (key := _YAML_KEY.match(line[:200])):
            yield Start(row, _title(key[1] or ""))


def _json(lines: Sequence[str]) -> Iterator[Start]:
    """The outermost object's keys, or the outermost array's elements: what is indented as its first one is."""
    first = next((match for line in lines[:50] if (match := _JSON_FIRST.match(line[:200]))), None)
    if first is None:
        return
    margin = first[1]
    for row, line in enumerate(lines):
        if line.startswith(margin) and line[len(margin) : len(margin) + 1] in ('"', "{", "["):
            key = _JSON_KEY.match(line[len(margin) : len(margin) + 200])
            yield Start(row, _title(key[1]) if key else "")


def _title(text: str) -> str:
    return " ".join(text.replace("`", "").split())[:_LONGEST_TITLE]


_Reader = Callable[[Sequence[str]], Iterator[Start]]
_DOCUMENTS: dict[str, _Reader] = {
    "md": _markdown,
    "markdown": _markdown,
    "mdx": _markdown,
    "rst": _restructured,
}
_CONFIGURATIONS: dict[str, _Reader] = {
    **dict.fromkeys(("toml", "ini", "cfg", "conf", "properties", "editorconfig"), _tables),
    **dict.fromkeys(("yaml", "yml"), _yaml),
    **dict.fromkeys(("json", "jsonc", "json5", "webmanifest"), _json),
}
