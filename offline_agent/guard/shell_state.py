"""What is known of a shell between two commands, and how that joins where two ways meet."""

from collections.abc import Mapping
from typing import NamedTuple

_MOST_DIRECTORIES = 4


class State(NamedTuple):
    """`directories` are those that the shell may be in, None where that is not known. `variables` have values that are known; any
    other may have any value. A `strange` shell was told to read what follows in another way. What is not `reachable` is judged, but
    changes nothing: the shell has ended before."""

    directories: tuple[str, ...] | None
    variables: Mapping[str, str] = {}
    strange: bool = False
    reachable: bool = True

    @property
    def directory(self) -> str | None:
        """The one it is in."""
        return self.directories[0] if self.directories and len(self.directories) == 1 else None

    def without(self, *names: str) -> "State":
        return self._replace(variables={name: value for name, value in self.variables.items() if name not in names})

    def with_value(self, name: str, value: str) -> "State":
        return self._replace(variables={**self.variables, name: value})

    def forgetful(self) -> "State":
        return self._replace(variables={})

    def lost(self) -> "State":
        return self._replace(variables={}, directories=None)


class Outcome(NamedTuple):
    """How a shell is after a command that succeeded, and after one that failed."""

    success: State
    failure: State

    @property
    def either(self) -> State:
        return joined(self.success, self.failure)


def same(state: State) -> Outcome:
    return Outcome(state, state)


def joined(one: State, other: State) -> State:
    """What holds whichever way was taken."""
    if not other.reachable or not one.reachable:
        return one if one.reachable or not other.reachable else other
    directories = None
    if one.directories is not None and other.directories is not None:
        directories = tuple(dict.fromkeys((*one.directories, *other.directories)))
        directories = directories if len(directories) <= _MOST_DIRECTORIES else None
    variables = {name: value for name, value in one.variables.items() if other.variables.get(name) == value}
    return State(directories, variables, one.strange or other.strange)
