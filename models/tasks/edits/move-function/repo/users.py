"""Who may log in."""


def normalise(name: str) -> str:
    return " ".join(name.split()).casefold()


def same_user(one: str, other: str) -> bool:
    return normalise(one) == normalise(other)
