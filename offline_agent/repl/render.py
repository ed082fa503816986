"""What the screen says: pure functions from values to text."""

import re
from collections.abc import Sequence

from offline_agent.actions import Proposal
from offline_agent.events import Compacted, Dropped, Event, Filled, Reading, Retried, Shown, Trimmed, Warned
from offline_agent.types import Hit, IndexPhase, IndexStatus, SearchResult

_SUMMARY_LINES = 10
_DIFF_STYLES = {"+": "fg:ansigreen", "-": "fg:ansired", "@": "fg:ansicyan"}
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)


def toolbar(repository: str, model: str, status: IndexStatus | None, filled: Filled | None = None) -> str:
    parts = [repository, model, *([context_line(filled)] if filled else []), index_line(status)]
    return f" {' | '.join(parts)} "


def context_line(filled: Filled) -> str:
    """How full the model's context is."""
    about = "~" if filled.estimated else ""
    return f"context {about}{100 * filled.tokens // max(1, filled.context)} %"


def shares_lines(shares: Sequence[tuple[str, int]]) -> list[str]:
    """What takes how many tokens of the context, a line each; together they are all of it."""
    whole = max(1, sum(tokens for _, tokens in shares))
    return [f"{tokens:>9,}  {100 * tokens / whole:>3.0f} %  {name}" for name, tokens in shares]


def index_line(status: IndexStatus | None) -> str:
    """The index in a few words; None means that it does not answer yet."""
    if status is None:
        return "index: starting"
    if status.problem:
        return f"index: {status.problem}"
    if status.phase == IndexPhase.SCANNING:
        return f"index: reading {status.files} of {status.files_total or '?'} files"
    if status.phase == IndexPhase.CURRENT:
        return f"index: current, {status.files} files, {status.chunks} chunks"
    return f"index: {status.files} files, {status.phase}, {status.vectors} of {status.chunks} vectors"


def searched_line(result: SearchResult, shown: Shown | None = None) -> str:
    """How many results the model was shown, and which rankings took part, for the dim line under an answer."""
    by = "words, symbols and meaning" if result.dense or result.static else "words and symbols"
    fewer = f"{shown.excerpts} of " if shown and shown.excerpts < shown.found else ""
    return f"{fewer}{len(result.hits)} search results by {by}"


def hit_line(number: int, hit: Hit) -> str:
    return f"{number:>2}. {hit.chunk.location} {hit.chunk.symbol}".rstrip()


def reading_line(event: Reading) -> str:
    return f"reading the prompt: {event.done:,} of {event.total:,} tokens"


def thinking_line(thoughts: str) -> str:
    return f"thinking ... {len(thoughts.split())} words"


def note_of(event: Event) -> str:
    """What a person is told in a dim line while a turn goes on; empty for what is shown otherwise."""
    if isinstance(event, Warned):
        return f"warning: {event.text}"
    if isinstance(event, Retried):
        return f"no valid tool call; the model was told and tries again: {event.reason}"
    if isinstance(event, Trimmed):
        return f"to make room, old excerpts and results were taken out of the model's view ({_sizes(event)})"
    if isinstance(event, Dropped):
        turns = "the oldest turn is" if event.turns == 1 else f"the {event.turns} oldest turns are"
        return f"to make room, {turns} no longer shown to the model ({_sizes(event)})"
    if isinstance(event, Compacted):
        return (
            f"to make room, earlier turns were replaced by the model's own summary ({_sizes(event)}):\n{_begin(event)}"
        )
    return ""


def _sizes(event: Trimmed | Dropped | Compacted) -> str:
    return f"{event.before:,} -> {event.after:,} tokens"


def _begin(event: Compacted) -> str:
    lines = event.summary.splitlines()
    more = [f"  ({len(lines) - _SUMMARY_LINES} more lines)"] if len(lines) > _SUMMARY_LINES else []
    return "\n".join([*(f"  {line}" for line in lines[:_SUMMARY_LINES]), *more])


def proposal_lines(proposal: Proposal) -> list[str]:
    """What a person is asked to allow, and which rules want it asked. The command stands on lines of its own, whole; nothing else
    can begin one."""
    command = [f"  $ {visible(line)}" for line in proposal.line.split("\n")] if proposal.line else []
    return [
        visible(proposal.title).replace("\n", "<U+000A>"),
        *command,
        *dict.fromkeys(f"  {visible(verdict.reason)}" for verdict in proposal.verdicts),
    ]


def lasting_patterns(proposal: Proposal) -> list[str]:
    """What an approval for good would allow, such as `bash git commit *`."""
    requests = (verdict.request for verdict in proposal.verdicts if verdict.request.always)
    return list(dict.fromkeys(visible(f"{request.permission} {request.always}") for request in requests))


def diff_fragments(diff: str) -> list[tuple[str, str]]:
    """A unified diff in colours, for prompt_toolkit; nothing for none."""
    lines = visible(diff).rstrip("\n").split("\n") if diff else []
    return [
        (_DIFF_STYLES.get(line[:1], ""), line + ("\n" if n < len(lines) else "")) for n, line in enumerate(lines, 1)
    ]


def line_style(line: str) -> str:
    """How a line of what a tool shows is coloured: as one of a diff, or dim."""
    return _DIFF_STYLES.get(line[:1], "fg:ansibrightblack")


def visible(text: str) -> str:
    """`text` with what cannot be seen, but does something, written out: nobody can consent to what they cannot see."""
    return _INVISIBLE.sub(lambda match: f"<U+{ord(match[0]):04X}>", text)
