"""What of a prompt is computed twice: in the second turn, in a new process, and in the first request at all."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from offline_agent.agent.profiles import BUILD
from offline_agent.agent.prompt import opening
from offline_agent.llm.dialects import detect_dialect, load_dialects
from offline_agent.llm.process import LlamaProcess
from offline_agent.llm.render import Renderer
from offline_agent.llm.template import ChatTemplate
from offline_agent.llm.tokens import Special
from offline_agent.models import ModelCard
from offline_agent.settings import ModelSettings, find_declarations
from offline_agent.types import Message, Sampling
from scripts.bench.families import FAMILIES, Family
from scripts.bench.random_model import write_random_model
from scripts.bench.runtime.figures import Figure, ask, prose, report, running
from scripts.bench.toolset import toolset

OPENCODE_BYTES = 31_000
"""What OpenCode 1.18 sends for "hello" with its default tools: 7 to 8 thousand tokens, in its requests to an endpoint that logs."""
[SYSTEM] = opening(ModelCard(name="", file=""), told=[BUILD.guidance])
_HELLO = (SYSTEM, Message(role="user", content="hello"))
_SHORT = Sampling(max_tokens=24)
_ROOMY = ModelSettings(context=32_768)  # a vocabulary of few words makes many tokens of a text
_CALL = Sampling(max_tokens=256, temperature=1.0, seed=3)


def second_turn(directory: Path) -> Iterator[Figure]:
    """For each family: question, call, its result, answer, question. Of what was there before each, the share that is not computed
    again."""
    for family in FAMILIES.values():
        report(f"turns of {family.name}")
        path = write_random_model(directory / f"{family.name}.gguf", family=family)
        with running(path, settings=_ROOMY) as model:
            yield Figure(f"second turn, {family.name}: reused", 100 * min(_reused(model)), "%", least=98)


def _reused(model: LlamaProcess) -> Iterator[float]:
    tools = toolset()
    messages = [*_HELLO]
    before = 0
    for step in range(5):
        answer = ask(model, messages, _CALL if step % 2 == 0 else _SHORT, tools, "auto" if step % 2 else "required")
        if before:
            yield answer.usage.reused_tokens / before
        before = answer.usage.prompt_tokens + answer.usage.answer_tokens
        messages.append(answer.message)
        for call in answer.message.calls:
            messages.append(Message(role="tool", content="3 files\na.py", call_id=call.id))
        if not answer.message.calls:
            messages.append(Message(role="user", content=f"And then? {step}"))


class Shelf:
    """A StateStore in memory: what a new process gains, apart from what the vault takes."""

    def __init__(self) -> None:
        self._states: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self._states.get(key)

    def put(self, key: str, state: bytes) -> None:
        self._states[key] = state


def new_process(path: Path, runs: int) -> Iterator[Figure]:
    """A request to a process that was just started, with the prefix of an earlier one and with nothing."""
    notes = Message(role="system", content=f"{SYSTEM.content}\n\n# Notes of this project\n\n{prose(700)}")
    shelf = Shelf()
    report(f"a prefix of {path.stem}")
    _first_token(path, [notes, Message(role="user", content="first")], shelf)
    pairs = []
    for run in range(runs):
        report(f"new processes of {path.stem}, {run} of {runs}")
        asked = [notes, Message(role="user", content=f"What is {run}?")]
        pairs.append((_first_token(path, asked, shelf), _first_token(path, asked, Shelf())))
    with_prefix, without = zip(*pairs, strict=True)
    ratio = statistics.median(one.first / other.first for one, other in pairs)
    whole = statistics.median((one.started + one.first) / (other.started + other.first) for one, other in pairs)
    name = f"new process, {path.stem}"
    yield Figure(f"{name}: first token with a saved prefix / without", ratio, most=0.25)
    yield Figure(f"{name}: the same with start and loading", whole)
    yield Figure(f"{name}: first token with", 1000 * statistics.median(one.first for one in with_prefix), "ms")
    yield Figure(f"{name}: first token without", 1000 * statistics.median(one.first for one in without), "ms")
    yield Figure(f"{name}: start and loading", 1000 * statistics.median(one.started for one in with_prefix), "ms")
    yield Figure(f"{name}: loading alone", 1000 * statistics.median(one.loaded for one in with_prefix), "ms")
    yield Figure(f"{name}: tokens of the prompt", with_prefix[0].tokens)
    yield Figure(f"{name}: of these restored", with_prefix[0].restored)


@dataclass(frozen=True)
class _First:
    """Seconds: from start until the model was ready, of these in llama.cpp, and from the request to the first piece."""

    started: float
    loaded: float
    first: float
    tokens: int
    restored: int


def _first_token(path: Path, messages: Sequence[Message], shelf: Shelf) -> _First:
    began = time.perf_counter()
    with running(path, shelf) as model:
        started = time.perf_counter() - began
        answer = ask(model, messages, _SHORT, toolset())
        usage = answer.usage
        return _First(started, model.load().load_seconds, answer.first, usage.prompt_tokens, usage.restored_tokens)


def hello(path: Path, family: Family) -> Iterator[Figure]:
    """The whole first prompt, every tool told of."""
    with running(path) as model:
        tokens = model.measure(_HELLO, toolset())
    size = len(rendered(family))
    yield Figure("first request for hello", tokens, "tokens", most=1200)
    yield Figure("first request for hello", size, "bytes", most=5000)
    yield Figure("the same / OpenCode 1.18's 31 KB", size / OPENCODE_BYTES)


def rendered(family: Family) -> bytes:
    """The first prompt as it is rendered."""
    template = ChatTemplate(family.template, family.begin, family.end, family.name)
    dialects = load_dialects(find_declarations() / "models")
    specials = [Special(id=256 + index, text=text) for index, text in enumerate(family.controls)]
    dialect = detect_dialect(family.template, dialects)
    renderer = Renderer(template, _Bytes(family), specials, dialect, dialects[-1])
    texts = [bytes([byte]) for byte in range(256)] + [special.text.encode() for special in specials]
    return b"".join(texts[token] for token in renderer.tokens(_HELLO, toolset()))


class _Bytes:
    """A vocabulary of bytes and the family's control tokens."""

    bos = -1
    wants_bos = False

    def __init__(self, family: Family) -> None:
        self._end = 256 + family.controls.index(family.end)

    def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    def fragment(self, text: str) -> list[int]:
        return list(text.encode())

    def ends(self, token: int) -> bool:
        return token == self._end
