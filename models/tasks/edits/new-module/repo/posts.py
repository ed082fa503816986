"""Posts of a blog."""


def address(title: str) -> str:
    """Where a post is found."""
    return f"/posts/{title}"
