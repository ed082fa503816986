"""A turn of a model that writes records, such as the built-in one: the record is read, checked, and done.

The model writes one record and is done. What it chose is carried out here: a sentence from the excerpts, a second search for
those that use a name, or one call of a tool, whose result is the answer.
"""

from collections.abc import Generator, Sequence
from typing import Any

import regex  # type: ignore[import-untyped]  # as grep understands patterns; nobody publishes its types with it

from offline_agent.agent.act import Outcome, Toolbox, called
from offline_agent.agent.answer import answer, assigned, search_results, users
from offline_agent.agent.naming import PARTLY, closeness, named_by
from offline_agent.agent.record import TOOLS, Absent, Cited, Record, Request, Users, parse
from offline_agent.events import Acted, Acting, Answered, Event
from offline_agent.protocols import Inspector, Retriever
from offline_agent.types import Hit, ToolCall, ToolResult

_WIDE = 60  # hits among which the users of a name are looked for
_CONSTRUCTORS = ("__init__", "constructor", "initialize", "new", "__construct")


class Carrier:
    """Carries out the records of one session. `steps` of the to-do list are kept, since a record names only one."""

    def __init__(self) -> None:
        self._steps: tuple[str, ...] = ()
        self._calls = 0

    def carry_out(
        self, text: str, shown: Sequence[Hit], retriever: Retriever, toolbox: Toolbox, inspector: Inspector
    ) -> Generator[Event, None, Answered]:
        """Answers with what the record `text` about the excerpts `shown` comes to."""
        record = parse(text)
        if isinstance(record, Users):
            answered = users(record.name, retriever.search(record.name, _WIDE).hits)
        elif isinstance(record, Request):
            answered = yield from self._do(record, shown, toolbox, inspector)
        else:
            answered = _answered(record, shown, retriever)
        return answered.model_copy(update={"text": inspector.mask(answered.text)})

    def _do(
        self, request: Request, shown: Sequence[Hit], toolbox: Toolbox, inspector: Inspector
    ) -> Generator[Event, None, Answered]:
        call = self.call(request)
        if call.name not in {spec.name for spec in toolbox.specs}:
            return Answered(text=_not_here(call), verified=False)
        outcome = yield from self._act(call, toolbox, inspector)
        whole = _whole_path(call, shown, outcome.result)
        if whole is not None:
            outcome = yield from self._act(whole, toolbox, inspector)
        if request.tool == "todo" and not outcome.result.failed:
            self._steps = tuple(call.arguments["items"])
        return _told(outcome.result)

    def _act(self, call: ToolCall, toolbox: Toolbox, inspector: Inspector) -> Generator[Event, None, Outcome]:
        yield Acting(call=call, summary=called(call))
        outcome = yield from toolbox.act(call)
        diff = "" if call.name == "run" else outcome.result.shown  # the output is the answer, and is not told twice
        shown, summary = map(inspector.mask, (diff, outcome.summary))
        yield Acted(call=call, summary=summary, failed=outcome.result.failed, shown=shown)
        return outcome

    def call(self, request: Request) -> ToolCall:
        """The call in the words of the tools."""
        given: dict[str, Any] = dict(zip(TOOLS[request.tool], request.arguments, strict=False))
        if request.tool == "edit":
            given = {"path": given["path"], "edits": [{"old": given["old"], "new": given["new"]}]}
        elif request.tool == "write":
            given["content"] += "\n"
        elif request.tool == "todo":
            given = {"items": [*self._steps, given["item"]]}
        elif request.tool == "grep":
            given["pattern"] = _as_regex(given["pattern"])
        given |= {name: int(given[name]) for name in ("start", "end") if name in given}
        self._calls += 1
        return ToolCall(id=f"call-{self._calls}", name=request.tool, arguments=given)


def _answered(record: Record | None, shown: Sequence[Hit], retriever: Retriever) -> Answered:
    """What a record comes to, of the definition that its name means best."""
    if isinstance(record, Cited | Absent) and record.name:
        best = _closeness(record, shown)
        hits = retriever.search(record.name, _WIDE).hits if best != 1 else ()
        record, shown = _meant_better(record, shown, hits, best)
        if best in (0, PARTLY) and (variable := assigned(record.name, hits)) and shown is not hits:
            return variable
        shown = hits if isinstance(record, Absent) else shown  # what is near the name is among these
    if isinstance(record, Cited) and record.intent == "args":
        record, shown = _constructed(record, shown, retriever)
    return answer(record, [*shown, *_beginnings(record, shown, retriever)])


def _beginnings(record: Record | None, shown: Sequence[Hit], retriever: Retriever) -> Sequence[Hit]:
    """Where only a later part of a long definition was found: its other parts, the beginning among them."""
    chunk = shown[record.number - 1].chunk if isinstance(record, Cited) and record.number <= len(shown) else None
    if chunk is None or not chunk.signature:
        return ()
    hits = retriever.search(chunk.symbol, _WIDE).hits
    return [hit for hit in hits if (hit.chunk.path, hit.chunk.symbol) == (chunk.path, chunk.symbol)]


def _meant_better(
    record: Cited | Absent, shown: Sequence[Hit], hits: Sequence[Hit], best: int
) -> tuple[Cited | Absent, Sequence[Hit]]:
    """The definition among `hits`, found by the name alone, which it means better than any that the model was shown."""
    named = named_by(record.name, [hit.chunk for hit in hits])
    if named and closeness(record.name, hits[named[0]].chunk) < (best or PARTLY):
        return Cited(named[0] + 1, record.intent, record.name), hits
    return record, shown


def _closeness(record: Cited | Absent, shown: Sequence[Hit]) -> int:
    """How close the name of a record is to an excerpt at best; 0 where it is to none."""
    found = shown if isinstance(record, Cited) else ()
    return min((fit for hit in found if (fit := closeness(record.name, hit.chunk))), default=0)


def _constructed(record: Cited, shown: Sequence[Hit], retriever: Retriever) -> tuple[Cited, Sequence[Hit]]:
    """The constructor in place of a class, which takes no arguments itself."""
    if record.number - 1 not in named_by(record.name, [hit.chunk for hit in shown]):
        return record, shown  # what does not hold is not made better
    chunk = shown[record.number - 1].chunk
    if chunk.kind != "class":
        return record, shown
    names = {f"{chunk.symbol}.{name}" for name in (*_CONSTRUCTORS, chunk.symbol.rpartition(".")[2])}
    for hit in retriever.search(f"{chunk.symbol}.__init__", _WIDE).hits:
        if hit.chunk.path == chunk.path and hit.chunk.symbol in names and not hit.chunk.signature:
            return Cited(1, "args", hit.chunk.symbol), (hit,)
    return record, shown


def _as_regex(pattern: str) -> str:
    """`print(` is meant as it stands: what is no pattern is a text."""
    try:
        regex.compile(pattern)
    except regex.error:
        return str(regex.escape(pattern, special_only=True))
    return pattern


def _not_here(call: ToolCall) -> str:
    return (
        f"That would be `{called(call)}`, for which this agent has no tool. "
        "Ask again in `offline-agent chat`, or with `offline-agent run`."
    )


def _whole_path(call: ToolCall, shown: Sequence[Hit], result: ToolResult) -> ToolCall | None:
    """The same call with `src/shop/cart.py` for `cart.py`, where what was found has one such file and the tool, which has none of
    the shorter name, says that it is near. None elsewhere: a change that did not fit its file must not be tried on another."""
    path = str(call.arguments.get("path", "")).removeprefix("./")
    found = {hit.chunk.path for hit in shown if hit.chunk.path.endswith(f"/{path}")}
    whole = found.pop() if len(found) == 1 else ""
    near = result.failed and f"{whole}," in f"{result.text.rpartition(' Near: ')[2].removesuffix('.')},"
    return call.model_copy(update={"arguments": {**call.arguments, "path": whole}}) if whole and near else None


def _told(result: ToolResult) -> Answered:
    """The result is the answer."""
    if result.hits:
        return search_results(result.hits, "Searched as you asked.")
    return Answered(text=result.text or result.summary or "Done.", verified=not result.failed)
