from pathlib import Path

import pytest

from offline_agent.tools.outputs import MemoryOutputs
from offline_agent.tools.plain import PlainWorkspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small repository."""
    files = {
        "README.md": "# Shop\n\nSells things.\n",
        "src/shop.py": "def price(item):\n    return item.cost * 2\n\n\ndef total(items):\n    return sum(map(price, items))\n",
        "src/cart.py": "class Cart:\n    def add(self, item):\n        self.items.append(item)\n",
        "tests/test_shop.py": "from src.shop import price\n\n\ndef test_price():\n    assert price\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path.resolve()


@pytest.fixture
def workspace(root: Path) -> PlainWorkspace:
    return PlainWorkspace(root)


@pytest.fixture
def outputs() -> MemoryOutputs:
    return MemoryOutputs()
