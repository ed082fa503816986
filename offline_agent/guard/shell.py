"""A shell line becomes everything that it asks leave for.

    line -> tree (shell_text.py) -> commands, each with its words (shell_words.py) -> requests

The line is gone through in the order in which it runs, with what is known on the way: the directory, and variables that were
given a plain value. A branch that may be skipped is judged, and what it may have changed is no longer known. Commands inside
commands (wrappers.py) are judged as if they stood alone. Where the meaning of something is in doubt, its request is not
`understood`, so that a person is asked at least; where the line itself is, the requests are for the whole line.
"""

from collections.abc import Callable
from pathlib import Path

from offline_agent.actions import Request
from offline_agent.guard.paths import Located
from offline_agent.guard.shell_judge import Judge
from offline_agent.guard.shell_state import State
from offline_agent.guard.shell_text import NotUnderstood, parse


def requests_of(line: str, root: Path, directory: str, locate: Callable[[str], Located]) -> tuple[Request, ...]:
    """What a line, run by `bash -c` in `directory` (relative to `root`, or absolute), asks leave for. `root` is absolute and
    without symbolic links; `locate` is that of paths.py, for this root. Empty only for what does nothing: blanks and comments.
    Never raises."""
    judge = Judge(root, locate)
    try:
        tree = parse(line)
        judge.line(tree, State((directory,)))
    except NotUnderstood as doubt:
        return _doubted(line, f"{doubt}")
    except RecursionError:
        return _doubted(line, "it is nested too deeply")
    if judge.requests or all(child.type == "comment" for child in tree.children):
        return judge.requests
    # It runs no command, but is no comment: `A=1`, `[[ -f x ]]`.
    return (Request(permission="bash", value=line.strip()),)


def _doubted(line: str, why: str) -> tuple[Request, ...]:
    """What a line asks for that is not understood. It may begin like a command that is allowed, and go on as anything: so it is
    asked for as what bash is given, too."""
    return tuple(
        Request(permission="bash", value=value, why=why, understood=False) for value in (line, f"bash -c {line}")
    )
