"""Which directory tree is asked about."""

from pathlib import Path

from offline_agent.errors import RepositoryError
from offline_agent.types import Value


class Repository(Value):
    """A directory tree that is asked about."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name or "root"


def open_repository(start: Path) -> Repository:
    """The repository that `start` is in: the nearest directory above with a `.git`, else `start` itself.

    Raises RepositoryError for what is no readable directory, and for a home directory or a whole disk that is no checkout.
    """
    try:
        here = start.expanduser().resolve(strict=True)
        if not here.is_dir():
            raise RepositoryError(f"{start} is a file. Name a directory with --repo.")
        next(iter(here.iterdir()), None)
    except FileNotFoundError:
        raise RepositoryError(f"There is no directory {start}. Name one with --repo.") from None
    except OSError as error:
        raise RepositoryError(f"{start} cannot be read: {error.strerror}. Check its permissions.") from None
    root = next((place for place in (here, *here.parents) if (place / ".git").exists()), here)
    if root in (Path(root.anchor), Path.home()) and not (root / ".git").exists():
        raise RepositoryError(f"{root} is not a project. Change into one, or name one with --repo.")
    return Repository(root=root)
