"""Records -> answers: sentences in which every name, path, line and docstring comes from a chunk.

What the model chose is checked against the chunks it was shown. What does not hold is not shown; the search results stand in its
place, labelled as such.
"""

import difflib
from collections.abc import Iterator, Sequence

from offline_agent.agent.cite import citation_of
from offline_agent.agent.describe import docstring_summary, first_line, signature
from offline_agent.agent.naming import PARTLY, closeness, last_part, named_by
from offline_agent.agent.record import Absent, Cited, Plain, Record
from offline_agent.agent.usage import Use, assigned_in, uses_in
from offline_agent.events import Answered
from offline_agent.types import Chunk, Citation, Hit

_CAN = (
    "I can say where something is defined, what it does, which arguments it takes, who uses it and which code does what you "
    "describe, and I can call one tool: list, read, grep, run and so on."
)
_FIND_ONE = "`offline-agent models recommend` names one for this machine, and `offline-agent models pull` brings it."
TEXTS = {
    "hello": f"Hello. I am pocket, the small demonstration model in offline-agent. {_CAN} Real models do more: {_FIND_ONE}",
    "code": f"I am pocket, the demonstration model: I cannot write or change code by myself. A real model can: {_FIND_ONE}",
    "other": f"I cannot answer that: I am pocket, the demonstration model. {_CAN} For the rest there are real models: {_FIND_ONE}",
}
"""What is answered to each kind of Plain."""

_SHOWN = 3  # search results
_USES = 8  # places that are told


def answer(record: Record | None, hits: Sequence[Hit]) -> Answered:
    """What a record about `hits` comes to. Requests and users are not answered from hits alone: see pocket.py."""
    if isinstance(record, Plain):
        return Answered(text=TEXTS[record.kind])
    if isinstance(record, Absent):
        return _absent(record.name, hits)
    if isinstance(record, Cited) and _holds(record, hits):
        return _cited(record, hits)
    return search_results(hits)


def search_results(hits: Sequence[Hit], because: str = "I am not sure.") -> Answered:
    """The best hits, labelled as what they are."""
    if not hits:
        return Answered(text=f"{because} The search found nothing in this repository.", verified=False)
    lines = [f"- {hit.chunk.location} {hit.chunk.symbol}".rstrip() for hit in hits[:_SHOWN]]
    text = "\n".join([f"{because} The search results, best first:", *lines])
    return Answered(text=text, citations=tuple(map(citation_of, hits[:_SHOWN])), verified=False)


def _holds(record: Cited, hits: Sequence[Hit]) -> bool:
    """Whether the excerpt exists, and is one that the name means."""
    named = record.intent == "which" or record.number - 1 in named_by(record.name, [hit.chunk for hit in hits])
    return 1 <= record.number <= len(hits) and named


def _cited(record: Cited, hits: Sequence[Hit]) -> Answered:
    hit = _first_part(hits[record.number - 1], hits)
    others = _others(record, hit, hits)
    more = ""
    if others:
        more = "\nThe name could also mean: " if record.intent != "which" else "\nOther results: "
        more += ", ".join(f"`{other.chunk.symbol}` ({other.chunk.location})" for other in others) + "."
    return Answered(text=_sentence(hit.chunk, record.intent) + more, citations=tuple(map(citation_of, (hit, *others))))


def _first_part(hit: Hit, hits: Sequence[Hit]) -> Hit:
    """A long definition is found in parts; its beginning has the signature and the docstring. Itself where that was not found: two
    definitions in a file may have one name, so it is the nearest beginning above."""
    chunk = hit.chunk
    if not chunk.signature:
        return hit
    same = [other for other in hits if (other.chunk.path, other.chunk.symbol) == (chunk.path, chunk.symbol)]
    above = [part for part in same if part.chunk.start_line < chunk.start_line and not part.chunk.signature]
    return max(above, key=lambda part: part.chunk.start_line, default=hit)


def _others(record: Cited, chosen: Hit, hits: Sequence[Hit]) -> list[Hit]:
    """What the name means as well; of a description, the next best results."""
    chunks = [hit.chunk for hit in hits]
    fits = range(len(hits)) if record.intent == "which" else named_by(record.name, chunks)
    firsts = {first.chunk.location: first for first in (_first_part(hits[position], hits) for position in fits)}
    others = [first for first in firsts.values() if first.chunk.symbol and not _same(first.chunk, chosen.chunk)]
    return others[: _SHOWN - 1]


def _same(chunk: Chunk, other: Chunk) -> bool:
    """Whether both are of one definition, as far as can be told: parts whose beginning was not found are taken to be."""
    parts = bool(chunk.signature or other.signature) and (chunk.path, chunk.symbol) == (other.path, other.symbol)
    return parts or chunk.location == other.location


def _sentence(chunk: Chunk, intent: str) -> str:
    if not chunk.symbol:
        return f"{chunk.location} fits best."
    name = f"`{chunk.symbol}`"
    if intent == "args":
        takes = signature(chunk)
        listed = f"takes `{takes}`" if takes.startswith("(") else f"names no arguments where it begins: `{takes}`"
        return f"{name} {listed} ({chunk.location})."
    summary = docstring_summary(chunk)
    if intent == "what":
        does = summary if summary else f"it has no docstring; it begins `{first_line(chunk)}`."
        return f"{name} ({chunk.location}): {does}"
    if intent == "which":
        return f"{chunk.location} has {name}{f': {summary}' if summary else '.'}"
    if chunk.signature:  # the beginning was not found
        return f"{name} is defined in {chunk.path}; {chunk.location} is a part of it."
    return f"{name} is defined at {chunk.location}."


def _absent(name: str, hits: Sequence[Hit]) -> Answered:
    chunks = [hit.chunk for hit in hits]
    if any(0 < closeness(name, chunk) < PARTLY for chunk in chunks):
        return search_results(hits)
    because = f"I do not know `{name}`: nothing that the search found is called so."
    near = _near(name, chunks)
    if not near:
        return search_results(hits, because)
    told = ", ".join(f"`{chunk.symbol}` ({chunk.location})" for chunk in near)
    found = [citation_of(hit) for hit in hits if hit.chunk in near]
    return Answered(text=f"{because} Near it: {told}.", citations=tuple(found), verified=False)


def assigned(name: str, hits: Sequence[Hit]) -> Answered | None:
    """Where a variable of a module or a class gets its value; None where the hits do not show it. Chunks are not named by it."""
    for hit in hits:
        chunk = hit.chunk
        at = assigned_in(name, chunk)
        if at is not None:
            line, last = chunk.start_line + at, last_part(name)
            symbol = f"{chunk.symbol}.{last}" if chunk.symbol else last
            place = Citation(path=chunk.path, start_line=line, end_line=line, symbol=symbol)
            text = chunk.text.split("\n")[at].strip()
            return Answered(text=f"`{symbol}` is set at {chunk.path}:{line}: `{text}`.", citations=(place,))
    return None


def _near(name: str, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Those whose name has its words in a row, and those whose name is written almost the same."""
    last = last_part(name).lower()
    by_name = {chunk.symbol.rpartition(".")[2].lower(): chunk for chunk in reversed(chunks) if chunk.symbol}
    parts = [near for near, chunk in by_name.items() if closeness(name, chunk)]
    alike = difflib.get_close_matches(last, by_name, n=_SHOWN, cutoff=0.75)
    return [by_name[near] for near in dict.fromkeys([*parts, *alike])][:_SHOWN]


# --- who uses it ---


def users(name: str, hits: Sequence[Hit]) -> Answered:
    """The lines of `hits` that have the name, other than where it is defined: code before imports before comments and prose."""
    found = sorted(_lines_with(name, hits), key=lambda line: line[0])
    if found:
        return _told(name, [(citation, text) for _, citation, text in found])
    defined = [hit for hit in hits if closeness(name, hit.chunk)]
    if not defined:
        return search_results(
            hits[:_SHOWN], f"I do not know `{name}`: nothing that the search found defines or uses it."
        )
    place = citation_of(_first_part(defined[0], hits))
    text = f"Nothing that the search found uses `{defined[0].chunk.symbol}`, which is defined at {place}."
    return Answered(text=text, citations=(place,))


def _told(name: str, places: Sequence[tuple[Citation, str]]) -> Answered:
    shown = places[:_USES]
    rows = [
        f"- {place.path}:{place.start_line} {f'in `{place.symbol}`' if place.symbol else ''}".rstrip()
        for place, _ in shown
    ]
    rows = [f"{row}: {text}" for row, (_, text) in zip(rows, shown, strict=True)]
    rest = len(places) - len(shown)
    more = [f"and {rest} more: `grep {name}` shows every line."] if rest > 0 else []
    head = f"`{name}` is used here, as far as the search found:"
    return Answered(text="\n".join([head, *rows, *more]), citations=tuple(place for place, _ in shown))


def _lines_with(name: str, hits: Sequence[Hit]) -> Iterator[tuple[Use, Citation, str]]:
    """What a line does with the name, its place, and its text. One line a chunk, and each line once: chunks may overlap."""
    seen = set()
    for chunk in (hit.chunk for hit in hits):
        kind, at = min(uses_in(name, chunk), default=(Use.PROSE, -1))
        line = chunk.start_line + at
        if at >= 0 and (chunk.path, line) not in seen:
            seen.add((chunk.path, line))
            place = Citation(path=chunk.path, start_line=line, end_line=line, symbol=chunk.symbol)
            yield kind, place, chunk.text.split("\n")[at].strip()
