"""Requests -> done or Denied: the rules first, then the person, and a record of either."""

from collections.abc import Sequence
from typing import Any

from offline_agent.actions import Proposal, Request, Verdict
from offline_agent.errors import Denied
from offline_agent.guard.permissions import verdicts
from offline_agent.guard.policy import Policy
from offline_agent.protocols import Approvals, Asker, Audit


class Gate:
    """For one session about one repository. What a person allows for good is added to `approvals`. Reading that is simply allowed
    is not recorded; what is changed, run, asked about or denied is."""

    def __init__(self, policy: Policy, approvals: Approvals, asker: Asker, audit: Audit, session: str) -> None:
        self.policy = policy
        self._approvals = approvals
        self._asker = asker
        self._audit = audit
        self._session = session

    def enter(self, requests: Sequence[Request], proposal: Proposal) -> None:
        """Returns where everything that is requested is allowed, by rules or by the person, who is shown the proposal. Raises
        Denied with a sentence that names what forbids it."""
        # Read anew each time: an approval may be revoked from elsewhere while a session goes on.
        decided = verdicts(requests, self.policy.with_approvals(self._approvals.all()))
        for verdict in decided:
            if verdict.decision == "deny":
                self._note_verdict("denied", verdict, "rule")
                raise Denied(verdict.reason)
        asking = tuple(verdict for verdict in decided if verdict.decision == "ask")
        if asking or not requests:
            self._ask(proposal.model_copy(update={"verdicts": asking}))

    def note(self, kind: str, **body: Any) -> None:
        """Records what was done."""
        self._audit.add(kind, session=self._session, **body)

    def _ask(self, proposal: Proposal) -> None:
        answer = self._asker.permit(proposal)
        refused = answer.decision == "reject"
        for verdict in proposal.verdicts:
            self._note_verdict("denied" if refused else "allowed", verdict, f"person: {answer.decision}")
        if refused:
            raise Denied(answer.message or f"The user declined to {proposal.title}.")
        if answer.decision == "always":
            for verdict in proposal.verdicts:
                if verdict.request.always:
                    self._approvals.add(verdict.request.permission, verdict.request.always)

    def _note_verdict(self, kind: str, verdict: Verdict, by: str) -> None:
        request, rule = verdict.request, verdict.rule
        self.note(
            kind,
            permission=request.permission,
            value=request.value,
            by=by,
            rule=f"{rule.decision} {rule.permission} {rule.pattern} ({rule.source})" if rule else "",
        )
