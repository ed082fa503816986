"""JSON with comments and trailing commas, as people write configuration.

Comments become spaces, so that a fault is told at the line and column where it stands.
"""

import json
import re
from typing import Any

_DEEPEST = 100  # levels; no configuration comes near, and Python's own parser fails at about a thousand
_STRING = r'(?P<string>"(?:[^"\\\n]|\\.)*"?)'  # an unclosed one too: what is in it is no comment, and json tells of it
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?\*/", re.DOTALL)
_TRAILING_COMMA = re.compile(rf"{_STRING}|(?P<empty>[\[{{]\s*,)|,(?=\s*[\]}}])")  # `[,]` is a fault in JSONC too
_NOT_A_BREAK = re.compile(r"[^\n]")


def parse_jsonc(text: str) -> Any:
    """The value. Objects keep the order of their keys; of a key that stands twice the later value holds, in the place of the first,
    as JavaScript has it. Raises ValueError with a fault and its place."""
    try:
        plain = _COMMENT.sub(_blanked, text.removeprefix("\ufeff"))
        value = json.loads(_TRAILING_COMMA.sub(_blanked, plain), parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg.lower()} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _depth(value) > _DEEPEST:
        raise ValueError("it is nested too deeply")
    return value


def _blanked(found: re.Match[str]) -> str:
    return found[0] if found.lastgroup else _NOT_A_BREAK.sub(" ", found[0])


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level := [one for above in level for one in _inside(above)]:
        depth += 1
    return depth


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
