"""A path that is not there -> those that it may have been meant to be."""

from difflib import get_close_matches
from posixpath import basename, normpath

from offline_agent.errors import Denied, GuardError
from offline_agent.protocols import Workspace

_MOST = 3
_LIKENESS = 0.6  # difflib's own
_COMPARED = 20_000  # paths: about a second


def nearest(workspace: Workspace, path: str) -> list[str]:
    """Files of the same name elsewhere, else of a like path or name; the likeliest first. Nothing where `path` is there."""
    wanted = normpath(path).removeprefix(f"{workspace.root}/").lstrip("/")
    try:
        files = [file for file, _ in zip(workspace.files(), range(_COMPARED), strict=False)]
    except GuardError:
        return []
    if wanted in files or any(file.startswith(f"{wanted}/") for file in files):
        return []
    same = [file for file in files if basename(file).lower() == basename(wanted).lower()]
    close = get_close_matches(wanted, files, _MOST, _LIKENESS)
    names = get_close_matches(basename(wanted), {basename(file) for file in files}, _MOST, _LIKENESS)
    named = [file for file in files if basename(file) in names]
    return list(dict.fromkeys([*same, *close, *named]))[:_MOST]


def with_nearest(error: GuardError, workspace: Workspace, path: str) -> GuardError:
    """The same error, which then says what is near. What was denied stays as it is: nobody is told the way round."""
    if isinstance(error, Denied) or not (near := nearest(workspace, path)):
        return error
    return type(error)(f"{error} Near: {', '.join(near)}.")
