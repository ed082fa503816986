"""Who is asked where nobody is there."""

from collections.abc import Sequence

from offline_agent.actions import Answer, Proposal


class Nobody:
    """An Asker for scripts: what would ask is denied."""

    def permit(self, proposal: Proposal) -> Answer:
        requests = dict.fromkeys(
            f"{verdict.request.permission} {verdict.request.value}" for verdict in proposal.verdicts
        )
        wanted = "; ".join(requests) or proposal.title
        return Answer(decision="reject", message=f"Denied, since nobody is there to ask: {wanted}. Find another way.")

    def ask(self, question: str, choices: Sequence[str]) -> str | None:
        return None
