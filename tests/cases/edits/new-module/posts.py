"""Posts of a blog."""

from slug import slugify


def address(title: str) -> str:
    """Where a post is found."""
    return f"/posts/{slugify(title)}"
