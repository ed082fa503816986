"""May it be done? Pure: from what is asked for and the rules to a verdict with the rule that decided it.

    deny    of any list of rules; nothing below lifts one that somebody configured
    allow   by the last rule that matches, by --allow, by an approval where the rules ask, by --yes where they ask
    ask     otherwise

Paths come resolved, see paths.py. A rule that tightens matches them whatever the case of letters, since a file system may not
tell cases apart; a rule that allows must match exactly.
"""

import re
from collections.abc import Callable, Sequence

from offline_agent.actions import STRICTNESS, Decision, Request, Rule, Verdict
from offline_agent.errors import UsageError
from offline_agent.guard.policy import Policy
from offline_agent.guard.wildcard import any_of, core, fold, matches, names_a_file

PATHS = frozenset({"read", "edit", "list", "glob", "grep", "external_directory"})
"""Permissions whose values are paths."""

_ALLOW_RULE = re.compile(r"(?P<permission>[A-Za-z0-9_.*?-]+)(?::(?P<pattern>.+))?", re.DOTALL)


def decide(requests: Sequence[Request], policy: Policy) -> Verdict:
    """The strictest verdict, the first of those that are equally strict. Where nothing is asked for, it is asked about: a call that
    needs no leave was not understood."""
    if not requests:
        return Verdict(
            decision="ask",
            request=Request(permission="*", value="", understood=False),
            reason="What it needs leave for was not understood, so it is asked about.",
        )
    return max(verdicts(requests, policy), key=lambda verdict: STRICTNESS[verdict.decision])


def verdicts(requests: Sequence[Request], policy: Policy) -> tuple[Verdict, ...]:
    """The verdict on each."""
    return tuple(_verdict(request, policy) for request in requests)


def read_denials(policy: Policy) -> Callable[[str], Verdict | None]:
    """Tells of a path the verdict by which it may not be read, as `decide` has it; None where it may, or may be asked for. For many
    paths: most match no rule that denies, which one regular expression of all tells."""
    denying = any_of(
        rule.pattern.replace("\\", "/")
        for rule in policy.every_rule()
        if rule.decision == "deny" and matches(rule.permission, "read")
    )

    def denial(path: str) -> Verdict | None:
        if denying is None or not denying.match(fold(path.replace("\\", "/"))):
            return None
        verdict = _verdict(Request(permission="read", value=path), policy)
        return verdict if verdict.decision == "deny" else None

    return denial


def denies_read(policy: Policy) -> Callable[[str], bool]:
    """Tells of a path whether it may not be read."""
    denial = read_denials(policy)
    return lambda path: denial(path) is not None


def is_never_allowed(permission: str, policy: Policy) -> bool:
    """Whether it is denied whatever the value, so that a model need not be offered it."""
    lists = ((*policy.defaults, *policy.configured, *policy.allowed), *policy.inherited, *policy.tightening)
    for rules in lists:
        last = next((rule for rule in reversed(rules) if matches(rule.permission, permission)), None)
        if last is not None and last.decision == "deny" and not last.pattern.strip("*"):
            return True
    return False


def allow_rule(text: str, expand: Callable[[str], str]) -> Rule:
    """The rule of `--allow PERMISSION` or `--allow PERMISSION:PATTERN`, such as `bash:npm test *`. `expand` puts the home directory
    into a pattern. Raises UsageError."""
    parts = _ALLOW_RULE.fullmatch(text)
    if parts is None:
        raise UsageError(
            f"--allow {text!r} is no rule. Write PERMISSION or PERMISSION:PATTERN, such as `edit` or `bash:npm test *`."
        )
    pattern = expand(parts["pattern"] or "*")
    return Rule(permission=parts["permission"], pattern=pattern, decision="allow", source="--allow")


def loosens(rule: Rule, guard: Rule) -> bool:
    """Whether a rule says enough to loosen a guarded default. One that allows everything, or all of a directory, was not written
    with the `.env` in it in mind: it must name a file, or what the default names."""
    return names_a_file(rule.pattern) or core(guard.pattern) in fold(rule.pattern)


def _verdict(request: Request, policy: Policy) -> Verdict:
    verdict = _ruled(request, policy)
    companion = _companion(request, policy)
    if companion is not None and verdict.decision != "deny":
        reason = f"What may not be read may not be {_DONE[request.permission]} either. {companion.reason}"
        return Verdict(decision="deny", request=request, rule=companion.rule, reason=reason)
    if verdict.decision == "ask" and policy.yes:
        return verdict.model_copy(
            update={"decision": "allow", "reason": "It would be asked about, and --yes allows that."}
        )
    return verdict


_DONE = {"edit": "changed", "grep": "searched"}


def _companion(request: Request, policy: Policy) -> Verdict | None:
    """The verdict that denies to read what is to be changed or searched. A search may be of a directory, which is read file by file
    and each file decided by itself: there, only a rule that names something counts."""
    if request.permission not in _DONE:
        return None
    verdict = _ruled(request.model_copy(update={"permission": "read"}), policy)
    if verdict.decision != "deny":
        return None
    named = verdict.rule is not None and names_a_file(verdict.rule.pattern)
    return verdict if named or request.permission == "edit" else None


def _ruled(request: Request, policy: Policy) -> Verdict:
    """By rules and approvals, without what follows from other permissions."""
    guard = _last(policy.guarded, request)
    base, configured = _base(request, policy, guard)
    limits = [rule for rules in policy.tightening if (rule := _last(rules, request))]
    limits += [rule for rules in policy.inherited if (rule := _last(rules, request)) and rule.decision == "deny"]
    denying = next((rule for rule in limits if rule.decision == "deny"), base if _denies(base) and configured else None)
    if denying is not None:
        return _result("deny", request, denying)
    allowed = _last(tuple(rule for rule in policy.allowed if _may_loosen(rule, guard)), request)
    if allowed is not None and request.understood:
        return _result("allow", request, allowed)
    if _denies(base):
        return _result("deny", request, base)
    asking = next((rule for rule in limits if rule.decision == "ask"), base)
    if asking is not None and asking.decision == "allow" and request.understood:
        return _result("allow", request, asking)
    return _approved(request, policy, guard) or _result("ask", request, asking)


def _base(request: Request, policy: Policy, guard: Rule | None) -> tuple[Rule | None, bool]:
    """The rule that decides in the one list of defaults and the person's own, and whether it is the person's."""
    for rule in reversed(policy.configured):
        if _applies(rule, request) and (_may_loosen(rule, guard) or not _is_looser(rule, guard)):
            return rule, True
    return guard or _last(policy.defaults, request), False


def _approved(request: Request, policy: Policy, guard: Rule | None) -> Verdict | None:
    if not request.understood:
        return None
    for approval in policy.approvals:
        rule = Rule(
            permission=approval.permission,
            pattern=approval.pattern,
            decision="allow",
            source=f"approval {approval.id}",
        )
        if approval.permission == request.permission and _applies(rule, request) and _may_loosen(rule, guard):
            return _result("allow", request, rule)
    return None


def _last(rules: Sequence[Rule], request: Request) -> Rule | None:
    return next((rule for rule in reversed(rules) if _applies(rule, request)), None)


def _applies(rule: Rule, request: Request) -> bool:
    if not matches(rule.permission, request.permission):
        return False
    pattern = rule.pattern.replace("\\", "/")
    if request.permission not in PATHS:
        return matches(pattern, request.value.replace("\\", "/"))
    if rule.decision == "allow":  # here a backslash in a name is not a slash: `a\b` is no file of the directory a
        return matches(pattern, request.value)
    return matches(pattern, request.value.replace("\\", "/"), folded=True)


def _denies(rule: Rule | None) -> bool:
    return rule is not None and rule.decision == "deny"


def _is_looser(rule: Rule, guard: Rule | None) -> bool:
    return guard is not None and STRICTNESS[rule.decision] < STRICTNESS[guard.decision]


def _may_loosen(rule: Rule, guard: Rule | None) -> bool:
    return guard is None or guard.decision == "allow" or loosens(rule, guard)


def _result(decision: Decision, request: Request, rule: Rule | None) -> Verdict:
    return Verdict(decision=decision, request=request, rule=rule, reason=_reason(decision, request, rule))


def _reason(decision: Decision, request: Request, rule: Rule | None) -> str:
    done = {"allow": "allowed", "ask": "asked about", "deny": "denied"}[decision]
    if decision == "ask" and not request.understood:
        return "What it does cannot be told from its text, so it is asked about."
    if rule is None:
        return f"No rule names `{request.permission}` of {request.value!r}, so it is {done}."
    return f"`{request.permission}` of {request.value!r} is {done} by the rule `{rule.permission}: {rule.pattern}` ({rule.source})."
