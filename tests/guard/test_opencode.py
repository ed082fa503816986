import json
from pathlib import Path

import pytest

from offline_agent.actions import Request
from offline_agent.errors import UsageError
from offline_agent.guard.opencode import import_opencode, parse_rules
from offline_agent.guard.permissions import decide
from offline_agent.guard.policy import Policy, RuleFile

HOME = Path("/home/me")


def read(text: str, strict: bool = True) -> RuleFile:
    return parse_rules(text, "rules.json", HOME, strict)


def lines(file: RuleFile) -> list[str]:
    return [f"{rule.permission} {rule.pattern} {rule.decision}" for rule in file.rules]


def test_the_order_of_the_keys_is_the_order_of_the_rules() -> None:
    file = read('{"permission": {"bash": {"z *": "ask", "a *": "deny"}, "*": "allow", "edit": "deny"}}')
    assert lines(file) == ["bash z * ask", "bash a * deny", "* * allow", "edit * deny"]
    assert {rule.source for rule in file.rules} == {"rules.json"}


def test_rules_of_agents_stand_apart() -> None:
    file = read(
        '{"permission": "ask", "agent": {"a": {"permission": {"bash": "deny"}}, "b": {"tools": {"write": false}}}}'
    )
    assert [(name, [rule.permission for rule in rules]) for name, rules in file.agents] == [
        ("a", ["bash"]),
        ("b", ["edit"]),
    ]
    assert [rule.permission for rule in file.rules_for("a")] == ["*", "bash"]
    assert [rule.permission for rule in file.rules_for("c")] == ["*"]


def test_the_home_directory_is_put_into_patterns() -> None:
    patterns = {
        "~": "/home/me",
        "~/a": "/home/me/a",
        "$HOME/b*": "/home/me/b*",
        "~x": "~x",
        "$HOMEX": "$HOMEX",
        "a/~": "a/~",
    }
    file = read(json.dumps({"permission": {"read": dict.fromkeys(patterns, "ask")}}))
    assert [rule.pattern for rule in file.rules] == list(patterns.values())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "where an object belongs"),
        ("{", "line 1"),
        ('{"permissions": {}}', "unknown key permissions"),
        ('{"permission": "never"}', '"never" at permission'),
        ('{"permission": 1}', "1 at permission"),
        ('{"permission": null}', "null at permission"),
        ('{"permission": {"bash": "yes"}}', '"yes" at permission.bash'),
        ('{"permission": {"bash": ["allow"]}}', "at permission.bash"),
        ('{"permission": {"bash": {"rm *": true}}}', "true at permission.bash.rm"),
        ('{"permission": {"bash": {"": "deny"}}}', "not empty"),
        ('{"permission": {"ba sh": "deny"}}', "name of a permission"),
        ('{"permission": {"bash": "{env:MODE}"}}', "not filled in"),
        ('{"permission": "{file:./mode}"}', "not filled in"),
        ('{"permission": {"bash": {"{env:TOOL} *": "deny"}}}', "not filled in"),
        ('{"permission": {"{env:TOOL}": "deny"}}', "not filled in"),
        ('{"agent": {"a": "deny"}}', "where an object belongs: agent.a"),
        ('{"agent": {"a": {"permision": "deny"}}}', "unknown key agent.a.permision"),
        ('{"agent": {"a": {"permission": {"edit": "no"}}}}', '"no" at agent.a.permission.edit'),
        ('{"tools": {"bash": "no"}}', "true or false"),
        ('{"tools": []}', "where an object belongs: tools"),
    ],
)
def test_what_is_not_understood_is_refused_with_file_key_and_what_is_allowed(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(text)
    assert "rules.json" in str(refused.value)
    assert told in str(refused.value)


def test_of_a_file_of_opencode_only_permissions_are_looked_at() -> None:
    file = read(
        '{"provider": {"x": {"apiKey": "{env:KEY}"}}, "permission": "ask", "mode": {"b": {"tools": {"bash": false}}}}',
        False,
    )
    assert lines(file) == ["* * ask"]
    assert [(name, len(rules)) for name, rules in file.agents] == [("b", 1)]


OPENCODE = """{
  "$schema": "https://opencode.ai/config.json",
  "model": "x/y", // mine
  "provider": {"x": {"options": {"apiKey": "{env:KEY}"}}},
  "permission": {"bash": {"*": "ask", "git push *": "deny"}, "read": "allow",},
  "tools": {"patch": false, "webfetch": true},
  "agent": {"review": {"mode": "subagent", "prompt": "...", "permission": {"edit": "deny"}}, "other": {"model": "z"}},
}"""


def test_a_configuration_is_imported() -> None:
    text, notes = import_opencode(OPENCODE, "opencode.json", HOME)
    assert json.loads(text) == {
        "permission": {"bash": {"*": "ask", "git push *": "deny"}, "read": "allow"},
        "tools": {"patch": False, "webfetch": True},
        "agent": {"review": {"permission": {"edit": "deny"}}},
    }
    told = " ".join(notes)
    for part in ("model, provider", "agent review: mode, prompt", "agent other: model", "`tools` turns on", "secrets"):
        assert part in told
    assert "KEY" not in text + told
    assert lines(read(text)) == lines(read(OPENCODE, strict=False))


def test_what_is_imported_decides_as_it_did() -> None:
    text, _ = import_opencode(OPENCODE, "opencode.json", HOME)
    policy = Policy(own=read(text), agent="review")
    decided = {
        value: decide([Request(permission="bash", value=value)], policy).decision for value in ("make", "git push -f")
    }
    assert decided == {"make": "ask", "git push -f": "deny"}
    assert decide([Request(permission="edit", value="a.py")], policy).decision == "deny"


def test_a_configuration_without_permissions_says_so() -> None:
    text, notes = import_opencode('{"theme": "dark"}', "opencode.json", HOME)
    assert read(text).rules == ()
    assert any("says nothing of permissions" in note for note in notes)


def test_a_broken_configuration_is_not_imported() -> None:
    with pytest.raises(UsageError, match=r"opencode\.json"):
        import_opencode('{"permission": {"bash": "maybe"}}', "opencode.json", HOME)
