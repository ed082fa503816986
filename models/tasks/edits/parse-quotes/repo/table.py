"""Comma separated values."""


def rows(text: str) -> list[list[str]]:
    return [line.split(",") for line in text.splitlines()]
