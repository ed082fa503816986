"""Colours as text and numbers."""


def parse(text: str) -> tuple[int, int, int]:
    text = text.removeprefix("#")
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)


def brightness(colour: tuple[int, int, int]) -> int:
    return sum(colour) // 3


def invert(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = colour
    return 255 - red, 255 - green, 255 - blue


def is_dark(colour: tuple[int, int, int]) -> bool:
    return brightness(colour) < 128
