"""A league table."""


def ranking(points: dict[str, int]) -> list[str]:
    return sorted(points, key=lambda team: (-points[team], team))


def champion(points: dict[str, int]) -> str:
    return ranking(points)[0]
