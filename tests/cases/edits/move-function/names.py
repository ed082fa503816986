"""Names of people."""


def normalise(name: str) -> str:
    return " ".join(name.split()).casefold()
