"""Times in seconds since 1970."""


def day_of(seconds: int) -> int:
    return seconds // 86400


def start_of_day(seconds: int) -> int:
    return seconds - seconds % 86400


def days_between(first: int, last: int) -> float:
    return (last - first) / 86400
