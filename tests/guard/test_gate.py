"""Rules first, then the person, and a record of either."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline_agent.actions import Answer, Proposal, Request, Rule
from offline_agent.errors import Denied
from offline_agent.guard.approvals import MemoryApprovals
from offline_agent.guard.gate import Gate
from offline_agent.guard.permissions import decide
from offline_agent.guard.policy import Policy, RuleFile

from .person import ALWAYS, ONCE, Notes, Person

OWN = RuleFile(source="mine", rules=(Rule(permission="bash", pattern="rm *", decision="deny", source="mine"),))
POLICY = Policy(own=OWN)
MAKE = Request(permission="bash", value="make all", always="make *")
CURL = Request(permission="bash", value="curl x", understood=False)
RM = Request(permission="bash", value="rm -rf build", always="rm *")
READ = Request(permission="read", value="a.py")
PROPOSAL = Proposal(title="run a command", line="make all")


class Door:
    """A gate with its person, approvals and record."""

    def __init__(self, *answers: Answer, policy: Policy = POLICY) -> None:
        self.person, self.approvals, self.notes = Person(*answers), MemoryApprovals(), Notes()
        self.gate = Gate(policy, self.approvals, self.person, self.notes, "s1")


def test_what_is_allowed_asks_nobody_and_leaves_no_trace() -> None:
    door = Door()
    door.gate.enter([READ], PROPOSAL)
    assert (door.person.asked, door.notes.notes) == ([], [])


def test_what_asks_is_asked_once_for_all_and_told_why() -> None:
    door = Door(ONCE)
    door.gate.enter([READ, MAKE, CURL], PROPOSAL)
    [asked] = door.person.asked
    assert [verdict.request for verdict in asked.verdicts] == [MAKE, CURL]
    assert asked.line == "make all"
    assert door.notes.kinds == ["allowed", "allowed"]
    assert {note["session"] for note in door.notes.notes} == {"s1"}
    with pytest.raises(Denied):
        door.gate.enter([MAKE], PROPOSAL)  # once was once


def test_always_holds_for_what_has_a_pattern_and_until_it_is_revoked() -> None:
    door = Door(ALWAYS)
    door.gate.enter([MAKE, CURL], PROPOSAL)
    assert [(one.permission, one.pattern) for one in door.approvals.all()] == [("bash", "make *")]
    door.gate.enter([Request(permission="bash", value="make test")], PROPOSAL)
    assert len(door.person.asked) == 1
    assert door.approvals.revoke(1)
    with pytest.raises(Denied):
        door.gate.enter([MAKE], PROPOSAL)


def test_a_reason_against_it_goes_to_the_model() -> None:
    door = Door(Answer(decision="reject", message="The user declined and said: use tox"))
    with pytest.raises(Denied, match="use tox"):
        door.gate.enter([MAKE], PROPOSAL)
    with pytest.raises(Denied, match="The user declined to run a command"):
        door.gate.enter([MAKE], PROPOSAL)
    assert [(note["kind"], note["by"]) for note in door.notes.notes] == 2 * [("denied", "person: reject")]


def test_a_rule_that_denies_is_named_and_the_person_is_not_asked() -> None:
    door = Door(ONCE)
    with pytest.raises(Denied, match=r"rm \*.*mine"):
        door.gate.enter([MAKE, RM], PROPOSAL)
    assert door.person.asked == []
    [note] = door.notes.notes
    assert (note["value"], note["by"], note["rule"]) == ("rm -rf build", "rule", "deny bash rm * (mine)")


def test_what_needs_no_leave_was_not_understood() -> None:
    door = Door(ONCE)
    door.gate.enter([], PROPOSAL)
    assert len(door.person.asked) == 1
    with pytest.raises(Denied):
        door.gate.enter([], PROPOSAL)


requests = st.sampled_from([MAKE, CURL, RM, READ, *(
    Request(permission=permission, value=value, always=always)
    for permission in ("read", "edit", "bash", "external_directory")
    for value, always in ((".env", "*"), ("a/.env", "a/*"), ("rm x", "*"), ("src/a.py", "src/*"), ("/etc/x", "/etc/*"))
)])  # fmt: skip
answers = st.sampled_from([ONCE, ALWAYS, Answer(decision="reject")])


@given(st.lists(st.tuples(st.lists(requests, min_size=1, max_size=3), answers), max_size=12), st.booleans())
def test_no_sequence_of_answers_lets_through_what_a_rule_denies(
    calls: list[tuple[list[Request], Answer]], yes: bool
) -> None:
    policy = POLICY.model_copy(update={"yes": yes})
    door = Door(*(answer for _, answer in calls), policy=policy)
    for wanted, _ in calls:
        asked = len(door.person.asked)
        if decide(wanted, policy).decision == "deny":
            with pytest.raises(Denied):
                door.gate.enter(wanted, PROPOSAL)
            assert len(door.person.asked) == asked
            continue
        try:
            door.gate.enter(wanted, PROPOSAL)
        except Denied:
            assert len(door.person.asked) == asked + 1
