"""Long texts -> what a model is shown of them. Sizes are in characters: about four make a token."""

_ELLIPSIS = " ..."


def brief(text: str, most: int = 60) -> str:
    """A text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - len(_ELLIPSIS)] + _ELLIPSIS


def cut_line(line: str, most: int) -> str:
    """A line of at most `most` characters, and a note of how many more it has."""
    return line if len(line) <= most else f"{line[:most]} [... {len(line) - most:,} more characters of this line]"


def around(line: str, start: int, most: int) -> str:
    """A line without indentation, or so much of it as fits, with the character at `start` in it."""
    indented = len(line) - len(line.lstrip())
    line, start = line.strip(), max(start - indented, 0)
    if len(line) <= most:
        return line
    first = max(0, min(start - most // 4, len(line) - most))
    last = first + most
    return f"{'... ' if first else ''}{line[first:last]}{_ELLIPSIS if last < len(line) else ''}"


def fitting(lines: list[str], most: int) -> int:
    """How many lines from the first have at most `most` characters together, their ends included; one at least."""
    used = 0
    for number, line in enumerate(lines):
        used += len(line) + 1
        if used > most:
            return max(number, 1)
    return len(lines)


def head_and_tail(text: str, most: int, widest: int) -> str:
    """The first third and the last two thirds of what fits, by lines of at most `widest`, and between them how much is left out."""
    lines = [cut_line(line, widest) for line in text.split("\n")]
    head = fitting(lines, most // 3)
    tail = fitting(lines[head:][::-1], most - most // 3)
    if head + tail >= len(lines):
        return "\n".join(lines)
    note = f"[... lines {head + 1}-{len(lines) - tail} of {len(lines)} are left out]"
    return "\n".join([*lines[:head], note, *lines[-tail:]])


def count(number: int, word: str, many: str = "") -> str:
    """`1 line`, `12,000 lines`. `many` is the plural where it is not the word and an s."""
    return f"{number:,} {word if number == 1 else many or f'{word}s'}"


def size(number: int) -> str:
    """Bytes for people."""
    if number < 1000:
        return f"{number} B"
    return f"{number / 1000:.1f} KB" if number < 1_000_000 else f"{number / 1_000_000:.1f} MB"
