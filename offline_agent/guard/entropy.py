"""Is it a secret, or a word? What the characters of a value say by themselves.

A random value changes between lower case, upper case and digits all the time: of 62 characters drawn evenly, 62 % of neighbours
differ in class, of 16 hexadecimal digits 47 %. Names that people make change class at the seams of words: `getUserTokenV2`, 25 %.
Shannon's entropy alone cannot tell the two apart at the length of a token; together they do.
"""

import math
import re
from collections import Counter
from itertools import pairwise

_LEAST_CHANGES = 0.24
_LEAST_ENTROPY = 2.9  # bits of a character; 16 random hexadecimal digits have less once in a hundred
_SEPARATED = re.compile(r"[A-Za-z]+(?:[ _./:-]+[A-Za-z]+)+[_./:-]?")
_TOGETHER = re.compile(r"(?:[Vv]\d{1,2})?[A-Za-z]+\d{0,2}")
_MOST_CHANGES = 0.34
"""Names such as `OAuthFlowPassword` have a capital in three or four letters."""
_PLACEHOLDER = re.compile(
    r"""(?ix)
    [<>{}] | ^\$[a-z_({] | ^%\w+%$ | \$\( | %\( | %s | \[redacted | \.\.\. | \u2026 | \*\*\* | xxxx | ____ | ----
    | example | placeholder | change[-_ ]?(?:me|this|it) | your[-_ ]? | dummy | redacted
    | replace[-_ ]?(?:me|this|with) | insert[-_ ] | lorem | foobar | ^todo | fixme | \bfake | ^fake | ^mock | ^sample
    | not[-_ ]?(?:a[-_ ]|the[-_ ])?(?:real|set|secret|needed|used)
    | os\.environ | process\.env | getenv | ^env[.:] | ^vault: | ^file: | ^ref[+:] | ^arn: | ^https?://[^@]*$
    | ^sha\d | ^ssh-(?:rsa|ed25519|dss)\b
    | ^(?:my|test|the|a|an|some|new|old|super|default|demo|admin|root|user|db|app|client|this[-_ ]is[-_ ]a?|top)?[-_ ]?
      (?:pass(?:word|wd|phrase)?|pwd|secret|token|key|api[-_ ]?key|credentials?|admin|root|user|guest|test(?:ing)?|postgres|mysql|
      none|null|nil|true|false|undefined|string|str|bytes|required|optional|hidden|unknown|empty|basic|bearer|value|default|invalid|
      wrong|incorrect|foo|bar|baz|spam|eggs|abc|qwerty)[-_ ]?(?:key|token|value|here|string|name|text)?[-_ ]?[0-9]{0,4}!?$
    """
)
"""What stands where a secret will be put, or only names one."""


def entropy(text: str) -> float:
    """Shannon's entropy in bits of a character; 0 for an empty text."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


def looks_random(text: str, least: int = 16) -> bool:
    """Whether a machine drew it, rather than a person wrote it. Texts of fewer than `least` characters never do."""
    if len(text) < least or text.isdigit() or not any(c.isdigit() or c.isupper() for c in text):
        return False
    if is_words(text) or is_placeholder(text):
        return False
    return _changes(text) >= _LEAST_CHANGES and entropy(text) >= _LEAST_ENTROPY


def is_placeholder(text: str) -> bool:
    """Whether it stands where a secret will be put: `<your-key>`, `${VAR}`, `changeme`, `xxxxxxxx`, `abcdefgh`."""
    return bool(_PLACEHOLDER.search(text)) or len(set(text)) <= max(2, len(text) // 8) or _counts_up(text)


def is_words(text: str) -> bool:
    """Whether it is nothing but words: `access_token`, `Invalid password`, `refreshToken`."""
    return bool(_SEPARATED.fullmatch(text) or (_TOGETHER.fullmatch(text) and _changes(text) <= _MOST_CHANGES))


def _changes(text: str) -> float:
    """The share of neighbours of different classes."""
    classes = [0 if c.islower() else 1 if c.isupper() else 2 if c.isdigit() else 3 for c in text]
    return sum(a != b for a, b in pairwise(classes)) / max(1, len(text) - 1)


def _counts_up(text: str) -> bool:
    """`0123456789abcdef`, `ABCDEFGHIJ`."""
    steps = sum(ord(b) - ord(a) in (1, -1) for a, b in pairwise(text))
    return len(text) >= 6 and steps >= 0.6 * (len(text) - 1)
