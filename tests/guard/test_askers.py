from offline_agent.actions import Proposal, Request, Verdict
from offline_agent.guard.askers import Nobody


def test_nobody_allows_nothing_and_names_what_was_wanted_once() -> None:
    wanted = Verdict(decision="ask", request=Request(permission="bash", value="make all"))
    answer = Nobody().permit(Proposal(title="run a command", line="make all; make all", verdicts=(wanted, wanted)))
    assert answer.decision == "reject"
    assert answer.message.count("bash make all") == 1
    assert "nobody is there to ask" in answer.message


def test_what_was_not_understood_has_a_title_at_least() -> None:
    assert "run a command" in Nobody().permit(Proposal(title="run a command")).message


def test_nobody_answers_no_question() -> None:
    assert Nobody().ask("Which?", ["a", "b"]) is None
