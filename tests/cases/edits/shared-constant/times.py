"""Times in seconds since 1970."""

SECONDS_PER_DAY = 86400


def day_of(seconds: int) -> int:
    return seconds // SECONDS_PER_DAY


def start_of_day(seconds: int) -> int:
    return seconds - seconds % SECONDS_PER_DAY


def days_between(first: int, last: int) -> float:
    return (last - first) / SECONDS_PER_DAY
