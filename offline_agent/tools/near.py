"""A path that is not there -> those that it may have been meant to be."""

from difflib import SequenceMatcher, get_close_matches
from posixpath import basename, normpath

from offline_agent.errors import Denied, GuardError
from offline_agent.protocols import Workspace

_MOST = 3
_LIKENESS = 0.6  # difflib's own
_COMPARED = 20_000  # paths


def nearest(workspace: Workspace, path: str) -> list[str]:
    """Files of the same name elsewhere, and of a like name; the likeliest first. Nothing where `path` is there."""
    wanted = normpath(path).removeprefix(f"{workspace.root}/").lstrip("/")
    try:
        files = [file for file, _ in zip(workspace.files(), range(_COMPARED), strict=False)]
    except GuardError:
        return []
    if wanted in files or any(file.startswith(f"{wanted}/") for file in files):
        return []
    name = basename(wanted).lower()
    like = {name, *get_close_matches(name, {basename(file).lower() for file in files}, _MOST, _LIKENESS)}
    named = [file for file in files if basename(file).lower() in like]
    return sorted(named, key=lambda file: (basename(file).lower() != name, -_likeness(file, wanted), file))[:_MOST]


def with_nearest(error: GuardError, workspace: Workspace, path: str) -> GuardError:
    """The same error, which then says what is near. What was denied stays as it is: nobody is told the way round."""
    if isinstance(error, Denied) or not (near := nearest(workspace, path)):
        return error
    return type(error)(f"{error} Near: {', '.join(near)}.")


def _likeness(path: str, other: str) -> float:
    return SequenceMatcher(None, path, other, autojunk=False).quick_ratio()
