"""What kind of file a path is."""

import pytest

from offline_agent.retrieval.kinds import is_aside, is_configuration, is_docs, is_test, is_vendored
from offline_agent.retrieval.query import Query

KINDS = {"test": is_test, "docs": is_docs, "vendored": is_vendored, "configuration": is_configuration}


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("src/flask/app.py", []),
        ("src/flask/testing.py", []),
        ("contest.py", []),
        ("latest/app.py", []),
        ("pkg/history.py", []),
        ("pkg/newsletter.py", []),
        ("pkg/changeset.go", []),
        ("documents/store.py", []),
        ("pkg/dependencies.py", []),
        ("a.go", []),
        ("tests/test_app.py", ["test"]),
        ("test_app.py", ["test"]),
        ("pkg/conftest.py", ["test"]),
        ("pkg/app_test.go", ["test"]),
        ("web/cart.spec.ts", ["test"]),
        ("web/__tests__/cart.js", ["test"]),
        ("src/CartTest.java", ["test"]),
        ("src/CartTests.cs", ["test"]),
        ("README.md", ["docs"]),
        ("CHANGES", ["docs"]),
        ("CHANGES-3.1", ["docs"]),
        ("CHANGELOG.md", ["docs"]),
        ("docs/conf.py", ["docs"]),
        ("examples/tutorial/app.py", ["docs"]),
        ("pip/_vendor/rich/text.py", ["vendored"]),
        ("third_party/zlib.c", ["vendored"]),
        ("requests/packages/urllib3/util.py", ["vendored"]),
        ("pyproject.toml", ["configuration"]),
        ("setup.py", ["configuration"]),
        (".gitignore", ["configuration"]),
        ("scripts/release.py", ["configuration"]),
        ("tests/data/a.json", ["test", "configuration"]),
        ("docs/a.html", ["docs", "configuration"]),
    ],
)
def test_kinds(path: str, kinds: list[str]) -> None:
    assert [name for name, holds in KINDS.items() if holds(path)] == kinds
    assert [name for name, holds in KINDS.items() if holds(path.upper())] == kinds or path.endswith("conftest.py")


@pytest.mark.parametrize(
    ("path", "question", "aside"),
    [
        ("tests/test_app.py", "where is the app", True),
        ("tests/test_app.py", "where is the app tested", False),
        ("docs/app.md", "where is the app", True),
        ("docs/app.md", "the documentation of the app", False),
        ("tests/README.md", "where is the app tested", True),
        ("src/app.py", "where is the app tested", False),
    ],
)
def test_aside_is_what_nobody_asked_for(path: str, question: str, aside: bool) -> None:
    assert is_aside(path, Query(text=question)) is aside
