"""Numbers about numbers."""


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def spread(values: list[float]) -> float:
    return max(values) - min(values) if values else 0.0
