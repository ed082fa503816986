"""What the clones of one project have in common, so that a team's vectors meet in one place."""

import hashlib
import logging
import os
import shutil
import subprocess
from pathlib import Path

log = logging.getLogger(__name__)

_PATIENCE = 30.0  # seconds; 100,000 commits by first parents take about one
# A repository's own configuration is a stranger's: nothing it names may be run, and nothing may be fetched.
_CAREFUL = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never")


def project_of(root: Path, otherwise: str) -> str:
    """Names the project that `root` is a clone of, the same for every clone, branch and worktree: a hash of its first commit, found
    by following first parents from HEAD, so that merging another project's history in does not change it.

    A hash of `otherwise`, which is the clone's own, where there is no git, no commit yet, or a shallow clone, whose oldest
    commit is any one.
    """
    first = "" if _git(root, "rev-parse", "--is-shallow-repository") != "false" else _first_commit(root)
    if not first:
        log.info("%s has no first commit to know other clones by", root)
    name = f"commit {first}" if first else f"clone {otherwise}"
    return hashlib.sha256(name.encode()).hexdigest()


def _first_commit(root: Path) -> str:
    found = _git(root, "rev-list", "--first-parent", "--max-parents=0", "HEAD").split()
    return found[0] if len(found) == 1 else ""


def _git(root: Path, *arguments: str) -> str:
    """What git prints; nothing where it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    quiet = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
    try:
        done = subprocess.run(
            [shutil.which("git") or "git", *_CAREFUL, "-C", str(root), *arguments],
            env=kept | quiet,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.debug("git says nothing of %s: %s", root, error)
        return ""
    return done.stdout.decode("ascii", "replace").strip()
