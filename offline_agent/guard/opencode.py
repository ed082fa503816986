"""OpenCode's `permission` schema: what a file says becomes rules, and a configuration of OpenCode becomes a file of ours.

    {"permission": "ask" | {KEY: ACTION | {PATTERN: ACTION}}, "agent": {NAME: {"permission": as above}}, "tools": {TOOL: false}}

The order of the keys is the order of the rules. Source: opencode.ai/docs/permissions and its published JSON schema.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from offline_agent.actions import Decision, Rule
from offline_agent.errors import UsageError
from offline_agent.guard.jsonc import parse_jsonc
from offline_agent.guard.policy import RuleFile

DECISIONS: tuple[Decision, ...] = get_args(Decision)
_SUBSTITUTED = re.compile(r"\{(env|file):[^}]*\}")
_KEY = re.compile(r"[A-Za-z0-9_.*?-]+")
_KNOWN = ("$schema", "permission", "agent", "tools")
_KNOWN_OF_AGENT = ("permission", "tools")
# Tools that OpenCode has judged by the permission of another.
_PERMISSION_OF = {
    **dict.fromkeys(("write", "patch", "multiedit", "apply_patch"), "edit"),
    "todoread": "todowrite",
    "codesearch": "websearch",
}


def expander(home: Path) -> Callable[[str], str]:
    """Puts `home` in place of `~`, `~/` or `$HOME` at the start of a pattern."""

    def expand(pattern: str) -> str:
        for start in ("$HOME", "~"):
            rest = pattern.removeprefix(start)
            if rest != pattern and (not rest or rest[0] in "/\\"):
                return os.fspath(home) + rest
        return pattern

    return expand


def parse_rules(text: str, source: str, home: Path, strict: bool = True) -> RuleFile:
    """The rules of a file. `source` is its path, for messages; `strict` refuses keys that are not ours, since a misspelt
    `permissions` would be no rule at all, and is off for OpenCode's own files. Raises UsageError naming file, key and what is
    allowed."""
    return _Reader(source, expander(home), strict).read(text)


def import_opencode(text: str, source: str, home: Path) -> tuple[str, tuple[str, ...]]:
    """The text of a permission.json that says what an opencode.json says of permissions, and notes on what was left out or means
    something else here. Raises UsageError where that cannot be understood."""
    parse_rules(text, source, home, strict=False)
    given = _object(parse_jsonc(text), source, "the file")
    agents = {**_section(given, "mode"), **_section(given, "agent")}
    kept = {key: given[key] for key in ("permission", "tools") if key in given}
    of_agents = {name: {key: one[key] for key in _KNOWN_OF_AGENT if key in one} for name, one in agents.items()}
    of_agents = {name: one for name, one in of_agents.items() if one}
    made: dict[str, Any] = kept | ({"agent": of_agents} if of_agents else {})
    return json.dumps(made or {"permission": {}}, indent=2, ensure_ascii=False) + "\n", tuple(
        _notes(given, agents, made)
    )


def _notes(given: Mapping[str, Any], agents: Mapping[str, Any], made: Mapping[str, Any]) -> Iterator[str]:
    if not made:
        yield "It says nothing of permissions; the defaults hold."
    left = [key for key in given if key not in (*_KNOWN, "mode")]
    if left:
        yield f"Left out, since it is not about permissions: {', '.join(left)}."
    for name, agent in agents.items():
        if rest := [key for key in agent if key not in _KNOWN_OF_AGENT]:
            yield f"Left out of the agent {name}: {', '.join(rest)}."
    if _enabled(made):
        yield "A tool that `tools` turns on is not allowed by that: its permission is decided as any other."
    yield "What no rule names is allowed by OpenCode. Here edits and commands are asked about, and places outside are denied."
    yield "Rules that allow everything do not open files that hold secrets: a rule must name them."


def _enabled(made: Mapping[str, Any]) -> bool:
    tables = [made.get("tools", {}), *(agent.get("tools", {}) for agent in made.get("agent", {}).values())]
    return any(turned_on for table in tables for turned_on in table.values())


class _Reader:
    """Reads one file; every message names it."""

    def __init__(self, source: str, expand: Callable[[str], str], strict: bool) -> None:
        self._source = source
        self._expand = expand
        self._strict = strict

    def read(self, text: str) -> RuleFile:
        try:
            given = parse_jsonc(text)
        except ValueError as error:
            raise UsageError(f"{self._source} cannot be read: {error}. Mend it, or remove it.") from None
        given = _object(given, self._source, "the file")
        self._refuse_unknown(given, _KNOWN, "")
        agents = {} if self._strict else _section(given, "mode", self._source)
        agents = {**agents, **_section(given, "agent", self._source)}
        return RuleFile(
            source=self._source,
            rules=tuple(self._rules(given, "")),
            agents=tuple((name, tuple(self._of_agent(name, agent))) for name, agent in agents.items()),
        )

    def _of_agent(self, name: str, given: Any) -> Iterator[Rule]:
        place = f"agent.{name}."
        given = _object(given, self._source, place.rstrip("."))
        self._refuse_unknown(given, _KNOWN_OF_AGENT, place)
        return self._rules(given, place)

    def _rules(self, given: Mapping[str, Any], place: str) -> Iterator[Rule]:
        """`tools` first, as OpenCode has it, so that `permission` has the last word."""
        for tool, enabled in _section(given, "tools", self._source, place).items():
            if not isinstance(enabled, bool):
                raise self._fault(f"{place}tools.{tool}", enabled, "true or false")
            if not enabled:  # one that is on is only not denied
                yield self._rule(f"{place}tools", tool, "*", "deny")
        if "permission" in given:
            yield from self._permission(given["permission"], f"{place}permission")

    def _permission(self, given: Any, place: str) -> Iterator[Rule]:
        if isinstance(given, str):
            yield self._rule(place, "*", "*", given)
            return
        if not isinstance(given, dict):
            raise self._fault(place, given, f"{_choices()}, or an object")
        for key, value in given.items():
            if isinstance(value, dict):
                for pattern, decision in value.items():
                    yield self._rule(place, key, pattern, decision)
            else:
                yield self._rule(place, key, "*", value, "an object of patterns")

    def _rule(self, place: str, key: str, pattern: str, decision: Any, otherwise: str = "") -> Rule:
        where = f"{place}.{key}" + ("" if pattern == "*" else f".{pattern}")
        if not _KEY.fullmatch(key):
            raise self._fault(place, key, "the name of a permission, such as edit or bash, as a key")
        if decision not in DECISIONS:
            raise self._fault(where, decision, _choices() + (f", or {otherwise}" if otherwise else ""))
        if _SUBSTITUTED.search(pattern):
            raise self._fault(where, pattern, "a plain pattern, since {env:...} and {file:...} are not filled in")
        if not pattern:
            raise self._fault(where, pattern, "a pattern that is not empty")
        permission = _PERMISSION_OF.get(key, key)
        return Rule(permission=permission, pattern=self._expand(pattern), decision=decision, source=self._source)

    def _refuse_unknown(self, given: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
        if self._strict and (unknown := [key for key in given if key not in known]):
            raise UsageError(f"{self._source} has an unknown key {place}{unknown[0]}; known are {', '.join(known)}.")

    def _fault(self, place: str, value: Any, allowed: str) -> UsageError:
        shown = json.dumps(value, ensure_ascii=False)
        if isinstance(value, str) and _SUBSTITUTED.search(value):
            return UsageError(
                f"{self._source} has {shown} at {place}: {{env:...}} and {{file:...}} are not filled in. Write the value itself."
            )
        return UsageError(f"{self._source} has {shown[:80]} at {place}; allowed is {allowed}.")


def _choices() -> str:
    return " or ".join(f'"{decision}"' for decision in DECISIONS)


def _object(value: Any, source: str, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{source} has {json.dumps(value)[:80]} where an object belongs: {place}.")
    return value


def _section(given: Mapping[str, Any], key: str, source: str = "", place: str = "") -> dict[str, Any]:
    return _object(given.get(key, {}), source, f"{place}{key}")
