"""Which models suit this machine and a task, and why. Pure: what the machine has is measured elsewhere, and given.

    cards + machine + task -> what fits -> what is quick enough -> the best of it, with reasons in sentences

How well a model answers is not known before it is measured here (`models bench`). Until then its size stands for it: among models
of one time, the larger ones do better.
"""

import math
from collections.abc import Collection, Iterable
from typing import Literal

from offline_agent.llm.hardware import Memory
from offline_agent.models import Card, EmbedderCard, Kind, ModelCard, Task
from offline_agent.types import Value

Fits = Literal["on the GPU", "comfortably", "partly on the GPU", "tightly", "no", "unknown"]

KINDS: dict[Task, Kind] = {
    "ask": "chat",
    "edit": "chat",
    "agent": "chat",
    "complete": "chat",
    "embed": "embedding",
    "rerank": "reranking",
}
_PURPOSES: dict[Task, str] = {
    "ask": "questions about code",
    "edit": "edits",
    "agent": "long tasks with tools",
    "complete": "completion",
    "embed": "search by meaning",
    "rerank": "the refinement of a search",
}
QUICK: dict[Task, float] = {"ask": 4.0, "edit": 6.0, "agent": 10.0, "complete": 20.0}
"""Tokens a second below which the task is no fun: people read about four, an edit is some hundreds, a long task some thousands."""
LIGHT: dict[Task, int] = {"embed": 150_000_000, "rerank": 50_000_000}
"""Parameters that are affordable without a GPU: a repository has ten thousand texts to embed, a search twenty to look at again."""
_SMALL = 22_700_000
"""Parameters of all-MiniLM-L6-v2, which people know the speed of."""
_ROOM, _WORKING = 1.2, 400_000_000
"""What a model needs besides its file where the card does not say: a fifth for keys and values, and bytes for buffers."""
_COMFORT = 1.4
_BYTES_A_PARAMETER = 4
_TRAPS = 2


class Machine(Value):
    """What a model may have: `memory` that is free now, and the `bandwidth` of main memory in bytes a second, 0 where it was not
    measured."""

    memory: Memory
    bandwidth: float = 0.0


class Recommendation(Value):
    """A model, how it fits, and sentences that say why. `speed` is an estimate of the tokens it writes a second, at most; 0 where
    none can be made, as on a GPU."""

    name: str
    kind: Kind
    size: int
    fits: Fits
    speed: float
    installed: bool
    reasons: tuple[str, ...]


def recommend(
    cards: Iterable[Card], machine: Machine, task: Task, installed: Collection[str] = (), count: int = 3
) -> tuple[Recommendation, ...]:
    """The best `count` models for the task that fit, the best first; none where none fits. `installed` are names."""
    suitable = [card for card in cards if card.kind == KINDS[task] and (task in card.good_for or not card.good_for)]
    fitting = [card for card in suitable if fits(card, machine.memory) != "no"]
    ranked = sorted(fitting, key=lambda card: _rank(card, machine, task, card.name in installed), reverse=True)
    return tuple(_recommendation(card, machine, task, card.name in installed) for card in ranked[:count])


def fits(card: Card, memory: Memory) -> Fits:
    """How it fits the memory that is free. llama.cpp spreads a model over GPU and main memory; torch does not."""
    least, comfortable = needs(card)
    if not least or not memory.free:
        return "unknown"
    own_gpu = 0 if memory.gpu_shares else memory.gpu_free
    if memory.gpu_free >= least and (not memory.gpu_shares or memory.free >= least):
        return "on the GPU"
    if memory.free >= comfortable:
        return "comfortably"
    if own_gpu and card.kind == "chat" and memory.free + own_gpu >= comfortable:
        return "partly on the GPU"
    return "tightly" if memory.free >= least else "no"


def needs(card: Card) -> tuple[int, int]:
    """The least memory that it runs in, and what lets it work well: what the card says, else estimated from its size. Bytes, 0
    where nothing is known."""
    size = size_of(card) or (card.parameters * _BYTES_A_PARAMETER if card.kind != "chat" else 0)
    least = card.memory or (int(_ROOM * size) + _WORKING if size else 0)
    return least, max(least, card.comfortable or int(_COMFORT * least))


def size_of(card: Card) -> int:
    """Bytes of its files; 0 where they are not known."""
    own = card.size if isinstance(card, ModelCard) else 0
    return (card.source.size if card.source else 0) or own


def speed(card: Card, bandwidth: float) -> float:
    """Tokens a second that it writes at most on a CPU: bandwidth by the bytes of the weights that compute a token. 0 where nothing
    is known, and for what does not write."""
    read = _read_for_a_token(card)
    return bandwidth / read if read else 0.0


def _read_for_a_token(card: Card) -> float:
    if not isinstance(card, ModelCard):
        return 0.0
    share = card.active_parameters / card.parameters if card.active_parameters and card.parameters else 1.0
    return (size_of(card) or card.memory) * min(1.0, share)


def _rank(card: Card, machine: Machine, task: Task, installed: bool) -> tuple[bool, bool, bool, float, int, bool]:
    """Better is greater. What is made for the task goes before what nobody knows about; then what is quick enough; then what
    has room; then what is larger, in parameters and in bits for each. Where nothing is quick enough, what is quickest."""
    quick = _is_quick(card, machine, task)
    return (
        task in card.good_for,
        quick,
        fits(card, machine.memory) in ("on the GPU", "comfortably", "partly on the GPU"),
        _capability(card) if quick or task in LIGHT else speed(card, machine.bandwidth),
        size_of(card),
        installed,
    )


def _capability(card: Card) -> float:
    """Parameters. Of a mixture of experts the geometric mean of all and of those that compute a token: a rule of thumb."""
    active = card.active_parameters if isinstance(card, ModelCard) else 0
    return math.sqrt(card.parameters * (active or card.parameters))


def _is_quick(card: Card, machine: Machine, task: Task) -> bool:
    if fits(card, machine.memory) == "on the GPU":
        return True
    if task in LIGHT:
        return _is_static(card) or card.parameters <= LIGHT[task]
    estimated = speed(card, machine.bandwidth)
    return not estimated or estimated >= QUICK[task]


def _is_static(card: Card) -> bool:
    return isinstance(card, EmbedderCard) and card.form == "static"


# --- for people ------------------------------------------------------------------------------------------------------


def _recommendation(card: Card, machine: Machine, task: Task, installed: bool) -> Recommendation:
    place = fits(card, machine.memory)
    traps = tuple(f"Mind: {trap}" for trap in card.traps[:_TRAPS])
    reasons = (_purpose(card, task), _room(card, machine.memory, place), _pace(card, machine, task, place), *traps)
    return Recommendation(
        name=card.name,
        kind=card.kind,
        size=size_of(card),
        fits=place,
        speed=0.0 if place == "on the GPU" else round(speed(card, machine.bandwidth), 1),
        installed=installed,
        reasons=tuple(filter(None, reasons)),
    )


def _purpose(card: Card, task: Task) -> str:
    made = (
        f"For {_PURPOSES[task]}." if task in card.good_for else f"Nobody says whether it is good for {_PURPOSES[task]}."
    )
    parameters = f"{billions(card.parameters)} parameters" if card.parameters else ""
    active = card.active_parameters if isinstance(card, ModelCard) else 0
    active_part = f", {billions(active)} of which compute a token" if parameters and active else ""
    return " ".join(filter(None, [card.summary, made, f"{parameters}{active_part}." if parameters else ""]))


def _room(card: Card, memory: Memory, place: Fits) -> str:
    least, comfortable = needs(card)
    needed = f"It needs {gigabytes(least)} and works well with {gigabytes(comfortable)}"
    match place:
        case "unknown":
            return "Whether it fits is not known."
        case "on the GPU":
            where = "of memory that the GPU shares" if memory.gpu_shares else "of the GPU's memory"
            return f"{needed}; {gigabytes(memory.gpu_free)} {where} are free."
        case "partly on the GPU":
            return f"{needed}; {gigabytes(memory.gpu_free)} are free on the GPU, {gigabytes(memory.free)} beside it."
        case "comfortably":
            return f"{needed}; {gigabytes(memory.free)} are free."
    return f"{needed}; {gigabytes(memory.free)} are free: it is tight, so close what else is large."


def _pace(card: Card, machine: Machine, task: Task, place: Fits) -> str:
    if place == "on the GPU":
        return "How fast a GPU runs it is not estimated." if card.kind == "chat" else ""
    if task in LIGHT:
        return _pace_of_reading(card, task)
    estimated = speed(card, machine.bandwidth)
    if not estimated:
        return ""
    slow = "" if estimated >= QUICK[task] else f" That is slow for {_PURPOSES[task]}."
    return (
        f"At most about {_rounded(estimated)} tokens a second on this CPU, an estimate: {machine.bandwidth / 1e9:.0f} GB/s "
        f"of memory bandwidth, {gigabytes(round(_read_for_a_token(card)))} read for each token.{slow}"
    )


def _pace_of_reading(card: Card, task: Task) -> str:
    if _is_static(card):
        return "It is a table, so it takes no time worth speaking of."
    times = card.parameters / _SMALL
    if times < 2:
        return ""
    slow = "" if card.parameters <= LIGHT[task] else f" That is slow for {_PURPOSES[task]} without a GPU."
    return f"By its size it takes about {times:.0f} times as long as all-MiniLM-L6-v2.{slow}"


def gigabytes(size: int) -> str:
    """In powers of a thousand."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def billions(count: int) -> str:
    """Parameters as people name them: `7.6 B`, `494 M`."""
    return f"{count / 1e9:.1f} B" if count >= 1e9 else f"{count / 1e6:.0f} M"


def _rounded(estimated: float) -> str:
    return f"{estimated:.1f}" if estimated < 3 else f"{estimated:.0f}"
