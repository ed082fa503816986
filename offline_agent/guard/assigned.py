"""Secrets that are known by the name they are given to: `password = "..."`, `api_key: ...`, `<token>...</token>`, `--secret ...`.

DB_PASSWORD            =                     "hunter2!"
name: judged           what may stand        value: judged by itself,
by its words           between the two       the stricter the less its name says
"""

import re
from collections.abc import Iterator

from offline_agent.guard.entropy import is_placeholder, is_words, looks_random
from offline_agent.guard.formats import Span
from offline_agent.guard.names import Strength, kind_of, strength_of

_HINT = re.compile(
    "pass|pwd|secret|token|key|auth|credential|signature|cookie|jwt|salt|bearer|"
    "kennwort|senha|contrase|motdepasse|mnemonic|dsn|_pat"
)
_BEFORE = 48
"""Characters of a name in front of the hint that are looked at, and behind it."""
_NAME_END = re.compile(r"[\w.-]{0,48}")
_BETWEEN = r"""
    (?: \\?["'`]{1,2} | ["']?\] | ["']\) )?                                       # the name's own quotes
    (?: \s?[?!]?:\s?                                                              # a type
        (?:[A-Za-z_][\w.]{0,30}(?:\[[\w\s,.|]{0,40}\])?(?:\s?\|\s?\w{1,20})? | &?(?:'static\s)?str)\s?(?==) )?
    (?: \s{0,20}(?: := | => | == =? | !==? | [-]> | = | : | ~ )\s{0,20} | [\s,]{1,40}["']?value["']?\s{0,4}[=:]\s{0,4}
      | \s?,\s{0,4} | \(\s{0,4} | >\s{0,4}(?!=) | [ \t]{1,4} )
"""
_QUOTED = r"""(?:\[|\()?(?:\b[a-zA-Z]{1,2}|[@$&])?(?:
    \\"(?P<escaped>[^"\\\n]{4,400})\\"
  | "(?P<double>(?:[^"\\\n]|\\[^\n]){4,400})"
  | '(?P<single>(?:[^'\\\n]|\\[^\n]){4,400})'
  | `(?P<tick>[^`\\\n]{4,400})`
)"""
_BARE = r"""(?P<bare>[^\s"'`,;()<>\[\]{}&|=]{6,400}+={0,2})(?=["'`,;<)\]}&|\s]|\Z)"""
_VALUE = re.compile(rf"(?x){_BETWEEN}(?:{_QUOTED}|{_BARE})")
_SPOKEN = re.compile(r"""["'`]?\s{1,2}(?:is|was|are)[: ]{1,3}["'`]?(?P<bare>[^\s"'`,;()]{6,200})""")
_LATER = re.compile(r"""["'`\s=:,(\[>](?P<bare>[A-Za-z0-9+/_~.-]{24,200}={0,2})(?=["'`\s,;)\]<]|\Z)""")
_LATER_CHARACTERS = 100
"""How far behind a name, on its line, a value may stand that is random beyond doubt."""


def find_assigned(text: str) -> Iterator[Span]:
    """Values that are secret by their names. The text is ASCII."""
    done = 0
    for hint in _HINT.finditer(text.lower()):
        if hint.start() < done:
            continue
        end = _NAME_END.match(text, hint.end()).end()  # type: ignore[union-attr]  # it matches nothing too
        value = _VALUE.match(text, end)
        spoken = None if value else _SPOKEN.match(text, end)
        if value is None and spoken is None and not _LATER.search(text, end, _line_end(text, end)):
            continue
        name = text[_name_start(text, hint.start()) : end]
        strength = strength_of(name)
        if strength == "none":
            continue
        if name.lower() == "pass" and value and text[end] in " \t":  # as a verb
            continue
        span = _judged(text, value, strength, name) if value else _spoken(spoken, strength) if spoken else None
        span = span or _random_behind(text, end, strength)
        if span:
            yield span
            done = span.end
        elif value:
            done = end


def _judged(text: str, match: re.Match[str], strength: Strength, name: str) -> Span | None:
    group = match.lastgroup or "bare"
    value = match[group]
    quoted = group != "bare"
    if not (_is_secret(value, strength, name) if quoted else _is_bare_secret(value, strength, text, match)):
        return None
    return Span(*match.span(group), kind_of(strength, name))


def _is_secret(value: str, strength: Strength, name: str) -> bool:
    """Of a literal between quotes."""
    if is_placeholder(value) or value.isspace():
        return False
    if any(c.isspace() for c in value):
        return "phrase" in name.lower() or "mnemonic" in name.lower() if _is_phrase(value) else False
    if strength == "password":
        return len(value) >= 5 and (
            _is_mixed(value) or (value.isalpha() and value.islower() and "pass" in name.lower()) or value.isdigit()
        )
    if strength == "strong":
        return (
            looks_random(value, 12) or _is_uuid(value) or (_is_mixed(value) and len(value) >= 8 and not _is_name(value))
        )
    return looks_random(value, 20)


def _is_bare_secret(value: str, strength: Strength, text: str, match: re.Match[str]) -> bool:
    """Of a value without quotes, which in most languages is a name or an expression."""
    value = value.rstrip("\\.:")
    if is_placeholder(value) or is_words(value) or re.fullmatch(r"[A-Za-z_][\w]*(?:(?:\.|::|->)[A-Za-z_]\w*)+", value):
        return False
    between = text[match.start() : match.start("bare")]
    if "," in between or "(" in between:
        return looks_random(value, 24)
    if strength == "password":
        loose = between.strip() in {"", ":", "="} and "/" not in value[:2]
        return looks_random(value, 12) or (loose and _is_mixed(value) and not _is_name(value) and not _is_code(value))
    if strength == "strong":
        return looks_random(value, 12) or _is_uuid(value)
    return looks_random(value, 24)


def _spoken(match: re.Match[str], strength: Strength) -> Span | None:
    value = match["bare"].rstrip(".")
    if strength in ("password", "strong") and _is_mixed(value) and not is_placeholder(value) and not _is_name(value):
        return Span(match.start("bare"), match.start("bare") + len(value), kind_of(strength, ""))
    return None


def _random_behind(text: str, end: int, strength: Strength) -> Span | None:
    """A value further on in the line, such as one of a list or of a call."""
    if strength == "weak":
        return None
    stop = _line_end(text, end)
    for match in _LATER.finditer(text, end, stop):
        if looks_random(match["bare"], 24) and not re.search(
            r"(?i)sha\d|commit|checksum|public", text[end : match.start()]
        ):
            return Span(*match.span("bare"), "token")
    return None


def _line_end(text: str, start: int) -> int:
    stop = text.find("\n", start, start + _LATER_CHARACTERS)
    return stop if stop >= 0 else min(len(text), start + _LATER_CHARACTERS)


def _name_start(text: str, hint: int) -> int:
    start = hint
    while start > 0 and hint - start < _BEFORE and (text[start - 1].isalnum() or text[start - 1] in "_-."):
        start -= 1
    return start


def _is_mixed(value: str) -> bool:
    """Letters with digits or marks among them, or in no usual case: what people are told that a password should be."""
    letters = any(c.isalpha() for c in value)
    others = any(not c.isalpha() and c not in "_-./: " for c in value)
    return letters and (others or not is_words(value))


def _is_name(value: str) -> bool:
    """Words with a number among them, as in `oauth2_token` or `X509-sha256`."""
    return bool(
        re.fullmatch(r"(?:[A-Za-z]+\d{0,3}[_./:-]+)+[A-Za-z]*\d{0,3}[_./:-]?|[./~][\w./-]*|[\w.+-]+@[\w.-]+", value)
    )


def _is_code(value: str) -> bool:
    return bool(re.search(r"[*+%?=]$|^[-+*/=&!@#]|=>|->|::|\$\{|\+\+|\.\w+\.", value))


def _is_uuid(value: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value))


def _is_phrase(value: str) -> bool:
    words = value.split()
    return len(words) >= 4 and all(word.isalpha() and word.islower() for word in words)
