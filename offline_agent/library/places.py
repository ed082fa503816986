"""Where in the library's directory a model is, and how one takes the place of another.

A file system that swaps two directories in one step is not to be had on every disk, so replacing takes two: NAME goes to .replaced,
and the quarantine becomes NAME. Who looks for a model in between, or after a kill in between, finds it in .replaced.
"""

from pathlib import Path

from offline_agent.library import tree

_INCOMING, _REPLACED, _REMOVED = ".incoming", ".replaced", ".removed"


class Places:
    """The places of one library. Names are valid ones. Everything raises OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def names(self) -> set[str]:
        """Of everything that has the place of a model."""
        return {path.name for above in (self._directory, self._directory / _REPLACED) for path in tree.listed(above)}

    def model(self, name: str) -> Path:
        """Where the model is, or would be."""
        place, older = self._directory / name, self._directory / _REPLACED / name
        # The second look at `place`: the newer may have come, and the older gone, between the first and the look at `older`.
        return older if not place.exists() and older.exists() and not place.exists() else place

    def incoming(self) -> Path:
        return self._directory / _INCOMING

    def quarantine(self, name: str) -> Path:
        return self._directory / _INCOMING / name

    def own(self) -> None:
        """Makes the place for quarantine, and sees that nobody else decides where it and the others lie."""
        tree.make(self._directory)
        owner = self._directory.stat().st_uid
        tree.own(self.incoming(), owner)
        for place in (self._directory / _REPLACED, self._directory / _REMOVED):
            if place.is_symlink() or place.exists():
                tree.own(place, owner)

    # --- by who has the lock of that name

    def open(self, name: str) -> Path:
        """The quarantine of that name, which is there then."""
        self.settle(name)
        quarantine = self.quarantine(name)
        tree.own(quarantine, self._directory.stat().st_uid)
        tree.clear_links(quarantine)
        return quarantine

    def settle(self, name: str) -> None:
        """Puts right what a kill left in one of the other methods."""
        place, older = self._directory / name, self._directory / _REPLACED / name
        if place.exists():
            tree.clear(older)
        elif older.exists():
            older.rename(place)
        tree.clear(self._directory / _REMOVED / name)

    def replace(self, name: str) -> None:
        """The quarantine becomes the model; an older one goes."""
        if (self._directory / name).exists():
            self._move(name, _REPLACED)
        self.quarantine(name).rename(self._directory / name)
        tree.sync(self._directory)
        self.settle(name)

    def remove(self, name: str) -> None:
        """The model goes."""
        self._move(name, _REMOVED)
        tree.sync(self._directory)
        self.settle(name)

    def _move(self, name: str, where: str) -> None:
        tree.make(self._directory / where)
        (self._directory / name).rename(self._directory / where / name)
