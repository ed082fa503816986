from offline_agent.guard.approvals import MemoryApprovals
from offline_agent.protocols import Approvals


def test_what_was_approved_is_listed_and_revoked() -> None:
    approvals: Approvals = MemoryApprovals(clock=lambda: 5.0)
    assert approvals.all() == []
    one = approvals.add("bash", "git commit *")
    two = approvals.add("edit", "src/*")
    assert approvals.add("bash", "git commit *") == one
    assert [(a.id, a.permission, a.pattern, a.at) for a in approvals.all()] == [
        (1, "bash", "git commit *", 5.0),
        (2, "edit", "src/*", 5.0),
    ]
    assert approvals.revoke(1)
    assert not approvals.revoke(1)
    assert approvals.all() == [two]
    assert approvals.add("task", "x").id == 3
