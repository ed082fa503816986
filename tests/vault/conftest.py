from collections.abc import Iterator
from pathlib import Path

import pytest

from offline_agent.protocols import Database
from offline_agent.vault.plain import PlainVault


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = PlainVault(tmp_path).database("main", durable=True)
    yield opened
    opened.close()
