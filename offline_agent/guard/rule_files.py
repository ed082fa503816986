"""Where rules come from, and what a file that cannot be used means.

    the person's      permission.json in the configuration directory          may loosen the defaults; broken, nothing runs
    the machine's     /etc/offline-agent/permission.json, of root's            only tightens; broken, nothing runs
    the repository's  .offline-agent/permission.json, opencode.json(c)         only tighten; broken, everything is asked about

A stranger wrote the repository's. That its `allow` loosens nothing is why OpenCode's own files may be read there as they are.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from offline_agent.actions import Approval, Rule
from offline_agent.errors import UsageError
from offline_agent.guard.defaults import GUARDED
from offline_agent.guard.opencode import expander, parse_rules
from offline_agent.guard.permissions import allow_rule
from offline_agent.guard.policy import Policy, RuleFile

NAME = "permission.json"
MACHINE = Path("/etc/offline-agent") / NAME
"""The rules of the machine, where there are any."""
OF_REPOSITORY = (f".offline-agent/{NAME}", "opencode.json", "opencode.jsonc")

_ROOT = 0  # the user id
_MOST_RULES = 2000  # of a repository: each takes 40 microseconds in every decision, and 40,000 fit into the file
_LARGEST = 1_000_000  # bytes: no rules are so long, and a repository's file could be anything


def load_policy(
    root: Path,
    config_directory: Path,
    home: Path,
    agent: str = "build",
    allow: Sequence[str] = (),
    approvals: Sequence[Approval] = (),
    yes: bool = False,
    machine: Path = MACHINE,
    machine_owner: int = _ROOT,
) -> Policy:
    """The policy of an agent in the repository at `root`. `allow` is what --allow was given.

    Raises UsageError for what cannot be understood of the person's file, the machine's, or `allow`, and for a file of the machine
    that somebody other than `machine_owner` could have written.
    """
    own = _own(config_directory / NAME, home)
    limits, notes = [_machine(machine, machine_owner, home)], []
    for name in OF_REPOSITORY:
        try:
            limits.append(_of_repository(root, name, home))
        except UsageError as error:
            limits.append(_asking(name))
            notes.append(f"{error} Until then, everything in this repository is asked about.")
    return Policy(
        agent=agent,
        guarded=(*GUARDED, *own_files(config_directory)),
        own=own or RuleFile(),
        limits=tuple(file for file in limits if file is not None),
        allowed=tuple(allow_rule(text, expander(home)) for text in allow),
        approvals=tuple(approvals),
        yes=yes,
        notes=tuple(notes),
    )


def _own(path: Path, home: Path) -> RuleFile | None:
    text = _text(path, f"The rules in {path}", owner=None)
    return None if text is None else parse_rules(text, str(path), home)


def _machine(path: Path, owner: int, home: Path) -> RuleFile | None:
    text = _text(path, f"The rules of this machine, {path},", owner)
    return None if text is None else parse_rules(text, str(path), home)


def _of_repository(root: Path, name: str, home: Path) -> RuleFile | None:
    text = _text(root / name, f"The repository's {name}", owner=None)
    rules = None if text is None else parse_rules(text, name, home, strict=name.endswith(NAME))
    if rules is not None and len(rules.rules) + sum(len(more) for _, more in rules.agents) > _MOST_RULES:
        raise UsageError(f"The repository's {name} has more than {_MOST_RULES:,} rules. Write fewer, with wildcards.")
    return rules


def _asking(name: str) -> RuleFile:
    """What a broken file of a repository means: it may have forbidden anything."""
    return RuleFile(source=name, rules=(Rule(permission="*", decision="ask", source=f"{name}, which cannot be read"),))


def own_files(directory: Path) -> tuple[Rule, ...]:
    """Who may write anywhere still may not write the rules that say so."""
    return (Rule(permission="edit", pattern=f"{directory}/*", decision="deny", source="default: your own settings"),)


def _text(path: Path, what: str, owner: int | None) -> str | None:
    """None where there is no such file. What is there and cannot be read, or believed, raises UsageError: to go on without it would
    be a way round it. `owner` is who alone may be able to write it; None for anybody."""
    try:
        # Not waiting for a writer: it may be a pipe.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())  # of the file that is read, whatever takes its place meanwhile
            if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
                raise UsageError(f"{what} is no file of at most {_LARGEST:,} bytes. Mend it, or remove it.")
            text = file.read(_LARGEST + 1).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise UsageError(f"{what} is a symbolic link to nothing. Mend it, or remove it.") from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{what} cannot be read: {error}. Mend it, or remove it.") from None
    if owner is not None and (status.st_uid != owner or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise UsageError(
            f"{what} can be written by others than root, so it is not believed. As root: chown root:root {path}; chmod 644 {path}"
        )
    return text
