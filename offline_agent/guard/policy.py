"""The rules that hold in one repository for one agent, as a value. permissions.py decides by them, rule_files.py reads them.

own      defaults, then the person's file, then what it says of the agent: one list, the last rule that matches decides
limits   the machine's file, the repository's files, what an agent is by nature: each decides apart, and can only tighten
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

from offline_agent.actions import Approval, Rule
from offline_agent.guard.defaults import BY_NATURE, DEFAULTS, GUARDED
from offline_agent.types import Value


class RuleFile(Value):
    """What one file says: `rules` for all agents, and `agents` what it adds for each by its name."""

    source: str = ""
    rules: tuple[Rule, ...] = ()
    agents: tuple[tuple[str, tuple[Rule, ...]], ...] = ()

    def rules_for(self, agent: str) -> tuple[Rule, ...]:
        """In the order in which they are looked at: the last one that matches decides."""
        return self.rules + tuple(rule for name, rules in self.agents if name == agent for rule in rules)


class Policy(Value):
    """All of it. `agent` is who asks, `parents` the agents that it works for, outermost first: what those are denied, it is too.

    `guarded` are defaults that a rule must name to loosen, see `permissions.loosens`. `allowed` is what the command line allows for
    this run, `approvals` what the person approved for good, and with `yes` whatever would be asked is allowed once. `notes` are
    sentences for people about files that could not be used as they are.
    """

    agent: str = "build"
    parents: tuple[str, ...] = ()
    defaults: tuple[Rule, ...] = DEFAULTS
    guarded: tuple[Rule, ...] = GUARDED
    own: RuleFile = RuleFile()
    limits: tuple[RuleFile, ...] = ()
    allowed: tuple[Rule, ...] = ()
    approvals: tuple[Approval, ...] = ()
    yes: bool = False
    notes: tuple[str, ...] = ()

    def with_approvals(self, approvals: Sequence[Approval]) -> "Policy":
        return self.model_copy(update={"approvals": tuple(approvals)})

    def sub_agent(self, name: str) -> "Policy":
        """The policy of an agent that this one starts."""
        return self.model_copy(update={"agent": name, "parents": (*self.parents, self.agent)})

    @cached_property
    def configured(self) -> tuple[Rule, ...]:
        """The person's own rules for this agent."""
        return self.own.rules_for(self.agent)

    @cached_property
    def tightening(self) -> tuple[tuple[Rule, ...], ...]:
        """The lists whose decisions can only tighten."""
        natures = (BY_NATURE.get(name, ()) for name in (*self.parents, self.agent))
        return (*natures, *(file.rules_for(self.agent) for file in self.limits))

    @cached_property
    def inherited(self) -> tuple[tuple[Rule, ...], ...]:
        """The lists of the agents above, of which every deny holds here."""
        return tuple(file.rules_for(parent) for parent in self.parents for file in (self.own, *self.limits))

    def every_rule(self) -> Iterator[Rule]:
        """Every rule that can decide something, those that are looked at first last."""
        yield from (*self.defaults, *self.guarded, *self.configured, *self.allowed)
        for rules in (*self.inherited, *self.tightening):
            yield from rules

    def describe(self) -> tuple[tuple[str, str], ...]:
        """For people: each rule as `deny read *.pem`, and where it stands; then the approvals."""
        approved = tuple((f"allow {one.permission} {one.pattern}", f"approval {one.id}") for one in self.approvals)
        return (
            *((f"{rule.decision} {rule.permission} {rule.pattern}", rule.source) for rule in self.every_rule()),
            *approved,
        )
