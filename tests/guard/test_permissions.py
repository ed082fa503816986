"""Golden cases are files in cases/permissions; what must hold whatever the rules is tried with rules that nobody would write.

A case is {"policy": {own, machine, repository, agent, parents, allow, approvals, yes}, "requests": [[permission, value,
understood?]], "expect": [decision]}; the home directory is /home/me.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.actions import STRICTNESS, Approval, Request, Rule, Verdict
from offline_agent.errors import UsageError
from offline_agent.guard.defaults import GUARDED
from offline_agent.guard.opencode import expander, parse_rules
from offline_agent.guard.permissions import allow_rule, decide, denies_read, is_never_allowed, read_denials, verdicts
from offline_agent.guard.policy import Policy, RuleFile
from offline_agent.guard.rule_files import own_files
from offline_agent.guard.wildcard import any_of, fold, matches
from offline_agent.settings import find_declarations

HOME = Path("/home/me")
CASES = sorted((Path(__file__).parent / "cases" / "permissions").glob("*.json"))


def rules(given: Any, source: str) -> RuleFile:
    return parse_rules(json.dumps(given), source, HOME)


def policy_of(given: dict[str, Any]) -> Policy:
    limits = [rules(given[source], source) for source in ("machine", "repository") if source in given]
    return Policy(
        agent=given.get("agent", "build"),
        parents=tuple(given.get("parents", ())),
        guarded=(*GUARDED, *own_files(HOME / ".config" / "offline-agent")),
        own=rules(given.get("own", {}), "own"),
        limits=tuple(limits),
        allowed=tuple(allow_rule(text, expander(HOME)) for text in given.get("allow", ())),
        approvals=tuple(
            Approval(id=number, permission=permission, pattern=pattern, at=0.0)
            for number, (permission, pattern) in enumerate(given.get("approvals", ()), 1)
        ),
        yes=given.get("yes", False),
    )


def request(permission: str, value: str, understood: bool = True) -> Request:
    return Request(permission=permission, value=value, understood=understood)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_golden_case(case: Path) -> None:
    given = json.loads(case.read_text(encoding="utf-8"))
    policy = policy_of(given["policy"])
    requests = [request(*one) for one in given["requests"]]
    decided = [(one.request.permission, one.request.value, one.decision) for one in verdicts(requests, policy)]
    assert decided == [
        (one.permission, one.value, decision) for one, decision in zip(requests, given["expect"], strict=True)
    ]
    strictest = max(given["expect"], key=lambda decision: STRICTNESS[decision])
    assert decide(requests, policy).decision == strictest


def test_there_are_as_many_cases_as_are_meant() -> None:
    assert len(CASES) >= 40


def test_a_verdict_says_which_rule_decided_and_where_it_stands() -> None:
    policy = policy_of({"own": {"permission": {"bash": {"rm *": "deny"}}}})
    verdict = decide([request("bash", "ls"), request("bash", "rm x")], policy)
    assert verdict.request.value == "rm x"
    assert verdict.rule == Rule(permission="bash", pattern="rm *", decision="deny", source="own")
    assert verdict.reason == "`bash` of 'rm x' is denied by the rule `bash: rm *` (own)."


def test_of_nothing_nothing_is_allowed() -> None:
    assert decide([], Policy()).decision == "ask"
    assert decide([], policy_of({"own": {"permission": "allow"}})).decision == "ask"


def test_policies_are_described_with_their_sources() -> None:
    policy = policy_of(
        {
            "own": {"permission": {"bash": {"make *": "allow"}}},
            "repository": {"permission": "ask"},
            "allow": ["edit:src/*"],
            "approvals": [["bash", "git commit *"]],
        }
    )
    rows = policy.describe()
    for row in (
        ("deny read *.pem", "default: files that hold secrets"),
        ("allow bash make *", "own"),
        ("ask * *", "repository"),
        ("allow edit src/*", "--allow"),
        ("allow bash git commit *", "approval 1"),
    ):
        assert row in rows


def test_a_tool_that_is_always_denied_need_not_be_offered() -> None:
    policy = policy_of({"own": {"permission": {"todowrite": {"*": "deny", "x": "allow"}, "question": "deny"}}})
    assert [is_never_allowed(one, policy) for one in ("webfetch", "question", "todowrite", "edit", "unheard_of")] == [
        *(True, True, False, False, False)
    ]
    assert is_never_allowed("edit", policy_of({"agent": "plan"}))
    assert not is_never_allowed("bash", policy_of({"agent": "plan"}))
    assert is_never_allowed("edit", policy_of({"agent": "x", "parents": ["plan"], "own": {"permission": "allow"}}))


@pytest.mark.parametrize("text", ["", ":x", "bash:", "a b", "bash x:y"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--allow"):
        allow_rule(text, expander(HOME))


def test_an_allowed_pattern_may_hold_anything() -> None:
    rule = allow_rule("external_directory:~/a:b\n*", expander(HOME))
    assert (rule.permission, rule.pattern) == ("external_directory", "/home/me/a:b\n*")


def test_what_the_index_takes_for_a_secret_may_not_be_read() -> None:
    shipped = (find_declarations() / "index" / "ignore").read_text(encoding="utf-8").partition("# Secrets")[2]
    names = [line.replace("*", "x") for line in shipped.splitlines()[1:] if line and line[0] not in "#!"]
    assert names
    assert [name for name in names if not denies_read(Policy())(f"deep/{name}")] == []


# --- whatever the rules are -----------------------------------------------------------------------------------------

PERMISSIONS = ("read", "edit", "bash", "grep", "external_directory", "task")
PATTERNS = ("*", "a*", "*b", "a", "a?", ".env", "*.env", "src/*", "src/.env", "git *", "/etc/*", "**", "A*")
VALUES = ("a", "ab", "b", ".env", ".ENV", "src/.env", "src/a", "git push", "/etc/passwd", "A", "")
rule = st.builds(
    Rule,
    permission=st.sampled_from((*PERMISSIONS, "*", "e*")),
    pattern=st.sampled_from(PATTERNS),
    decision=st.sampled_from(("allow", "ask", "deny")),
    source=st.just("somewhere"),
)
some_rules = st.lists(rule, max_size=4).map(tuple)
rule_file = st.builds(
    RuleFile,
    rules=some_rules,
    agents=st.lists(st.tuples(st.sampled_from(("build", "sub")), some_rules), max_size=2).map(tuple),
)
permissive = st.lists(rule.map(lambda one: one.model_copy(update={"decision": "allow"})), max_size=4).map(tuple)
approvals = st.lists(
    st.builds(
        Approval,
        id=st.just(1),
        permission=st.sampled_from((*PERMISSIONS, "*")),
        pattern=st.sampled_from(PATTERNS),
        at=st.just(0.0),
    ),
    max_size=4,
).map(tuple)
a_request = st.builds(
    Request, permission=st.sampled_from(PERMISSIONS), value=st.sampled_from(VALUES), understood=st.booleans()
)
policies = st.builds(
    Policy,
    agent=st.sampled_from(("build", "plan", "sub")),
    parents=st.sampled_from(((), ("build",))),
    own=rule_file,
    limits=st.lists(rule_file, max_size=2).map(tuple),
)


def strictness(requests: Sequence[Request], policy: Policy) -> int:
    return STRICTNESS[decide(requests, policy).decision]


def is_default(verdict: Verdict) -> bool:
    return verdict.rule is not None and verdict.rule.source.startswith("default")


@given(policies, permissive, approvals, st.booleans(), st.lists(rule_file, max_size=2), a_request)
def test_nothing_lifts_a_deny_that_is_configured(
    policy: Policy,
    allowed: tuple[Rule, ...],
    approved: tuple[Approval, ...],
    yes: bool,
    files: list[RuleFile],
    asked: Request,
) -> None:
    before = decide([asked], policy)
    more = {"allowed": allowed, "approvals": approved, "yes": yes, "limits": (*policy.limits, *files)}
    after = decide([asked], policy.model_copy(update=more))
    if before.decision == "deny" and not is_default(before):
        assert after.decision == "deny"


@given(policies, approvals, st.booleans(), a_request)
def test_neither_approvals_nor_yes_lift_a_default_deny(
    policy: Policy, approved: tuple[Approval, ...], yes: bool, asked: Request
) -> None:
    if decide([asked], policy).decision == "deny":
        loosened = policy.with_approvals(approved).model_copy(update={"yes": yes})
        assert decide([asked], loosened).decision == "deny"


@given(policies, permissive, approvals, rule_file, a_request)
def test_a_file_of_a_repository_never_loosens(
    policy: Policy, allowed: tuple[Rule, ...], approved: tuple[Approval, ...], file: RuleFile, asked: Request
) -> None:
    policy = policy.with_approvals(approved).model_copy(update={"allowed": allowed})
    tightened = policy.model_copy(update={"limits": (*policy.limits, file)})
    assert strictness([asked], tightened) >= strictness([asked], policy)


@given(policies, st.sampled_from(("build", "sub", "explore")), a_request)
def test_a_sub_agent_may_do_nothing_that_is_denied_above_it(policy: Policy, name: str, asked: Request) -> None:
    before = decide([asked], policy)
    if before.decision == "deny" and not is_default(before):
        assert decide([asked], policy.sub_agent(name)).decision == "deny"


@given(policies, permissive, approvals, a_request)
def test_what_was_not_understood_is_never_simply_allowed(
    policy: Policy, allowed: tuple[Rule, ...], approved: tuple[Approval, ...], asked: Request
) -> None:
    policy = policy.with_approvals(approved).model_copy(update={"allowed": allowed})
    assert decide([asked.model_copy(update={"understood": False})], policy).decision != "allow"


@given(policies, st.lists(a_request, max_size=4))
def test_several_are_as_strict_as_the_strictest(policy: Policy, asked: list[Request]) -> None:
    one_by_one = [strictness([one], policy) for one in asked]
    assert strictness(asked, policy) == max(one_by_one, default=STRICTNESS["ask"])


@given(policies, st.sampled_from(VALUES))
def test_many_paths_are_denied_as_one_is(policy: Policy, path: str) -> None:
    denied = decide([Request(permission="read", value=path)], policy).decision == "deny"
    assert (read_denials(policy)(path) is not None) == denied
    assert denies_read(policy)(path) == denied


# --- patterns -------------------------------------------------------------------------------------------------------


def slowly(pattern: str, value: str) -> bool:
    """A pattern by its definition, without optional arguments."""
    if not pattern:
        return not value
    if pattern[0] == "*":
        return any(slowly(pattern[1:], value[start:]) for start in range(len(value) + 1))
    return bool(value) and pattern[0] in ("?", value[0]) and slowly(pattern[1:], value[1:])


@given(st.text("ab*?. \n[", max_size=7), st.text("ab*?. \n[", max_size=7))
def test_a_pattern_matches_what_its_definition_says(pattern: str, value: str) -> None:
    expected = slowly(pattern, value)
    if pattern.endswith(" *"):
        expected = expected or slowly(pattern[:-2], value)
    assert matches(pattern, value) == expected


@given(st.lists(st.text("aB*?.ß", max_size=4), max_size=4), st.text("Aab.ſß", max_size=5))
def test_any_of_several_patterns(patterns: list[str], value: str) -> None:
    together = any_of(patterns)
    found = together is not None and together.match(fold(value)) is not None
    assert found == any(matches(pattern, value, folded=True) for pattern in patterns)


@given(st.text())
def test_folding_is_for_good(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(text.upper().lower()) == fold(fold(text.upper()))


def test_no_pattern_takes_long() -> None:
    # With backtracking this is some 10**40 steps.
    assert not matches("*a" * 20 + "*b", "a" * 20_000)
