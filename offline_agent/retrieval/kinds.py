"""What kind of file a path is, by how such files are commonly named."""

import re
from functools import lru_cache

from offline_agent.retrieval.query import Query

_TEST = re.compile(
    r"(^|/)(tests?|testing|specs?|__tests__|testdata|fixtures|benchmarks?)/|"
    r"(^|/)(test_[^/]*|conftest\.py|[^/]*[_.-](test|spec)\.[^/.]+|[^/]*Tests?\.(java|cs|kt|php|cpp))$",
    re.IGNORECASE,
)
_DOCS = re.compile(
    r"(^|/)(docs?|documentation|examples?|samples?|\.github|changelog(\.d)?)/|\.(md|rst|txt|ipynb)$|"
    r"(^|/)(changes|changelog|history|news|authors|contributors)[-_\d.]*$",
    re.IGNORECASE,
)
_VENDORED = re.compile(
    r"(^|/)(_?vendor(ed)?|third[_-]?party|extern(al)?s?|deps|packages/(urllib3|chardet|idna))/", re.IGNORECASE
)
_CONFIGURATION = re.compile(
    r"\.(toml|ya?ml|json|cfg|ini|lock|xml|csv|html?|css|svg|po)$|(^|/)(setup|noxfile|tasks)\.py$|^(scripts?|tools)/|"
    r"(^|/)\.[^/]*$|(^|/)[^/.]+rc$",
    re.IGNORECASE,
)
_REMEMBERED = (
    20_000  # a search asks of some hundred paths, several times each: the expressions took a third of its time
)


@lru_cache(_REMEMBERED)
def is_test(path: str) -> bool:
    return _TEST.search(path) is not None


@lru_cache(_REMEMBERED)
def is_docs(path: str) -> bool:
    return _DOCS.search(path) is not None


@lru_cache(_REMEMBERED)
def is_vendored(path: str) -> bool:
    return _VENDORED.search(path) is not None


@lru_cache(_REMEMBERED)
def is_configuration(path: str) -> bool:
    """Data and build scripts."""
    return _CONFIGURATION.search(path) is not None


def is_aside(path: str, query: Query) -> bool:
    """Whether a file is a test or documentation, and the question does not ask for such."""
    return (is_test(path) and not query.wants_tests) or (is_docs(path) and not query.wants_docs)
