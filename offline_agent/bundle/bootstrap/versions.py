"""Which of two versions of the program is the older: what PEP 440 says of those that a release of it can have."""

import re

_VERSION = re.compile(
    r"(?P<release>\d{1,9}(\.\d{1,9})*)((?P<phase>a|b|rc)(?P<number>\d{1,9}))?"
    r"(\.post(?P<post>\d{1,9}))?(\.dev(?P<dev>\d{1,9}))?(\+.*)?",
    re.ASCII,
)
_PHASES = {"a": 0, "b": 1, "rc": 2}
_RELEASED, _BEFORE_ALL, _LAST = (3, 0), (-1, 0), 10**9

_Key = tuple[tuple[int, ...], tuple[int, int], int, int]


def is_older(one: str, other: str) -> bool:
    """Whether `one` comes before `other`. What cannot be compared does not; what is after a + does not count."""
    first, second = _key(one), _key(other)
    return first is not None and second is not None and first < second


def _key(text: str) -> _Key | None:
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    release = [int(number) for number in match["release"].split(".")]
    while release and not release[-1]:
        release.pop()
    phase = (_PHASES[match["phase"]], int(match["number"])) if match["phase"] else _RELEASED
    if match["dev"] and not match["phase"] and not match["post"]:
        phase = _BEFORE_ALL  # 1.0.dev1 is before 1.0a1
    return tuple(release), phase, int(match["post"] or -1), int(match["dev"] or _LAST)
