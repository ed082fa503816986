"""Who may log in."""

from names import normalise


def same_user(one: str, other: str) -> bool:
    return normalise(one) == normalise(other)
