"""The bytes of a text file -> its text, and back with the ways of these bytes kept. Nothing here touches a file.

    bytes -> FileText, line feeds only -> a new text -> bytes: mark, encoding and line ends as they were

A file may end its lines in more than one way. A line that is in the new text as it was in the old keeps the end that it had: who
changes one line changes no other.
"""

import codecs
import hashlib
import re
from collections.abc import Iterable
from difflib import SequenceMatcher, unified_diff
from typing import Literal

from offline_agent.actions import FileText
from offline_agent.errors import EditError

Newline = Literal["\n", "\r\n", "\r"]

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Looked for before UTF-16: the little-endian mark of UTF-32 begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK = "\ufeff"
_MARK_OF = {encoding: mark for mark, encoding in _MARKS}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # not \t \n \v \f \r, nor the escape of a coloured log
_LOOKED_AT = 8192  # bytes
_CONTROL_SHARE = 50  # one in so many is more than any text has
_END = re.compile(r"(\r\n|\r|\n)")
_RANGES = re.compile(r"([-+])(\d+)")
_COMPARED = 4_000_000  # lines times lines; above that, frequent lines are not compared: time would grow with the square

_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a zip archive, or a document in one"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ\x00", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x7fELF", "a program or library (ELF)"),
    (b"MZ", "a program or library (Windows)"),
    (b"\xca\xfe\xba\xbe", "a Java class or a Mach-O program"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program"),
    (b"\x00asm", "WebAssembly"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"GGUF", "a language model (GGUF)"),
    (b"OggS", "Ogg audio or video"),
    (b"ID3", "MP3 audio"),
    (b"fLaC", "FLAC audio"),
    (b"wOF2", "a font"),
    (b"\x00\x01\x00\x00", "a font"),
)
"""What the first bytes of a file say that it is: the registrations of these formats."""


def file_text(data: bytes, path: str = "") -> FileText | None:
    """The text of a file of these bytes: by its mark UTF-8, UTF-16 or UTF-32, else UTF-8, else Latin-1, which any bytes are. None
    for what is no text: bytes that the mark does not fit, a NUL, or too many control characters for Latin-1."""
    try:
        text, encoding = _decoded(data)
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    digest = hashlib.sha256(data).hexdigest()
    return FileText(path=path, text=unified(text), encoding=encoding, newline=_newline(text), sha256=digest)


def described(data: bytes) -> str:
    """What bytes that are no text seem to be: `a PNG image`."""
    if data[:4] == b"RIFF":
        return {b"WEBP": "a WebP image", b"WAVE": "WAV audio"}.get(data[8:12], "audio or video")
    if data[4:8] == b"ftyp":
        return "MP4 video"
    return next((kind for start, kind in _KINDS if data.startswith(start)), "binary data")


def unified(text: str) -> str:
    """The text with line feeds only."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def encode(text: str, like: FileText | None = None, original: bytes = b"") -> bytes:
    """`text` as the bytes of a file: a new one in UTF-8 with line feeds, or one whose `original` bytes were read as `like`. Lines
    of the original that are still there keep their ends; new ones get the end of the line they replace, or the usual one. Raises
    EditError where the encoding has no such character."""
    text = unified(text)
    if like is None or not like.text.startswith(_MARK):
        text = text.removeprefix(_MARK)  # which a file has once, or not at all
    if like is None:
        return _bytes(text, "utf-8", "")
    if text == like.text:
        return original
    parts = _END.split(_decoded(original)[0])
    if len(set(parts[1::2])) > 1:
        text = _with_ends(text, parts[::2], parts[1::2], like.newline)
    elif like.newline != "\n":
        text = text.replace("\n", like.newline)
    return _MARK_OF.get(like.encoding, b"") + _bytes(text, like.encoding.removesuffix("-sig"), like.path)


def diff(before: str, after: str, path: str, context: int = 3) -> str:
    """A unified diff, as `git diff` shows it; empty where nothing differs. Says where a text does not end in a line feed."""
    if before == after:
        return ""
    old, new = (_lines(unified(text)) for text in (before, after))
    names = ("/dev/null" if not before else f"a/{path}", "/dev/null" if not after else f"b/{path}")
    # What is the same at both ends is not compared: for one line of 100,000 that takes a quarter of the time.
    head, tail = _same_ends(old, new, context)
    rows = unified_diff(old[head : len(old) - tail], new[head : len(new) - tail], *names, n=context)
    moved = (_RANGES.sub(lambda found: _moved(found, head), row) if row.startswith("@@") else row for row in rows)
    return "".join(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n" for row in moved)


def counts(unified_diff_text: str) -> tuple[int, int]:
    """Lines that a unified diff adds, and that it removes."""
    rows = unified_diff_text.split("\n")[2:]
    return sum(row.startswith("+") for row in rows), sum(row.startswith("-") for row in rows)


def _decoded(data: bytes) -> tuple[str, str]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding.removesuffix("-sig")), encoding
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        start = data[:_LOOKED_AT]
        if _CONTROL_SHARE * len(_CONTROL.findall(start)) > len(start):
            raise
        return data.decode("latin-1"), "latin-1"


def _bytes(text: str, encoding: str, path: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        character = f"U+{ord(text[error.start]):04X}"
        raise EditError(
            f"{path or 'The file'} is in {encoding}, which has no {character} ({text[error.start]!a}). "
            "Nothing was written. Write it in other characters."
        ) from None


def _newline(text: str) -> Newline:
    """The end that most lines have; a line feed where there is none."""
    pairs = text.count("\r\n")
    feeds, returns = text.count("\n") - pairs, text.count("\r") - pairs
    most = max(feeds, pairs, returns)
    return "\n" if most == feeds else "\r\n" if most == pairs else "\r"


def _with_ends(text: str, old: list[str], old_ends: list[str], usual: str) -> str:
    """`text` with the line ends of the lines `old`, the last of which has none."""
    new = text.split("\n")
    ends = [usual] * (len(new) - 1)
    for new_line, old_line in _pairs(old, new):
        if new_line < len(ends) and old_line < len(old_ends):
            ends[new_line] = old_ends[old_line]
    for place in reversed(range(len(ends) - 1)):
        if ends[place] == "\r" and not new[place + 1] and ends[place + 1] == "\n":
            ends[place] = "\n"  # the two would be read as one end
    return "".join(line + end for line, end in zip(new, [*ends, ""], strict=True))


def _pairs(old: list[str], new: list[str]) -> list[tuple[int, int]]:
    """Which line of `new` stands where which of `old` stood: equal ones, and those replaced one for one from the top."""
    head, tail = _same_ends(old, new)
    middle_old, middle_new = old[head : len(old) - tail], new[head : len(new) - tail]
    junk = len(middle_old) * len(middle_new) > _COMPARED
    pairs = [(line, line) for line in range(head)]
    for _, low, high, first, last in SequenceMatcher(None, middle_old, middle_new, junk).get_opcodes():
        both = min(high - low, last - first)
        pairs.extend((head + first + step, head + low + step) for step in range(both))
    pairs.extend((len(new) - step, len(old) - step) for step in range(1, tail + 1))
    return pairs


def _same_ends(old: list[str], new: list[str], spared: int = 0) -> tuple[int, int]:
    """How many lines are the same from the top, and of the rest from the bottom; each less the `spared` ones."""
    head = _same(old, new)
    rest = min(len(old), len(new)) - head
    tail = min(_same(reversed(old), reversed(new)), rest)
    return max(0, head - spared), max(0, tail - spared)


def _same(one: Iterable[str], other: Iterable[str]) -> int:
    number = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        number += 1
    return number


def _moved(found: re.Match[str], lines: int) -> str:
    return f"{found[1]}{int(found[2]) + lines}"


def _lines(text: str) -> list[str]:
    """Lines with their feeds; only line feeds end one, unlike str.splitlines."""
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
