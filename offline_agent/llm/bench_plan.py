"""What is to be measured, and how long that will take."""

from dataclasses import dataclass
from math import inf, sqrt

from offline_agent.types import Value

SHORTEST, TIMES = 128, 4
"""Tokens of the shortest prompt, and how many times longer the next one is."""
ROOM = 32
"""Tokens of the context that stay free behind prompt and answer."""
_WRITING = 1.5  # seconds of writing that are measured at a time, about
_FEWEST, _MOST = 16, 256  # tokens of that


class Plan(Value):
    """Prompts of these `lengths`, in tokens, or, where it names none, of 128, 512, 2,048 and so on, up to the context. Of those,
    one whose `runs` take longer than `patience` seconds is run fewer times, and not at all where a single run does. `threads`
    are those of the settings where it names none."""

    lengths: tuple[int, ...] = ()
    threads: tuple[int, ...] = ()
    runs: int = 3
    patience: float = 120.0


THOROUGH = Plan()
QUICK = Plan(lengths=(SHORTEST, SHORTEST * TIMES), runs=1)


class Step(Value):
    """`done` of about `of` seconds are over. Both are estimates."""

    done: float
    of: float


@dataclass(frozen=True)
class Pace:
    """Seconds that loading takes, and tokens a second, as far as they are known: from them is told how long the rest will take.
    `prefill` is of a prompt of `length` tokens; at `even` tokens attention takes as long as all else."""

    load: float
    prefill: float
    decode: float
    length: int = SHORTEST
    even: float = inf

    @property
    def writes(self) -> int:
        """Tokens of an answer that is measured."""
        return max(_FEWEST, min(_MOST, round(self.decode * _WRITING)))

    def seconds(self, length: int) -> float:
        """Of one run with a prompt of so many tokens."""
        slower = (1 + length / self.even) / (1 + self.length / self.even)
        return slower * length / self.prefill + self.writes / self.decode


def even_length(parameters: int, layers: int) -> float:
    """`Pace.even`, estimated. A token takes 2 operations for each parameter, and in each layer 4 times the width for each token
    before it; a layer of a transformer has 12 times the square of its width as parameters (Kaplan et al. 2020, section 2.1)."""
    if not parameters or not layers:
        return inf
    width = sqrt(parameters / (12 * layers))
    return parameters / (width * layers)


def lengths_of(plan: Plan, context: int) -> tuple[int, ...]:
    """What the plan names; else the powers that fit, and the longest prompt that does, where that is much longer than they are."""
    if plan.lengths:
        return plan.lengths
    longest = context - _MOST - ROOM
    lengths, length = [], SHORTEST
    while length <= longest:
        lengths.append(length)
        length *= TIMES
    return (*lengths, longest) if lengths and longest >= 2 * lengths[-1] else tuple(lengths)


def runs_of(plan: Plan, length: int, context: int, pace: Pace) -> int:
    """How many times a prompt of that length is measured."""
    if length + pace.writes + ROOM > context:
        return 0
    return plan.runs if plan.lengths else min(plan.runs, int(plan.patience / pace.seconds(length)))


def why_none(length: int, context: int, pace: Pace) -> str:
    """Why it is not measured at all, in a sentence."""
    if length + pace.writes + ROOM > context:
        return f"A prompt of {length:,} tokens does not fit the context of {context:,}."
    minutes = pace.seconds(length) / 60
    return f"Prompts of {length:,} tokens were left out: one takes about {minutes:.0f} minutes. --lengths {length} measures it."


def seconds_of(plan: Plan, context: int, pace: Pace, opening: float) -> float:
    """About how long all of it takes, where a new process needs `opening` seconds to its first token."""
    reading = pace.load
    for length in lengths_of(plan, context):
        reading += runs_of(plan, length, context, pace) * pace.seconds(length)
    return max(1, len(plan.threads)) * reading + (plan.runs + 1) * opening + plan.runs * pace.load
