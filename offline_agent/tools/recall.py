"""Search, for the model: what the first results left open it looks for itself, in its own words."""

from pydantic import BaseModel, Field

from offline_agent.protocols import Retriever
from offline_agent.tools.schema import spec_of
from offline_agent.types import ToolResult, Value

_HITS = 5


class SearchArguments(Value):
    """Find code by words, names or meaning."""

    query: str = Field(min_length=1)


class SearchCode:
    """A Tool. Its hits become excerpts with numbers that the model can cite, as those of the question are."""

    arguments: type[BaseModel] = SearchArguments
    spec = spec_of(SearchArguments, "search_code")

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    def run(self, arguments: SearchArguments) -> ToolResult:
        """Raises IndexUnavailable."""
        hits = self._retriever.search(arguments.query, _HITS).hits
        return ToolResult(hits=hits) if hits else ToolResult(text="Nothing was found. Try other words.", ours=True)
