"""What the screen says: pure functions from values to text."""

from offline_agent.types import Hit, IndexPhase, IndexStatus, SearchResult


def toolbar(repository: str, model: str, status: IndexStatus | None) -> str:
    return f" {repository} | {model} | {index_line(status)} "


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


def searched_line(result: SearchResult) -> str:
    """Which rankings took part, for the dim line under an answer."""
    by = "words, symbols and meaning" if result.dense or result.static else "words and symbols"
    return f"{len(result.hits)} search results by {by}"


def hit_line(number: int, hit: Hit) -> str:
    return f"{number:>2}. {hit.chunk.location} {hit.chunk.symbol}".rstrip()
