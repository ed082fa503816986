"""What a program wrote to a terminal -> what a person would then see there, line by line.

    "10%\\r50%\\r100%\\n\\x1b[32mok\\x1b[0m\\n"  ->  "100%\\nok\\n"

A model needs neither colours nor every step of a progress bar, and a control sequence could do things to the terminal of whoever
looks at it later. ECMA-48 (control functions) and xterm's list of sequences say what is one.
"""

import re

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, movements, erasing
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # titles, links and other strings; a stray beginning hides one line at most
    r"|\x1b[ -/]*[0-~]?"  # the rest
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROL = re.compile(r"[\x02-\x07\x0b-\x0c\x0e-\x1f\x7f-\x9f]")
_MOVES = re.compile(r"([\r\b\x00\x01])")
_TO_END, _WHOLE = "\x00", "\x01"  # stand for erasing while a line is drawn; real ones are gone by then
_REAL = {ord(_TO_END): None, ord(_WHOLE): None}
_ERASING = {"\x1b[K": _TO_END, "\x1b[0K": _TO_END, "\x1b[2K": _WHOLE}


def screened(text: str) -> str:
    """The text without control sequences, each line as its last carriage return left it."""
    text = text.replace("\r\n", "\n").translate(_REAL)
    text = _SEQUENCE.sub(lambda found: _ERASING.get(found[0], ""), text)
    text = _CONTROL.sub("", text)
    return "\n".join(map(_overwritten, text.split("\n"))) if _MOVES.search(text) else text


def _overwritten(line: str) -> str:
    """What stands where the cursor was last is what is seen. Linear in the length of the line."""
    if not _MOVES.search(line):
        return line
    cells: list[str] = []
    column = 0
    for part in _MOVES.split(line):
        match part:
            case "\r":
                column = 0
            case "\b":
                column = max(0, column - 1)
            case "\x00":
                del cells[column:]
            case "\x01":
                cells = [" "] * column
            case _:
                cells[column : column + len(part)] = part
                column += len(part)
    return "".join(cells).rstrip(" ")
