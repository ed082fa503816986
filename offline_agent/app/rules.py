"""The rules in force, and a person's own, brought from elsewhere. What acts by them is hands.py, which is imported later."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from offline_agent.environment import surroundings
from offline_agent.errors import UsageError
from offline_agent.guard.denied import hidden_files
from offline_agent.guard.opencode import import_opencode
from offline_agent.guard.policy import Policy
from offline_agent.guard.recall import PermittedIndex
from offline_agent.guard.rule_files import NAME, load_policy
from offline_agent.protocols import Index
from offline_agent.settings import Settings


class Rules:
    """For agents in the repository at `root`."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self._root = root
        self._settings = settings

    def policy(self, agent: str, allow: Sequence[str] = (), yes: bool = False) -> Policy:
        """Of an agent. Raises UsageError for a file, or an --allow, that cannot be understood."""
        home = Path(surroundings()["HOME"])
        return load_policy(self._root, self._settings.config_directory, home, agent, allow, yes=yes)

    def permitted(self, index: Index, policy: Policy) -> Index:
        """The index without what an agent with that policy may not read."""
        return PermittedIndex(index, self.hidden(policy))

    def hidden(self, policy: Policy) -> Callable[[str], bool]:
        """Tells of a path whether the policy denies to read it, under this name or another that the file has."""
        return hidden_files(self._root, policy)


def import_rules(text: str, source: str) -> tuple[str, tuple[str, ...]]:
    """The text of a permission.json that says what an opencode.json says of permissions, and notes on what is left out or means
    something else here. Raises UsageError."""
    return import_opencode(text, source, Path(surroundings()["HOME"]))


def write_rules(settings: Settings, text: str, replace: bool = False) -> Path:
    """Writes the person's permission.json, and returns where it is. Raises UsageError where there is one that may not be replaced,
    or it cannot be written."""
    place = settings.config_directory / NAME
    if place.exists() and not replace:
        raise UsageError(
            f"{place} exists. Look at it, then say --force to replace it, or --print to see what would be written."
        )
    unfinished = place.with_name(f".{NAME}.new")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, place)
    except OSError as error:
        raise UsageError(f"{place} cannot be written: {error.strerror}. Check that you own its directory.") from None
    return place
