import pytest
from pydantic import ValidationError

from offline_agent.protocols import Tool
from offline_agent.tools.recall import SearchArguments, SearchCode
from offline_agent.types import Chunk, Hit, IndexStatus, SearchResult


class Shelf:
    """A retriever over lines of text: a hit for each that has the query in it."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines

    def search(self, query: str, limit: int) -> SearchResult:
        chunks = [
            Chunk(path="a.py", start_line=n, end_line=n, text=line)
            for n, line in enumerate(self._lines, 1)
            if query in line
        ]
        return SearchResult(hits=tuple(Hit(chunk=chunk, score=1.0) for chunk in chunks[:limit]))

    def status(self) -> IndexStatus:
        return IndexStatus()


def test_a_search_of_the_models_own() -> None:
    tool: Tool = SearchCode(Shelf("def f", "def g", "x"))
    result = tool.run(SearchArguments(query="def"))
    assert [hit.chunk.text for hit in result.hits] == ["def f", "def g"]


def test_nothing_found_is_said() -> None:
    result = SearchCode(Shelf()).run(SearchArguments(query="f"))
    assert (result.hits, result.text) == ((), "Nothing was found. Try other words.")


@pytest.mark.parametrize("arguments", [{}, {"query": ""}, {"query": "f", "limit": 3}])
def test_what_is_no_search(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SearchCode.arguments.model_validate(arguments)


def test_its_schema_is_short() -> None:
    # The tools open every prompt; 1,200 tokens are what all of a first request may take.
    assert len(SearchCode.spec.model_dump_json()) < 400
