"""Groups of users."""

from users import normalise


def is_member(name: str, group: list[str]) -> bool:
    return normalise(name) in [normalise(member) for member in group]
