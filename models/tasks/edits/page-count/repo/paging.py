"""Lists in pages."""


def pages(items: int, size: int) -> int:
    """How many pages of `size` it takes to show so many items."""
    return items // size + 1


def page(values: list[str], number: int, size: int) -> list[str]:
    """Page `number`, from 1."""
    return values[(number - 1) * size : number * size]
