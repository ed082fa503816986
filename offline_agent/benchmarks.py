"""What was measured of a model on this machine: how fast it is, and how good."""

from typing import Literal

from offline_agent.types import Value


class SpeedPoint(Value):
    """Reading a prompt of so many tokens and writing an answer behind it, in tokens a second, with so many threads."""

    prompt_tokens: int
    threads: int
    prefill: float
    decode: float


class Score(Value):
    """How many of so many were right; `seconds` all together. `failures` has a sentence for each that was not."""

    right: int
    of: int
    seconds: float = 0.0
    failures: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        return self.right / self.of if self.of else 0.0


class Benchmark(Value):
    """One model, measured once.

    `at` is in seconds since 1970; `machine` names processor, cores and GPU; sizes are bytes, times seconds. `first_token` is from a
    question to the first token of its answer in a new process, loading excluded: `_cold` with nothing computed, `_saved` with the
    saved prefix. Scores are None where they were not measured: `calls` are tool calls that parse and fit their schema,
    `citations` questions about the repository that were answered with the right place, `edits` edit tasks that were done.
    """

    model: str
    sha256: str
    at: float
    version: str
    machine: str
    size: int
    parameters: int = 0
    quantisation: str = ""
    context: int = 0
    load_seconds: float = 0.0
    peak_memory: int = 0
    first_token_cold: float = 0.0
    first_token_saved: float | None = None
    speeds: tuple[SpeedPoint, ...] = ()
    repository: str = ""
    calls: Score | None = None
    citations: Score | None = None
    edits: Score | None = None
    notes: tuple[str, ...] = ()

    @property
    def prefill(self) -> float:
        """Tokens a second at the longest prompt, with the threads that were best."""
        return _best(self.speeds, "prefill")

    @property
    def decode(self) -> float:
        return _best(self.speeds, "decode")


def _best(speeds: tuple[SpeedPoint, ...], what: Literal["prefill", "decode"]) -> float:
    longest = max((point.prompt_tokens for point in speeds), default=0)
    return max((getattr(point, what) for point in speeds if point.prompt_tokens == longest), default=0.0)
